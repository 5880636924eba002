import Tensor

/// A short convolution along the tokens, each channel by itself, and SiLU: what recurrences see tokens through. It remembers the last
/// columns that went in, one less than its kernel is long.
struct ShortConvolution: Sendable {
    let kernel: Int
    let channels: Int
    /// `[kernel, channels]`.
    private let weight: Weight
    private let bias: Weight?

    init(_ source: LayerSource, kernel: Int, channels: Int) throws(ModelError) {
        guard kernel > 1 else { throw ModelError(.metadata, "a convolution along tokens with a kernel of \(kernel)") }
        self.kernel = kernel
        self.channels = channels
        weight = try source.required("ssm_conv1d.weight", Shape(kernel, channels))
        bias = try source.optional("ssm_conv1d.bias", Shape(channels))
    }

    var plane: LayerState.Plane { LayerState.Plane("r", .f32, rowLength: (kernel - 1) * channels, .perSlot) }

    /// Goes on from the columns that `plane` has of each sequence: `[channels, tokens, sequences]` to a contiguous tensor of that shape.
    func callAsFunction(
        _ signal: TensorID, _ states: ForwardContext.StateRows, _ plane: inout TensorID, _ g: GraphBuilder
    ) -> TensorID {
        let (tokens, sequences) = (g[signal].shape[1], states.count)
        let before = g.reshape(g.getRows(plane, states.sources), Shape(kernel - 1, channels, sequences))
        let columns = g.node("", .concat(dimension: 0), [before, g.transpose(signal)])
        let strides = g[columns].strides
        let last = g.view(
            of: columns, shape: Shape(kernel - 1, channels, sequences), strides: strides, byteOffset: tokens * strides[0])
        plane = states.keep(g.reshape(g.contiguous(last), Shape((kernel - 1) * channels, sequences)), in: plane, g)
        var convolved = g.node("", .ssmConv, [columns, g.weight(weight)])
        if let bias { convolved = g.add(convolved, g.weight(bias)) }
        return g.unary(.silu, convolved)
    }
}
