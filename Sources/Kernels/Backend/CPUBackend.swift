package import KernelTable
internal import Synchronization
public import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// This machine's processor as a backend: kernels for the widest instruction set it has, on threads of its own.
///
/// Results depend on the variant alone: neither the number of threads nor what else is computed changes a byte.
///
/// Several users share a processor by lanes: a ``lane()`` is a backend of its own (its buffers and plans are no other's)
/// on the same threads, kernels and memory limits. Lanes take turns, in the middle of their graphs too.
public final class CPUBackend: Backend {
    /// The instruction set whose kernels run.
    public var variant: KernelVariant { processor.variant }
    public var name: String { "CPU (\(variant.name))" }
    public var alignment: Int { 64 }
    /// Threads that compute, the caller's among them.
    public var threadCount: Int { processor.pool.threadCount }
    /// Bytes of buffers and plans in use, of all lanes.
    public var promisedByteCount: Int { processor.ledger.promisedByteCount }

    /// Conversions to and from F32, by ggml's type number.
    package var conversions: [UInt32: ConversionKernel] { kernels.products.conversions }

    /// Bytes that may be read past a tensor's end in memory of the backend's own.
    static let padding = 64

    let processor: SharedProcessor
    var kernels: KernelSet { processor.kernels }
    let faults: FaultRecord
    private let workers: WorkerList
    /// Where the plans' own tensors lie: all plans of the lane share it, since one runs at a time.
    private let arena: ReservedMemory
    private let running = Mutex<Void>(())
    private let preparing = Mutex<Void>(())

    /// - Parameters:
    ///   - variant: the widest that the processor can run if nil.
    ///   - threads: at least 1; the thread that calls ``run(_:)`` is one of them.
    ///   - limits: for this backend and all its lanes together, but for those of one graph, and for a ledger that others share.
    /// - Throws: `unsupported` if the processor cannot run `variant`, `outOfMemory`.
    public convenience init(variant: KernelVariant? = nil, threads: Int, limits: Limits = .none) throws(BackendError) {
        let chosen = variant ?? .best()
        if let obstacle = chosen.obstacle() {
            throw BackendError(.unsupported, "\(chosen.name) kernels cannot be used: \(obstacle)")
        }
        guard let kernels = KernelSet(chosen) else {
            throw BackendError(.unsupported, "\(chosen.name) kernels are not part of this build")
        }
        guard threads >= 1 else { throw BackendError(.invalidArgument, "\(threads) threads cannot compute") }
        let ledger = limits.ledger ?? MemoryLedger(limit: limits.memory, isStrict: limits.refusesOvercommitment)
        try self.init(
            SharedProcessor(variant: chosen, kernels: kernels, threads: threads, ledger: ledger, graphSeconds: limits.graphSeconds))
    }

    private init(_ processor: SharedProcessor, arenaLimit: Int = .max) throws(BackendError) {
        self.processor = processor
        arena = try ReservedMemory(capacity: min(processor.arenaCapacity, arenaLimit))
        let faults = FaultRecord()
        self.faults = faults
        workers = WorkerList(
            processor.scratch.indices.map { Worker(thread: $0, scratch: processor.scratch[$0].base, faults: faults) })
    }

    deinit { processor.ledger.giveBack(arena.byteCount) }

    /// Another backend on the same threads, for another user: neither can use the other's buffers, and while one
    /// computes a long graph the other gets its turns.
    ///
    /// - Throws: `outOfMemory`.
    public func lane() throws(BackendError) -> CPUBackend {
        // Hundreds of lanes share the addresses that there are.
        try CPUBackend(processor, arenaLimit: 1 << 37)
    }

    public func computeByteCount() throws(BackendError) -> Int { preparing.withLock { _ in arena.byteCount } }

    public func makeLane() throws(BackendError) -> any Backend { try lane() }

    public func memory() throws(BackendError) -> DeviceMemory { processor.ledger.memory() }

    /// Stops the graph that runs, and every later one: the lane's user is gone. Other lanes are not concerned. Callable
    /// from any thread.
    public func cancel() { faults.stopForGood() }

    // MARK: Buffers

    public func allocate(byteCount: Int) throws(BackendError) -> any Buffer {
        try CPUBuffer(zeroed: byteCount, of: self)
    }

    /// Weights stay where they are, each in a buffer of its own.
    public func load(
        _ tensors: [TensorUpload], isInVain: @escaping @Sendable () -> Bool, progress: @escaping @Sendable (TransferProgress) -> Void
    ) throws(BackendError) -> [LoadedTensor] {
        var byteCount = 0
        var loaded: [LoadedTensor] = []
        for tensor in tensors {
            try tensor.checkSize()
            loaded.append(LoadedTensor(buffer: CPUBuffer(tensor.content, of: self), byteOffset: 0))
            byteCount += tensor.content.bytes.count
        }
        progress(TransferProgress(done: byteCount, total: byteCount, sent: 0))
        return loaded
    }

