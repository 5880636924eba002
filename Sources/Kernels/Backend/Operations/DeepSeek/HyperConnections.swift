internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

// Hyper-connections: several residual streams instead of one, mixed before and after each layer. (Xie et al., "mHC:
// Manifold-Constrained Hyper-Connections", 2025.)
extension PlanBuilder {
    /// Mixes `[hc² + 2hc, tokens]`, scale and base: matrices `[hc, hc, tokens]` brought close to doubly stochastic by
    /// normalizing columns and rows in turns (Sinkhorn, Knopp).
    mutating func addStreamMatrices(_ id: TensorID, epsilon: Float, iterations: Int32) throws(BackendError) {
        let mixes = try source(id, 0)
        let scale = try source(id, 1)
        let base = try source(id, 2)
        let streams = StreamMatrix.streams
        let tokens = mixes.n1
        guard mixes.shape == Shape(StreamMatrix.offset + streams * streams, tokens), base.n0 == mixes.n0,
            scale.n0 >= 3, base.rowCount == 1, scale.rowCount == 1, iterations > 0
        else { throw invalid(id, "mixes \(mixes.shape), scale \(scale.shape), base \(base.shape)") }
        let result = try floatOutput(id, Shape(streams, streams, tokens))
        for operand in [mixes, scale, base] {
            guard operand.type == .f32, operand.hasContiguousRows else { throw unsupported(id) }
        }
        if result.isEmpty { return }
        // Matrices stop changing long before; a larger count only wastes time.
        let rounds = min(Int(iterations), 1 << 16)
        let biases = base.base.assumingMemoryBound(to: Float.self) + StreamMatrix.offset
        let factors = scale.base.assumingMemoryBound(to: Float.self)
        addPhase(
            over: tokens, costPerUnit: 150 + Double(rounds) * 40, reads: mixes.ranges + scale.ranges + base.ranges,
            writes: result.ranges
        ) { _, range in
            for token in range {
                let values = mixes.row(token).assumingMemoryBound(to: Float.self) + StreamMatrix.offset
                var matrix = StreamMatrix(values, biases, factor: factors[2], epsilon: epsilon)
                matrix.normalizeColumns(epsilon)
                for _ in 1..<rounds {
                    matrix.normalizeRows(epsilon)
                    matrix.normalizeColumns(epsilon)
                }
                for row in 0..<streams {
                    let target = result.row3(row, token, 0).assumingMemoryBound(to: Float.self)
                    for i in 0..<streams { target[i] = matrix[row][i] }
                }
            }
        }
    }

    /// Streams `[embedding, hc, tokens]` weighed and added up: `[embedding, tokens]`. Weights are `[hc, tokens]`, or,
    /// gated, the sigmoids of a gate of the streams' shape.
    mutating func addStreamSum(_ id: TensorID, scale: Float, gated: Bool) throws(BackendError) {
        let x = try source(id, 0)
        let weights = try source(id, 1)
        let (size, streams, tokens) = (x.n0, x.n1, x.n2)
        guard streams > 0, x.n3 == 1, weights.shape == (gated ? x.shape : Shape(streams, tokens)) else {
            throw invalid(id, "weights \(weights.shape) do not fit streams \(x.shape)")
        }
        let result = try floatOutput(id, Shape(size, tokens))
        guard x.type == .f32, weights.type == .f32, x.hasContiguousRows, weights.hasContiguousRows else {
            throw unsupported(id)
        }
        if result.isEmpty { return }
        let sigmoid = vector.unary[Int(UnaryKind.sigmoid.rawValue)]
        guard !gated || sigmoid != nil else { throw unsupported(id) }
        // In the thread's memory, since the result may lie over the streams.
        let stretches = RowStretches(size)
        try needScratch(RowStretches.length * 8)
        let cost = Double(min(size, RowStretches.length)) * Double(streams) * (gated ? 1.5 : 0.3) + 20
        addPhase(
            over: tokens * stretches.perRow, costPerUnit: cost, reads: x.ranges + weights.ranges, writes: result.ranges
        ) { worker, range in
            let sums = worker.floats()
            let gates = worker.floats(RowStretches.length)
            for index in range {
                let (token, first, count) = stretches.stretch(index)
                sums.update(repeating: 0, count: count)
                for stream in 0..<streams {
                    let values = x.row3(stream, token, 0).assumingMemoryBound(to: Float.self) + first
                    if gated {
                        sigmoid?(weights.row3(stream, token, 0).assumingMemoryBound(to: Float.self) + first, gates, count)
                        for i in 0..<count { sums[i] += values[i] * gates[i] }
                    } else {
                        let weight = weights.row(token).assumingMemoryBound(to: Float.self)[stream]
                        for i in 0..<count { sums[i] += values[i] * weight }
                    }
                }
                let target = result.row(token).assumingMemoryBound(to: Float.self) + first
                for i in 0..<count { target[i] = sums[i] * scale }
            }
        }
    }

