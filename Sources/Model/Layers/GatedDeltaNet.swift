import Tensor

/// A gated delta net (Yang, Kautz and Hatamizadeh, "Gated Delta Networks", 2024): each head keeps a matrix from keys to values, which
/// decays, and which every token corrects by what it says wrongly of the token's key. It does not grow with the text.
struct GatedDeltaNet: TokenMixer {
    /// To queries, keys and values, in this order, and to what gates the result.
    private let input: Linear
    private let gate: Linear
    /// One figure for each head: how much of an error is corrected, and how far the matrix decays.
    private let correction: Linear
    private let decay: Linear
    /// `[heads]` each: what is added to the decay's figure, and what it is multiplied by then.
    private let decayBias: Weight
    private let decayRate: Weight
    private let convolution: ShortConvolution
    private let norm: RMSNorm
    private let output: Linear

    /// Length of a head's keys, and of its values.
    private let length: Int
    private let heads: Int
    /// Heads of queries and keys, which those of values share.
    private let keyHeads: Int

    init(_ source: LayerSource) throws(ModelError) {
        let inner = try source.requiredCount("ssm.inner_size", atMost: 1 << 20)
        length = try source.requiredCount("ssm.state_size", atMost: 1 << 16)
        heads = try source.requiredCount("ssm.time_step_rank", atMost: 1 << 16)
        keyHeads = try source.requiredCount("ssm.group_count", atMost: 1 << 16)
        guard length * heads == inner, heads % keyHeads == 0 else {
            throw ModelError(
                .metadata, "a delta net of \(inner) cannot be \(heads) heads of \(length) that share \(keyHeads) heads of keys")
        }
        let channels = inner + 2 * keyHeads * length
        convolution = try ShortConvolution(source, kernel: try source.requiredCount("ssm.conv_kernel", atMost: 1 << 10), channels: channels)
        input = try source.linear("attn_qkv", from: source.width, to: channels)
        gate = try source.linear("attn_gate", from: source.width, to: inner)
        correction = try source.linear("ssm_beta", from: source.width, to: heads)
        decay = try source.linear("ssm_alpha", from: source.width, to: heads)
        decayBias = try source.required("ssm_dt.bias", Shape(heads))
        decayRate = try source.required("ssm_a", Shape(heads))
        norm = try source.norm("ssm_norm", length)
        output = try source.linear("ssm_out", from: inner, to: source.width)
    }

    private var inner: Int { length * heads }

    var state: LayerState {
        LayerState(planes: [convolution.plane, LayerState.Plane("s", .f32, rowLength: length * inner, .perSlot)])
    }

    /// What tokens bring to the recurrence.
    private struct Signals {
        /// `[channels, tokens]`.
        var all: TensorID
        /// `[heads, tokens]`: from 0 to 1, and the logarithm of a factor.
        var correction: TensorID
        var decay: TensorID
    }

    func callAsFunction(_ x: TensorID, _ layer: LayerContext) -> TensorID {
        let g = layer.g
        let steps = g.unary(.softplus, g.add(decay(x, g), g.weight(decayBias)))
        let signals = Signals(
            all: input(x, g), correction: g.unary(.sigmoid, correction(x, g)), decay: g.mul(steps, g.weight(decayRate)))
        var planes = (convolution: layer.plane(0), matrices: layer.plane(1))
        var mixed: TensorID?
        for group in layer.pass.groups {
            let part = mix(signals, group, &planes, g)
            mixed = mixed.map { g.node("", .concat(dimension: 1), [$0, part]) } ?? part
        }
        guard let mixed else { return x }
        let tokens = layer.pass.layout.tokenCount
        let normed = g.reshape(norm(g.reshape(mixed, Shape(length, heads, tokens)), g), Shape(inner, tokens))
        return output(g.glu(.swiglu, gate: gate(x, g), value: normed), g)
    }

    /// One group's tokens: `[inner, the group's tokens]`.
    private func mix(
        _ signals: Signals, _ inputs: ForwardContext.GroupInputs, _ planes: inout (convolution: TensorID, matrices: TensorID),
        _ g: GraphBuilder
    ) -> TensorID {
        guard let states = inputs.states else { return signals.all }
        let (tokens, sequences) = (inputs.group.tokenCount / states.count, states.count)
        let first = inputs.group.firstToken
        let row = convolution.channels * 4
        let signal = g.view(
            of: signals.all, shape: Shape(convolution.channels, tokens, sequences),
            strides: Strides(4, row, row * tokens, row * tokens * sequences), byteOffset: first * row)
        let convolved = convolution(signal, states, &planes.convolution, g)

        /// Some heads of each token, of rows so many bytes long.
        func part(of tensor: TensorID, row: Int, at offset: Int, _ count: Int) -> TensorID {
            g.view(
                of: tensor, shape: Shape(length, count, tokens, sequences), strides: Strides(4, length * 4, row, row * tokens),
                byteOffset: offset * length * 4)
        }
        // Of length 1, but for the epsilon, which is that of the norms.
        let both = part(of: convolved, row: row, at: 0, 2 * keyHeads)
        let units = g.scale(g.rmsNorm(both, epsilon: norm.epsilon / Float(length)), by: 1 / Float(length).squareRoot())
        let query = part(of: units, row: 2 * keyHeads * length * 4, at: 0, keyHeads)
        let key = part(of: units, row: 2 * keyHeads * length * 4, at: keyHeads, keyHeads)
        let value = part(of: convolved, row: row, at: 2 * keyHeads, heads)

        /// One figure for each head of each token.
        func figures(_ tensor: TensorID) -> TensorID {
            let row = heads * 4
            return g.view(
                of: tensor, shape: Shape(1, heads, tokens, sequences), strides: Strides(4, 4, row, row * tokens), byteOffset: first * row)
        }
        let matrices = g.reshape(g.getRows(planes.matrices, states.sources), Shape(length, length, heads, sequences))
        let result = g.node(
            "", .gatedDeltaNet(snapshots: 1), [query, key, value, figures(signals.decay), figures(signals.correction), matrices])
        /// What the result holds one behind the other.
        func rows(_ count: Int, of rowLength: Int, at offset: Int) -> TensorID {
            let row = rowLength * 4
            return g.view(
                of: result, shape: Shape(rowLength, count), strides: Strides(4, row, row * count, row * count), byteOffset: offset * 4)
        }
        let ended = rows(sequences, of: length * inner, at: inner * tokens * sequences)
        planes.matrices = states.keep(ended, in: planes.matrices, g)
        return rows(tokens * sequences, of: inner, at: 0)
    }
}