    public func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError) {
        let target = try own(buffer)
        guard target.isWritable else { throw BackendError(.invalidArgument, "the buffer is read-only") }
        try target.check(byteOffset, bytes.count)
        if let source = bytes.baseAddress { memmove(target.base + byteOffset, source, bytes.count) }
    }

    public func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        let source = try own(buffer)
        try source.check(byteOffset, bytes.count)
        if let target = bytes.baseAddress { memmove(target, source.base + byteOffset, bytes.count) }
    }

    /// An address for questions whose answers do not depend on one.
    var anyAddress: UnsafeMutableRawPointer { arena.base }

    /// `buffer` as one of this backend's.
    func own(_ buffer: any Buffer, for tensor: String? = nil) throws(BackendError) -> CPUBuffer {
        guard let mine = buffer as? CPUBuffer, mine.owner === self else {
            throw BackendError(.invalidArgument, tensor: tensor, "the buffer belongs to another backend")
        }
        return mine
    }

    // MARK: Plans

    public func supports(_ id: TensorID, of graph: Graph) -> Bool {
        do throws(BackendError) {
            var builder = PlanBuilder(graph, for: self, threadCount: workers.list.count)
            try builder.checkNode(id)
            return true
        } catch {
            return false
        }
    }

    public func prepare(_ graph: Graph) throws(BackendError) -> any Plan { try plan(graph) }

    /// ``prepare(_:)`` with the plan's own type.
    public func plan(_ graph: Graph) throws(BackendError) -> CPUPlan {
        var builder = PlanBuilder(graph, for: self, threadCount: workers.list.count)
        try builder.build(in: arena)
        try preparing.withLock { _ throws(BackendError) in
            let before = arena.byteCount
            if builder.byteCount > before { try processor.ledger.take(builder.byteCount - before) }
            defer { processor.ledger.giveBack(max(before, builder.byteCount) - arena.byteCount) }
            try arena.grow(to: builder.byteCount)
        }
        try processor.growScratch(to: builder.scratchByteCount)
        let planByteCount = builder.planByteCount
        try processor.ledger.take(planByteCount)
        let sections = Schedule.sections(of: builder.phases, workers: workers.list, faults: faults)
        return CPUPlan(
            backend: self, graph: graph, operands: builder.operands, sections: sections, storage: builder.storage,
            computeByteCount: builder.byteCount, scratchByteCount: builder.scratchByteCount, planByteCount: planByteCount)
    }

    // MARK: Running

    public func run(_ step: Step) throws(BackendError) {
        guard let plan = step.plan as? CPUPlan, plan.backend === self else {
            throw BackendError(.invalidArgument, "the plan belongs to another backend")
        }
        try running.withLock { _ throws(BackendError) in
            for write in step.writes {
                let count = write.bytes.count
                let target = try plan.range(of: write.tensor, at: write.byteOffset, count: count, writing: true)
                if let source = write.bytes.baseAddress { memcpy(target, source, count) }
            }
            try compute(plan)
            for read in step.reads {
                let count = read.bytes.count
                let source = try plan.range(of: read.tensor, at: read.byteOffset, count: count, writing: false)
                if let target = read.bytes.baseAddress { memcpy(target, source, count) }
            }
        }
    }

    private func compute(_ plan: CPUPlan) throws(BackendError) {
        var turn = processor.turns.take()
        faults.begin(within: processor.graphLimit)
        if plan.sharesWork { processor.pool.wake() }
        for section in plan.sections {
            section.compute(on: processor.pool) {
                faults.checkTime()
                if faults.shouldStop { return false }
                faults.extend(by: processor.turns.offer(&turn))
                return true
            }
            if faults.shouldStop { break }
        }
        processor.releaseScratch(after: plan.scratchByteCount)
        processor.turns.giveBack(turn)
        guard let stop = faults.current else { return }
        switch stop {
        case .cancelled: throw BackendError(.cancelled, "computing was stopped")
        case .outOfTime:
            throw BackendError(.cancelled, "the graph takes longer than the \(processor.graphSeconds) s that one may compute")
        case .index(let fault):
            let operation = plan.graph[fault.tensor].operation
            let message = "\(operation): index \(fault.index) lies outside of 0 ..< \(fault.limit)"
            throw BackendError(.indexOutOfRange, tensor: plan.graph[fault.tensor].name, message)
        }
    }
}

/// The threads' contexts, one a thread.
private struct WorkerList: @unchecked Sendable {
    // Sendable: each worker is used by its own thread alone; the list does not change.
    let list: [Worker]

    init(_ list: [Worker]) { self.list = list }
}
