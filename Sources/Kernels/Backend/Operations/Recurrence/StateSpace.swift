internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

extension PlanBuilder {
    /// A causal convolution per channel: inputs `[size - 1 + tokens, channels, sequences]` that begin with what earlier
    /// tokens left, kernel `[size, channels]`: `[channels, tokens, sequences]`.
    mutating func addStateConvolution(_ id: TensorID) throws(BackendError) {
        let x = try source(id, 0)
        let kernel = try source(id, 1)
        let (size, channels) = (kernel.n0, kernel.n1)
        guard size > 0, kernel.n2 == 1, kernel.n3 == 1, x.n1 == channels, x.n3 == 1, x.n0 >= size - 1 else {
            throw invalid(id, "kernel \(kernel.shape) does not fit \(x.shape)")
        }
        let tokens = x.n0 - (size - 1)
        let result = try floatOutput(id, Shape(channels, tokens, x.n2))
        if result.isEmpty { return }
        guard x.type == .f32, kernel.type == .f32, x.hasContiguousRows, kernel.hasContiguousRows else {
            throw unsupported(id)
        }
        // So many channels that their rows stay in cache and their results fill cache lines.
        let block = 16
        let blocks = (channels + block - 1) / block
        addPhase(
            over: blocks * x.n2, costPerUnit: Double(block * tokens) * (Double(size) * 0.4 + 1) + 20,
            reads: x.ranges + kernel.ranges, writes: result.ranges
        ) { _, range in
            for unit in range {
                let (sequence, part) = unit.quotientAndRemainder(dividingBy: blocks)
                let first = part &* block
                for t in 0..<tokens {
                    let out = result.row3(t, sequence, 0).assumingMemoryBound(to: Float.self)
                    for channel in first..<min(channels, first &+ block) {
                        let window = x.row3(channel, sequence, 0).assumingMemoryBound(to: Float.self) + t
                        let weights = kernel.row3(channel, 0, 0).assumingMemoryBound(to: Float.self)
                        var sum: Float = 0
                        for i in 0..<size { sum += window[i] * weights[i] }
                        out[channel] = sum
                    }
                }
            }
        }
    }

    /// The selective scan of Mamba (Gu & Dao, 2023) and Mamba-2 (Dao & Gu, 2024): states `[state size, head size, heads,
    /// slots]`, x `[head size, heads, tokens, sequences]`, dt `[heads, tokens, sequences]`, A `[state size or 1, heads]`,
    /// B and C `[state size, groups, tokens, sequences]`, each sequence's slot.
    ///
    /// `S = exp(dt A) · S + dt x Bᵀ`, `y = S C`, dt after softplus. The result is y, then as many states of every sequence
    /// as there are snapshots: after the last token, after the one before it, ….
    mutating func addScan(_ id: TensorID, snapshots: Int32) throws(BackendError) {
        let task = try ScanTask(id, snapshots: Int(snapshots), in: self)
        if task.result.isEmpty { return }
        try needScratch(4 * task.stateSize)
        addPhase(
            over: task.unitCount,
            costPerUnit: Double(task.tokens) * Double(task.headSize) * (Double(task.stateSize) * 0.1 + 5) + 50,
            reads: task.reads, writes: task.result.ranges
        ) { worker, range in
            for unit in range { task.compute(unit, worker) }
        }
    }
}

/// The selective scan of one node; its units are the heads of all sequences.
private struct ScanTask {
    let stateSize: Int
    let headSize: Int
    let tokens: Int
    let result: Operand
    private let heads: Int
    private let sequences: Int
    private let snapshots: Int
    private let states: Operand
    private let x: Operand
    private let dt: Operand
    private let a: Operand
    private let b: Operand
    private let c: Operand
    private let slots: Operand
    private let id: TensorID
    private let carry:
        @Sendable (
            UnsafePointer<Float>, UnsafeMutablePointer<Float>, UnsafePointer<Float>, UnsafePointer<Float>, Float,
            UnsafePointer<Float>?, Float, UnsafePointer<Float>, Int
        ) -> Float
    private let scale: @Sendable (UnsafePointer<Float>, UnsafeMutablePointer<Float>, Int, Float, Float) -> Void
    private let exponential: RowKernel

