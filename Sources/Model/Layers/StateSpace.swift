import Tensor

/// Mamba 2's mixer (Dao and Gu, "Transformers are SSMs", 2024): a short convolution along the tokens, then a state for each head
/// that decays and takes each token in. What it remembers does not grow with the text.
struct StateSpace: TokenMixer {
    private let input: Linear
    private let output: Linear
    private let convolution: ShortConvolution
    /// `[heads]`, `[1, heads]`, `[1, heads]`.
    private let stepBias: Weight
    private let decay: Weight
    private let skip: Weight
    /// `[inner / groups, groups]`, in models that have it.
    private let norm: Weight?
    private let epsilon: Float

    private let inner: Int
    private let stateSize: Int
    private let heads: Int
    private let groups: Int

    init(_ source: LayerSource) throws(ModelError) {
        inner = try source.requiredCount("ssm.inner_size", atMost: 1 << 20)
        stateSize = try source.requiredCount("ssm.state_size", atMost: 1 << 16)
        heads = try source.requiredCount("ssm.time_step_rank", atMost: 1 << 16)
        groups = try source.requiredCount("ssm.group_count", atMost: 1 << 16)
        guard inner % heads == 0, inner % groups == 0, heads % groups == 0 else {
            throw ModelError(.metadata, "a state space of \(inner) cannot be divided into \(heads) heads and \(groups) groups")
        }
        let channels = inner + 2 * groups * stateSize
        input = try source.linear("ssm_in", from: source.width, to: inner + channels + heads)
        output = try source.linear("ssm_out", from: inner, to: source.width)
        convolution = try ShortConvolution(source, kernel: try source.requiredCount("ssm.conv_kernel", atMost: 1 << 10), channels: channels)
        stepBias = try source.required("ssm_dt.bias", Shape(heads))
        decay = try source.required("ssm_a", Shape(1, heads))
        skip = try source.required("ssm_d", Shape(1, heads))
        norm = try source.optional("ssm_norm.weight", Shape(inner / groups, groups))
        epsilon = try source.metadata.requiredFloat("attention.layer_norm_rms_epsilon")
    }

    private var channels: Int { convolution.channels }

    var state: LayerState {
        LayerState(planes: [convolution.plane, LayerState.Plane("s", .f32, rowLength: stateSize * inner, .perSlot)])
    }

    func callAsFunction(_ x: TensorID, _ layer: LayerContext) -> TensorID {
        let g = layer.g
        let projected = input(x, g)
        var planes = (convolution: layer.plane(0), scan: layer.plane(1))
        var mixed: TensorID?
        for group in layer.pass.groups {
            let part = mix(projected, group, &planes, g)
            mixed = mixed.map { g.node("", .concat(dimension: 1), [$0, part]) } ?? part
        }
        return mixed.map { output($0, g) } ?? x
    }

    /// One group's tokens, from `[input, all tokens]` to `[inner, the group's tokens]`.
    private func mix(
        _ projected: TensorID, _ inputs: ForwardContext.GroupInputs, _ planes: inout (convolution: TensorID, scan: TensorID),
        _ g: GraphBuilder
    ) -> TensorID {
        guard let states = inputs.states else { return projected }
        let (tokens, sequences) = (inputs.group.tokenCount / states.count, states.count)
        let row = g[projected].shape[0] * 4
        let start = inputs.group.firstToken * row
        let length = inner / heads

        /// Some of what was projected, `[length, count, tokens, sequences]`.
        func part(of tensor: TensorID, row: Int, start: Int, at offset: Int, _ length: Int, _ count: Int) -> TensorID {
            g.view(
                of: tensor, shape: Shape(length, count, tokens, sequences), strides: Strides(4, length * 4, row, row * tokens),
                byteOffset: start + offset * 4)
        }
        let gate = part(of: projected, row: row, start: start, at: 0, length, heads)
        let signal = g.view(
            of: projected, shape: Shape(channels, tokens, sequences), strides: Strides(4, row, row * tokens, row * tokens * sequences),
            byteOffset: start + inner * 4)
        let step = g.view(
            of: projected, shape: Shape(heads, tokens, sequences), strides: Strides(4, row, row * tokens, row * tokens * sequences),
            byteOffset: start + (inner + channels) * 4)

        let convolved = convolution(signal, states, &planes.convolution, g)
        let channelRow = channels * 4
        let value = part(of: convolved, row: channelRow, start: 0, at: 0, length, heads)
        let into = part(of: convolved, row: channelRow, start: 0, at: inner, stateSize, groups)
        let out = part(of: convolved, row: channelRow, start: 0, at: inner + groups * stateSize, stateSize, groups)
        let steps = g.add(g.contiguous(step), g.weight(stepBias))
        let rows = g[planes.scan].shape[1]
        let scanned = g.node(
            "", .ssmScan(snapshots: 1),
            [
                g.reshape(planes.scan, Shape(stateSize, length, heads, rows)), value, steps, g.weight(decay), into, out, states.sources,
            ])
        let rowLength = stateSize * inner
        let ended = g.view(
            of: scanned, shape: Shape(rowLength, sequences),
            strides: Strides(4, rowLength * 4, rowLength * sequences * 4, rowLength * sequences * 4),
            byteOffset: inner * tokens * sequences * 4)
        planes.scan = states.keep(ended, in: planes.scan, g)

        var y = part(of: scanned, row: inner * 4, start: 0, at: 0, length, heads)
        y = g.add(y, g.mul(value, g.weight(skip)))
        y = g.glu(.swiglu, gate: g.contiguous(gate), value: y)
        if let norm {
            y = g.reshape(y, Shape(inner / groups, groups, tokens, sequences))
            y = g.mul(g.rmsNorm(y, epsilon: epsilon), g.weight(norm))
        }
        return g.reshape(y, Shape(inner, tokens * sequences))
    }
}
