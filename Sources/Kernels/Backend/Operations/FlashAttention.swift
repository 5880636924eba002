internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// Queries `[size, tokens, heads, streams]`, keys and values `[size, keys, KV heads, KV streams]` in F16, mask
    /// `[keys, tokens, …]`: `[value size, heads, tokens, streams]`.
    ///
    /// Queries that share keys (the heads of a group, then the next token's) are given to the kernel together.
    mutating func addFlashAttention(_ id: TensorID, _ parameters: FlashAttentionParameters) throws(BackendError) {
        let q = try source(id, 0)
        let k = try source(id, 1)
        let v = try source(id, 2)
        guard q.n0 == k.n0, k.n1 == v.n1, k.n2 == v.n2, k.n3 == v.n3, k.n2 > 0, k.n3 > 0, q.n2 % k.n2 == 0,
            q.n3 % k.n3 == 0
        else { throw invalid(id, "queries \(q.shape) do not fit keys \(k.shape) and values \(v.shape)") }
        let result = try floatOutput(id, Shape(v.n0, q.n2, q.n1, q.n3))
        if result.isEmpty { return }
        guard q.type == .f32, q.n2 <= 1 << 16, q.n0 > 0 else { throw unsupported(id) }
        let queries = try gathered(id, q)
        let keys = try halfRows(id, k)
        let values = try halfRows(id, v)
        let slopes = UnsafePointer(storage.table(ALiBi.slopes(heads: q.n2, maxBias: parameters.maxBias)))
        var reads = queries.ranges + keys.ranges + values.ranges

        var mask: Operand?
        if let given = try optionalSource(id, 3) {
            guard given.n0 >= k.n1, given.n1 >= q.n1, given.n2 > 0, given.n3 > 0, q.n2 % given.n2 == 0, q.n3 % given.n3 == 0
            else { throw invalid(id, "a mask \(given.shape) does not fit queries \(q.shape), keys \(k.shape)") }
            mask = try halfRows(id, given)
            reads += mask?.ranges ?? []
        }
        var sinks: UnsafePointer<Float>?
        if let given = try optionalSource(id, 4) {
            guard given.type == .f32, given.hasContiguousRows, given.n0 == q.n2, given.rowCount == 1 else {
                throw invalid(id, "\(given.shape) are not sinks for \(q.n2) heads")
            }
            sinks = UnsafePointer(given.base.assumingMemoryBound(to: Float.self))
            reads += given.ranges
        }

        let kernelBytes = (vector.attentionScratchByteCount(k.n0, v.n0) + 63) & ~63
        var task = AttentionTask(
            queries: queries, keys: keys, values: values, mask: mask, result: result, slopes: slopes, sinks: sinks,
            parameters: parameters, kernel: vector.attention, maximum: max(1, vector.attentionQueries),
            kernelByteCount: kernelBytes)
        try needScratch(kernelBytes + task.listByteCount)
        let perQuery = Double(k.n1) * Double(k.n0 + v.n0) / 25 + 50
        task.split(threads: threadCount, cost: perQuery * Double(task.groupSize))
        addPhase(
            over: task.unitCount, costPerUnit: perQuery * Double(task.perUnit), reads: reads, writes: result.ranges
        ) { worker, range in
            for unit in range { task.compute(unit, worker) }
        }
    }

    /// F16 in contiguous rows: the operand itself, or a copy made by a phase.
    private mutating func halfRows(_ id: TensorID, _ operand: Operand) throws(BackendError) -> Operand {
        if operand.type == .f16, operand.hasContiguousRows { return operand }
        let reader = try reader(id, operand)
        let (bytes, overflow) = operand.elementCount.multipliedReportingOverflow(by: 2)
        guard !overflow, operand.shape.checkedElementCount != nil else { throw invalid(id, "its source is too large") }
        let place = try temporary(bytes)
        guard let base = place.baseAddress else { return operand }
        let copy = Operand(
            operand.id, Tensor(name: "", type: .f16, shape: operand.shape), at: base, writable: true)
        let narrow = vector.f32ToF16
        try needScratch(reader.scratchCount * 4)
        addPhase(
            over: operand.rowCount, costPerUnit: Double(operand.n0) * 0.5, reads: operand.ranges, writes: copy.ranges
        ) { worker, range in
            for row in range { narrow(reader.row(row, worker.floats()), copy.row(row), operand.n0) }
        }
        return copy
    }
}

