// State-space models and linear attention: per-sequence states that a run of tokens carries on.
extension Inference {
    func recurrence() throws(GraphError) -> Operation.Result {
        switch operation {
        case .ssmConv: return try stateConvolution()
        case .ssmScan(let snapshots): return try scan(snapshots)
        case .rwkvWKV6: return try linear(inputs: [0, 1, 2, 4], first: 3, state: 5)
        case .gatedLinearAttention: return try linear(inputs: [0, 1, 2, 3], first: nil, state: 4)
        case .rwkvWKV7: return try linear(inputs: [0, 1, 2, 3, 4, 5], first: nil, state: 6)
        case .gatedDeltaNet(let snapshots): return try deltaNet(snapshots)
        default: return try hyperConnection()
        }
    }

    private func stateConvolution() throws(GraphError) -> Operation.Result {
        let x = try source(0)
        let kernel = try source(1)
        try requireType(x, .f32)
        try requireType(kernel, .f32)
        try requireContiguousRows(x)
        try requireContiguous(kernel)
        try require(
            x.shape[3] == 1 && kernel.shape == Shape(kernel.shape[0], kernel.shape[1]) && kernel.shape[0] > 0
                && x.shape[1] == kernel.shape[1] && x.shape[0] >= kernel.shape[0] - 1,
            .shape, "kernel \(kernel.shape) does not fit \(x.shape)")
        let tokens = x.shape[0] - (kernel.shape[0] - 1)
        return Operation.Result(.f32, Shape(kernel.shape[1], tokens, x.shape[2]))
    }

    private func scan(_ snapshots: Int32) throws(GraphError) -> Operation.Result {
        let s = try source(0)
        let x = try source(1)
        let dt = try source(2)
        let a = try source(3)
        let b = try source(4)
        let c = try source(5)
        let ids = try source(6)
        for tensor in [s, x, dt, a, b, c] { try requireType(tensor, .f32) }
        for tensor in [s, dt, a] { try requireContiguous(tensor) }
        try requireType(ids, .i32)
        try requireContiguous(ids)
        for tensor in [x, b, c] {
            try requireContiguousRows(tensor)
            let head = try product(tensor.shape[0], 4)
            try require(tensor.shape[1] == 1 || tensor.strides[1] == head, .shape, "the heads of \"\(tensor.name)\" are not contiguous")
        }
        let (stateSize, headSize, heads) = (s.shape[0], x.shape[0], x.shape[1])
        let (tokens, sequences) = (x.shape[2], x.shape[3])
        try require(snapshots >= 1, .parameter, "\(snapshots) snapshots")
        try requireShape(dt, Shape(heads, tokens, sequences))
        try requireShape(c, b.shape)
        try requireShape(ids, Shape(sequences))
        try require(
            s.shape[1] == headSize && s.shape[2] == heads && b.shape[0] == stateSize && b.shape[2] == tokens
                && b.shape[3] == sequences && b.shape[1] > 0 && heads % b.shape[1] == 0,
            .shape, "states \(s.shape) do not fit x \(x.shape), B \(b.shape)")
        let isPerState = a.shape[0] != 1
        try require(
            a.shape == Shape(a.shape[0], heads) && (!isPerState || (a.shape[0] == stateSize && snapshots == 1)), .shape,
            "A \(a.shape) does not fit states \(s.shape)")
        let states = try product(Int(snapshots), stateSize, headSize, try product(heads, sequences))
        return Operation.Result(.f32, Shape(try sum(try elementCount(x), states)))
    }

    /// - Parameters:
    ///   - inputs: sources of `[size, heads, tokens]` each.
    ///   - first: the source with one weight per head and element, if there is one.
    ///   - state: the source with a matrix per head and sequence, sequences along dimension 1.
    private func linear(inputs: [Int], first: Int?, state: Int) throws(GraphError) -> Operation.Result {
        let shape = try source(inputs[0]).shape
        for index in inputs {
            let tensor = try source(index)
            try requireShape(tensor, Shape(shape[0], shape[1], shape[2]))
            try requireType(tensor, .f32)
            try requireContiguous(tensor)
        }
        let (size, heads, tokens) = (shape[0], shape[1], shape[2])
        let width = try product(size, heads)
        if let first {
            let weights = try source(first)
            try requireType(weights, .f32)
            try requireContiguous(weights)
            let count = try elementCount(weights)
            try require(count == width, .shape, "\(count) first weights for \(heads) heads of \(size)")
        }
        let states = try source(state)
        try requireType(states, .f32)
        try requireContiguous(states)
        let sequences = states.shape[1]
        let (given, wanted) = (try elementCount(states), try product(size, width, sequences))
        try require(
            given == wanted && sequences > 0 && tokens > 0 && tokens % sequences == 0, .shape,
            "states \(states.shape) do not fit \(tokens) tokens of \(heads) heads of \(size)")
        return Operation.Result(.f32, Shape(width, try sum(tokens, try product(size, sequences))))
    }

