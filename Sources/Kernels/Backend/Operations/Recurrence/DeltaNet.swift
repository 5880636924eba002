internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension PlanBuilder {
    /// The gated delta rule (Yang et al., "Gated Delta Networks", 2024): queries and keys `[size, key heads, tokens,
    /// key sequences]`, values `[size, heads, tokens, sequences]`, gates `[1 or size, heads, tokens, sequences]`, beta
    /// `[1, heads, tokens, sequences]`, states `[size, size, heads, sequences]`, keys along their rows.
    ///
    /// `S = exp(gate) · S`, `S = S + beta · (v - S k) kᵀ`, `out = S q / √size`. The result is the outputs `[size, heads,
    /// tokens, sequences]`, then as many states as there are snapshots: after the last token, after the one before it, …
    mutating func addGatedDeltaNet(_ id: TensorID, snapshots: Int32) throws(BackendError) {
        let task = try DeltaTask(id, snapshots: Int(snapshots), in: self)
        if task.size == 0 { return }
        try needScratch(task.scratchByteCount)
        addPhase(
            over: task.unitCount, costPerUnit: Double(task.tokens) * Double(task.stateCount) * 0.15 + 100,
            reads: task.reads, writes: task.result.ranges
        ) { worker, range in
            for unit in range { task.compute(unit, worker) }
        }
    }
}

/// The gated delta rule of one node; its units are the heads of all sequences.
private struct DeltaTask {
    let size: Int
    let heads: Int
    let tokens: Int
    let sequences: Int
    let result: Operand
    private let snapshots: Int
    private let q: Operand
    private let k: Operand
    private let v: Operand
    private let gates: Operand
    private let beta: Operand
    private let state: Operand
    private let kernels: RecurrenceTable

    init(_ id: TensorID, snapshots: Int, in builder: PlanBuilder) throws(BackendError) {
        q = try builder.source(id, 0)
        k = try builder.source(id, 1)
        v = try builder.source(id, 2)
        gates = try builder.source(id, 3)
        (size, heads, tokens, sequences) = (v.n0, v.n1, v.n2, v.n3)
        self.snapshots = snapshots
        for keys in [q, k] {
            guard keys.n0 == size, keys.n1 > 0, heads % keys.n1 == 0, keys.n2 == tokens, keys.n3 > 0,
                sequences % keys.n3 == 0
            else { throw builder.invalid(id, "keys \(keys.shape) do not fit values \(v.shape)") }
        }
        for operand in [q, k, v] {
            guard operand.type == .f32, operand.isEmpty || operand.hasContiguousRows else { throw builder.unsupported(id) }
        }
        guard snapshots >= 1, gates.n0 == 1 || gates.n0 == size else {
            throw builder.invalid(id, "gates \(gates.shape), \(snapshots) snapshots")
        }
        let steps = try builder.elementCount(id, heads, tokens, sequences)
        let states = try builder.elementCount(id, size, size, heads, sequences)
        let outputs = try builder.elementCount(id, size, heads, tokens, sequences)
        let (kept, overflow) = states.multipliedReportingOverflow(by: snapshots)
        guard !overflow, kept <= 1 << 44 else { throw builder.invalid(id, "\(snapshots) snapshots have no size") }
        _ = try builder.packedFloats(id, 3, count: try builder.elementCount(id, gates.n0, steps))
        beta = try builder.packedFloats(id, 4, count: steps)
        state = try builder.packedFloats(id, 5, count: states)
        result = try builder.packedOutput(id, count: outputs + kept)
        kernels = builder.recurrence
    }

    var unitCount: Int { heads &* sequences }
    var stateCount: Int { size &* size }
    var scratchByteCount: Int { 8 &* size }
    var reads: [Range<UInt>] { [q, k, v, gates, beta, state].flatMap(\.ranges) }

    func compute(_ unit: Int, _ worker: Worker) {
        let (sequence, head) = unit.quotientAndRemainder(dividingBy: heads)
        let decay = worker.floats()
        // What reads the decayed state is as well decayed itself.
        let reader = worker.floats(size)
        let outputs = size &* unitCount &* tokens
        // The newest snapshot is where the state is carried along.
        let current = result.floats + (outputs &+ unit &* stateCount)
        var previous = UnsafePointer(state.floats + unit &* stateCount)
        if tokens == 0 { current.update(from: previous, count: stateCount) }
        let scale = 1 / Float(size).squareRoot()

        for t in 0..<tokens {
            let step = (sequence &* tokens &+ t) &* heads &+ head
            let query = row(q, head, t, sequence)
            let key = row(k, head, t, sequence)
            let value = row(v, head, t, sequence)
            let strength = beta.floats[step]
            if gates.n0 == size {
                for i in 0..<size { decay[i] = expf(gates.floats[step &* size &+ i]) }
            } else {
                decay.update(repeating: expf(gates.floats[step]), count: size)
            }
            for i in 0..<size { reader[i] = decay[i] * key[i] }
            let out = result.floats + step &* size
            for j in 0..<size {
                let before = previous + j &* size
                let change = (value[j] - kernels.dot(before, reader, size)) * strength
                out[j] = kernels.carry(before, current + j &* size, decay, key, change, nil, 0, query, size) * scale
            }
            previous = UnsafePointer(current)
            let age = tokens &- 1 &- t
            if age > 0, age < snapshots {
                (current + age &* stateCount &* unitCount).update(from: current, count: stateCount)
            }
        }
    }

    /// Heads take the keys' heads in turn; neighbouring sequences share the keys' sequences.
    @inline(__always)
    private func row(_ operand: Operand, _ head: Int, _ t: Int, _ sequence: Int) -> UnsafePointer<Float> {
        UnsafePointer(
            operand.row3(head % operand.n1, t, sequence / (sequences / operand.n3)).assumingMemoryBound(to: Float.self))
    }
}