    /// x `[embedding, tokens]` spread over the streams by `post` `[hc, tokens]`, plus the residual streams, mixed by
    /// `comb` `[hc, hc, tokens]` if there is one.
    mutating func addStreamUpdate(_ id: TensorID) throws(BackendError) {
        let x = try source(id, 0)
        let residual = try source(id, 1)
        let post = try source(id, 2)
        let comb = try optionalSource(id, 3)
        let (size, tokens, streams) = (x.n0, x.n1, residual.n1)
        let shape = Shape(size, streams, tokens)
        guard x.shape == Shape(size, tokens), residual.shape == shape, post.shape == Shape(streams, tokens),
            comb == nil || comb?.shape == Shape(streams, streams, tokens)
        else { throw invalid(id, "residual \(residual.shape) and weights \(post.shape) do not fit \(x.shape)") }
        let result = try floatOutput(id, shape)
        for operand in [x, residual, post, comb ?? x] {
            guard operand.type == .f32, operand.hasContiguousRows else { throw unsupported(id) }
        }
        if result.isEmpty { return }
        let cost = Double(size) * Double(comb == nil ? 1 : streams) * 0.3 + 20
        let reads = x.ranges + residual.ranges + post.ranges + (comb?.ranges ?? [])
        addPhase(over: streams * tokens, costPerUnit: cost, reads: reads, writes: result.ranges) { _, range in
            for index in range {
                let (token, stream) = index.quotientAndRemainder(dividingBy: streams)
                let target = result.row3(stream, token, 0).assumingMemoryBound(to: Float.self)
                let values = x.row(token).assumingMemoryBound(to: Float.self)
                let weight = post.row(token).assumingMemoryBound(to: Float.self)[stream]
                guard let comb else {
                    let old = residual.row3(stream, token, 0).assumingMemoryBound(to: Float.self)
                    for i in 0..<size { target[i] = values[i] * weight + old[i] }
                    continue
                }
                for i in 0..<size { target[i] = values[i] * weight }
                for other in 0..<streams {
                    let old = residual.row3(other, token, 0).assumingMemoryBound(to: Float.self)
                    let factor = comb.row3(other, token, 0).assumingMemoryBound(to: Float.self)[stream]
                    for i in 0..<size { target[i] += old[i] * factor }
                }
            }
        }
    }
}

/// The matrix by which four streams are mixed.
private struct StreamMatrix {
    static let streams = 4
    /// Of the matrix among a token's mixes, behind the weights of two vectors.
    static let offset = 2 * streams

    private var r0: SIMD4<Float>
    private var r1: SIMD4<Float>
    private var r2: SIMD4<Float>
    private var r3: SIMD4<Float>

    /// Each row the softmax of a token's values times `factor` plus biases, and a little more.
    init(_ values: UnsafePointer<Float>, _ biases: UnsafePointer<Float>, factor: Float, epsilon: Float) {
        func row(_ row: Int) -> SIMD4<Float> {
            var exponents = SIMD4<Float>.zero
            var largest = -Float.infinity
            for i in 0..<4 {
                exponents[i] = values[4 &* row &+ i] * factor + biases[4 &* row &+ i]
                largest = exponents[i] > largest ? exponents[i] : largest
            }
            for i in 0..<4 { exponents[i] = expf(exponents[i] - largest) }
            return exponents * (1 / StreamMatrix.sum(exponents, from: 0)) + epsilon
        }
        (r0, r1, r2, r3) = (row(0), row(1), row(2), row(3))
    }

    @inline(__always)
    private static func sum(_ row: SIMD4<Float>, from start: Float) -> Float {
        start + row[0] + row[1] + row[2] + row[3]
    }

    mutating func normalizeColumns(_ epsilon: Float) {
        let factors = 1 / (SIMD4(repeating: epsilon) + r0 + r1 + r2 + r3)
        r0 *= factors
        r1 *= factors
        r2 *= factors
        r3 *= factors
    }

    mutating func normalizeRows(_ epsilon: Float) {
        r0 *= 1 / StreamMatrix.sum(r0, from: epsilon)
        r1 *= 1 / StreamMatrix.sum(r1, from: epsilon)
        r2 *= 1 / StreamMatrix.sum(r2, from: epsilon)
        r3 *= 1 / StreamMatrix.sum(r3, from: epsilon)
    }

    subscript(row: Int) -> SIMD4<Float> {
        switch row {
        case 0: r0
        case 1: r1
        case 2: r2
        default: r3
        }
    }
}