    private func deltaNet(_ snapshots: Int32) throws(GraphError) -> Operation.Result {
        let q = try source(0)
        let k = try source(1)
        let v = try source(2)
        let g = try source(3)
        let beta = try source(4)
        let state = try source(5)
        for tensor in [q, k, v, g, beta, state] { try requireType(tensor, .f32) }
        for tensor in [q, k, v] { try requireContiguousRows(tensor) }
        for tensor in [g, beta, state] { try requireContiguous(tensor) }
        let (size, heads, tokens, sequences) = (v.shape[0], v.shape[1], v.shape[2], v.shape[3])
        try require(snapshots >= 1, .parameter, "\(snapshots) snapshots")
        try requireShape(k, q.shape)
        try require(
            q.shape[0] == size && q.shape[1] > 0 && heads % q.shape[1] == 0 && q.shape[2] == tokens && q.shape[3] > 0
                && sequences % q.shape[3] == 0,
            .shape, "queries \(q.shape) do not fit values \(v.shape)")
        try require(
            g.shape == Shape(1, heads, tokens, sequences) || g.shape == v.shape, .shape,
            "gates \(g.shape) do not fit values \(v.shape)")
        try requireShape(beta, Shape(1, heads, tokens, sequences))
        try requireShape(state, Shape(size, size, heads, sequences))
        let rows = try sum(try product(tokens, sequences), try product(Int(snapshots), size, sequences))
        return Operation.Result(.f32, Shape(try product(size, heads), rows))
    }

    /// Hyper-connections: several residual streams, mixed before and after each layer.
    private func hyperConnection() throws(GraphError) -> Operation.Result {
        let x = try source(0)
        try requireType(x, .f32)
        try requireContiguousRows(x)
        switch operation {
        case .dsv4HCComb(_, let iterations):
            let scale = try source(1)
            let base = try source(2)
            for tensor in [scale, base] {
                try requireType(tensor, .f32)
                try requireContiguousRows(tensor)
            }
            let streams = 4
            try require(iterations > 0, .parameter, "\(iterations) iterations")
            try requireShape(x, Shape(streams * streams + 2 * streams, x.shape[1]))
            try require(scale.shape == Shape(scale.shape[0]) && scale.shape[0] >= 3, .shape, "a scale of \(scale.shape)")
            try requireShape(base, Shape(x.shape[0]))
            return Operation.Result(.f32, Shape(streams, streams, x.shape[1]))
        case .dsv4HCPre(_, let gated):
            let weights = try source(1)
            let (embedding, streams, tokens) = (x.shape[0], x.shape[1], x.shape[2])
            try requireType(weights, .f32)
            try requireContiguousRows(weights)
            try require(streams > 0 && x.shape[3] == 1, .shape, "\(x.shape) are no streams")
            try requireShape(weights, gated ? x.shape : Shape(streams, tokens))
            return Operation.Result(.f32, Shape(embedding, tokens))
        case .dsv4HCPost:
            let residual = try source(1)
            let post = try source(2)
            let (embedding, tokens, streams) = (x.shape[0], x.shape[1], residual.shape[1])
            for tensor in [residual, post] {
                try requireType(tensor, .f32)
                try requireContiguousRows(tensor)
            }
            try requireShape(x, Shape(embedding, tokens))
            try require(streams > 0, .shape, "\(residual.shape) are no streams")
            try requireShape(residual, Shape(embedding, streams, tokens))
            try requireShape(post, Shape(streams, tokens))
            if let comb = optional(3) {
                try requireType(comb, .f32)
                try requireContiguousRows(comb)
                try requireShape(comb, Shape(streams, streams, tokens))
            }
            return Operation.Result(.f32, Shape(embedding, streams, tokens))
        default:
            throw fail(.structure, "is no recurrence")
        }
    }
}