/// The attention of one node, cut into units of queries that share a KV head.
private struct AttentionTask {
    let queries: Operand
    let keys: Operand
    let values: Operand
    let mask: Operand?
    let result: Operand
    let slopes: UnsafePointer<Float>
    let sinks: UnsafePointer<Float>?
    let parameters: FlashAttentionParameters
    let kernel: @Sendable (UnsafePointer<AttentionArguments>) -> Void
    /// Queries that the kernel takes at once.
    let maximum: Int
    /// Bytes of thread memory for the kernel; the lists of pointers lie behind them.
    let kernelByteCount: Int
    private(set) var perUnit = 1

    /// Heads that share a KV head.
    var heads: Int { queries.n2 / keys.n2 }
    /// Queries that share a KV head: those heads of every token.
    var groupSize: Int { heads &* queries.n1 }
    private var unitsPerGroup: Int { (groupSize &+ perUnit &- 1) / perUnit }
    var unitCount: Int { unitsPerGroup &* keys.n2 &* queries.n3 }
    var listByteCount: Int { maximum * 40 + 64 }

    /// Chooses how many queries make a unit: as many as the kernel takes, fewer where threads would go without.
    mutating func split(threads: Int, cost: Double) {
        perUnit = min(maximum, groupSize)
        let groups = keys.n2 * queries.n3
        if threads > 1, cost * Double(groups) > 10_000, unitCount < threads {
            let wanted = (threads + groups - 1) / groups
            perUnit = max(1, (groupSize + wanted - 1) / wanted)
        }
    }

    func compute(_ unit: Int, _ worker: Worker) {
        let (group, part) = unit.quotientAndRemainder(dividingBy: unitsPerGroup)
        let (stream, keyHead) = group.quotientAndRemainder(dividingBy: keys.n2)
        let first = part &* perUnit
        let count = min(perUnit, groupSize &- first)

        let lists = worker.scratch + kernelByteCount
        let starts = lists.assumingMemoryBound(to: UnsafePointer<Float>.self)
        let masks = (lists + maximum &* 8).assumingMemoryBound(to: UnsafeRawPointer?.self)
        let outputs = (lists + maximum &* 16).assumingMemoryBound(to: UnsafeMutablePointer<Float>.self)
        let weights = (lists + maximum &* 24).assumingMemoryBound(to: Float.self)
        let own = (lists + maximum &* 28).assumingMemoryBound(to: Float.self)
        for i in 0..<count {
            let (token, member) = (first &+ i).quotientAndRemainder(dividingBy: heads)
            let head = keyHead &* heads &+ member
            starts[i] = UnsafePointer(queries.row3(token, head, stream).assumingMemoryBound(to: Float.self))
            masks[i] = mask.map { UnsafeRawPointer($0.row3(token, head % $0.n2, stream % $0.n3)) }
            outputs[i] = result.row3(head, token, stream).assumingMemoryBound(to: Float.self)
            weights[i] = slopes[head]
            own[i] = sinks.map { $0[head] } ?? -Float.infinity
        }
        let keyStream = stream / (queries.n3 / keys.n3)
        var arguments = AttentionArguments(
            queries: starts, masks: masks, slopes: weights, sinks: own, outputs: outputs, queryCount: count,
            keys: keys.row3(0, keyHead, keyStream), keyStride: keys.s1, values: values.row3(0, keyHead, keyStream),
            valueStride: values.s1, keyCount: keys.n1, keySize: keys.n0, valueSize: values.n0, scale: parameters.scale,
            softcap: parameters.softcap, scratch: worker.scratch)
        kernel(&arguments)
    }
}
