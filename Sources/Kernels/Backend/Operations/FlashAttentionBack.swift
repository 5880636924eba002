internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// The gradients of attention: queries `[size, tokens, heads, streams]`, keys `[size, keys, KV heads, streams]`, values
    /// `[keys, size, KV heads, streams]` and the result's gradients, shaped as the queries. The result is the gradients of
    /// queries, keys and values, each padded to 16 bytes. Heads take the KV heads in turn. With `masked`, the last token
    /// sees all keys and each earlier one a key less.
    mutating func addFlashAttentionBack(_ id: TensorID, masked: Bool) throws(BackendError) {
        let task = try AttentionGradient(id, masked: masked, in: self)
        if task.result.isEmpty { return }
        try needScratch(task.scratchByteCount)
        let perQuery = Double(task.keyCount) * Double(task.size) * 0.3 + 100
        addPhase(
            over: task.unitCount, costPerUnit: perQuery * Double(task.queriesPerUnit), reads: task.reads,
            writes: task.result.ranges
        ) { worker, range in
            for unit in range { task.compute(unit, worker) }
        }
    }
}

/// The gradients of one node's attention; its units are the KV heads of all streams.
private struct AttentionGradient {
    let result: Operand
    private let q: Operand
    private let k: Operand
    private let v: Operand
    private let d: Operand
    private let masked: Bool
    private let vector: VectorTable
    private let kernels: RecurrenceTable

    init(_ id: TensorID, masked: Bool, in builder: PlanBuilder) throws(BackendError) {
        q = try builder.source(id, 0)
        k = try builder.source(id, 1)
        v = try builder.source(id, 2)
        d = try builder.source(id, 3)
        self.masked = masked
        guard q.n0 == k.n0, k.n2 > 0, q.n2 % k.n2 == 0, q.n3 == k.n3, k.n1 >= q.n1, d.shape == q.shape,
            v.shape == Shape(k.n1, q.n0, k.n2, k.n3)
        else {
            throw builder.invalid(id, "queries \(q.shape), keys \(k.shape), values \(v.shape), gradients \(d.shape)")
        }
        for operand in [q, k, v] {
            guard operand.type == .f32, operand.isEmpty || operand.hasContiguousRows else { throw builder.unsupported(id) }
        }
        guard d.type == .f32 else { throw builder.unsupported(id) }
        let counts = [q, k, v].map { AttentionGradient.padded($0.elementCount) }
        result = try builder.packedOutput(id, count: counts.reduce(0, +))
        vector = builder.vector
        kernels = builder.recurrence
    }

    private static func padded(_ count: Int) -> Int { (count + 3) & ~3 }

    var size: Int { q.n0 }
    var keyCount: Int { k.n1 }
    var unitCount: Int { k.n2 &* k.n3 }
    var queriesPerUnit: Int { q.n1 &* (q.n2 / k.n2) }
    var scratchByteCount: Int { 8 &* rowCount }
    var reads: [Range<UInt>] { [q, k, v, d].flatMap(\.ranges) }
    /// Values of a row of scores, in whole cache lines.
    private var rowCount: Int { (keyCount &+ 15) & ~15 }

    private var keyGradients: PackedFloats { result.floats + AttentionGradient.padded(q.elementCount) }
    private var valueGradients: PackedFloats { keyGradients + AttentionGradient.padded(k.elementCount) }

    func compute(_ unit: Int, _ worker: Worker) {
        let (stream, keyHead) = unit.quotientAndRemainder(dividingBy: k.n2)
        let perHead = size &* keyCount
        (keyGradients + unit &* perHead).update(repeating: 0, count: perHead)
        (valueGradients + unit &* perHead).update(repeating: 0, count: perHead)
        if unit == 0 { clearPadding() }
        for head in stride(from: keyHead, to: q.n2, by: k.n2) {
            for token in 0..<q.n1 { add(token, head, keyHead, stream, worker) }
        }
    }

    private func clearPadding() {
        var start = result.floats
        for operand in [q, k, v] {
            for i in operand.elementCount..<AttentionGradient.padded(operand.elementCount) { start[i] = 0 }
            start += AttentionGradient.padded(operand.elementCount)
        }
    }

    /// Adds what one query contributes.
    private func add(_ token: Int, _ head: Int, _ keyHead: Int, _ stream: Int, _ worker: Worker) {
        let visible = masked ? keyCount &- q.n1 &+ token &+ 1 : keyCount
        let scale = 1 / Float(size).squareRoot()
        let (scores, weights) = (worker.floats(), worker.floats(rowCount))
        let query = row(q, token, head, stream)
        let gradients = d.row3(token, head, stream)
        for key in 0..<visible { scores[key] = kernels.dot(row(k, key, keyHead, stream), query, size) }
        vector.softMax(scores, nil, 0, -.infinity, weights, visible, scale)

        // From here on, scores are the gradients of the scaled products.
        scores.update(repeating: 0, count: visible)
        for i in 0..<size {
            let gradient = (gradients + i &* d.s0).load(as: Float.self)
            kernels.addScaled(row(v, i, keyHead, stream), gradient, scores, visible)
        }
        let mean = kernels.dot(weights, scores, visible)
        vector.scale(scores, scores, visible, 1, -mean)
        vector.mul(scores, weights, scores, visible)
        vector.scale(scores, scores, visible, scale, 0)

        let unit = stream &* k.n2 &+ keyHead
        let ownKeys = keyGradients + unit &* size &* keyCount
        let ownValues = valueGradients + unit &* size &* keyCount
        let own = result.floats + ((stream &* q.n2 &+ head) &* q.n1 &+ token) &* size
        own.update(repeating: 0, count: size)
        for key in 0..<visible {
            kernels.addScaled(row(k, key, keyHead, stream), scores[key], own, size)
            kernels.addScaled(query, scores[key], ownKeys + key &* size, size)
        }
        for i in 0..<size {
            let gradient = (gradients + i &* d.s0).load(as: Float.self)
            kernels.addScaled(weights, gradient, ownValues + i &* keyCount, visible)
        }
    }

    @inline(__always)
    private func row(_ operand: Operand, _ i1: Int, _ i2: Int, _ i3: Int) -> UnsafePointer<Float> {
        UnsafePointer(operand.row3(i1, i2, i3).assumingMemoryBound(to: Float.self))
    }
}