    init(_ id: TensorID, snapshots: Int, in builder: PlanBuilder) throws(BackendError) {
        self.id = id
        self.snapshots = snapshots
        x = try builder.source(id, 1)
        a = try builder.source(id, 3)
        b = try builder.source(id, 4)
        c = try builder.source(id, 5)
        slots = try builder.source(id, 6)
        let given = try builder.source(id, 0)
        (headSize, heads, tokens, sequences) = (x.n0, x.n1, x.n2, x.n3)
        stateSize = given.n0
        guard given.n1 == headSize, given.n2 == heads, snapshots >= 1 else {
            throw builder.invalid(id, "states \(given.shape) do not fit \(x.shape), \(snapshots) snapshots")
        }
        for input in [b, c] {
            guard input.shape == Shape(stateSize, b.n1, tokens, sequences), input.n1 > 0, heads % input.n1 == 0 else {
                throw builder.invalid(id, "B, C \(input.shape) do not fit states \(given.shape), x \(x.shape)")
            }
        }
        for operand in [x, b, c] {
            guard operand.type == .f32, operand.isEmpty || operand.hasContiguousRows else { throw builder.unsupported(id) }
        }
        guard slots.type == .i32, slots.shape == Shape(sequences), slots.isEmpty || slots.hasContiguousRows,
            a.n0 == 1 || a.n0 == stateSize
        else { throw builder.invalid(id, "A \(a.shape), ids \(slots.shape)") }
        states = try builder.packedFloats(
            id, 0, count: try builder.elementCount(id, stateSize, headSize, heads, given.n3))
        dt = try builder.packedFloats(id, 2, count: try builder.elementCount(id, heads, tokens, sequences))
        _ = try builder.packedFloats(id, 3, count: try builder.elementCount(id, a.n0, heads))
        let outputs = try builder.elementCount(id, headSize, heads, tokens, sequences)
        let kept = try builder.elementCount(id, snapshots, stateSize, headSize, heads, sequences)
        result = try builder.packedOutput(id, count: outputs + kept)
        guard let exponential = builder.vector.unary[Int(UnaryKind.exp.rawValue)] else { throw builder.unsupported(id) }
        self.exponential = exponential
        carry = builder.recurrence.carry
        scale = builder.vector.scale
    }

    var unitCount: Int { heads &* sequences }
    var reads: [Range<UInt>] { [states, x, dt, a, b, c, slots].flatMap(\.ranges) }
    /// Values of one head's state.
    private var stateCount: Int { stateSize &* headSize }

    func compute(_ unit: Int, _ worker: Worker) {
        let (sequence, head) = unit.quotientAndRemainder(dividingBy: heads)
        let slot = Int((slots.base + sequence &* 4).load(as: Int32.self))
        guard slot >= 0, slot < states.n3 else { return worker.report(index: slot, limit: states.n3, at: id) }
        let outputs = headSize &* unitCount &* tokens
        // The newest snapshot is where the state is carried along.
        let current = result.floats + (outputs &+ unit &* stateCount)
        var previous = UnsafePointer(states.floats + (slot &* heads &+ head) &* stateCount)
        if tokens == 0 { current.update(from: previous, count: stateCount) }
        let decay = worker.floats()
        let group = head / (heads / b.n1)

        for t in 0..<tokens {
            let step = (sequence &* tokens &+ t) &* heads &+ head
            let size = softplus(dt.floats[step])
            if a.n0 == 1 {
                decay.update(repeating: expf(size * a.floats[head]), count: stateSize)
            } else {
                scale(a.floats + head &* stateSize, decay, stateSize, size, 0)
                exponential(decay, decay, stateSize)
            }
            let input = x.row3(head, t, sequence).assumingMemoryBound(to: Float.self)
            let into = UnsafePointer(b.row3(group, t, sequence).assumingMemoryBound(to: Float.self))
            let from = UnsafePointer(c.row3(group, t, sequence).assumingMemoryBound(to: Float.self))
            let out = result.floats + step &* headSize
            for i in 0..<headSize {
                let offset = i &* stateSize
                out[i] = carry(previous + offset, current + offset, decay, into, input[i] * size, nil, 0, from, stateSize)
            }
            previous = UnsafePointer(current)
            let age = tokens &- 1 &- t
            if age > 0, age < snapshots {
                (current + age &* stateCount &* unitCount).update(from: current, count: stateCount)
            }
        }
    }

    private func softplus(_ value: Float) -> Float { value > 20 ? value : log1pf(expf(value)) }
}
