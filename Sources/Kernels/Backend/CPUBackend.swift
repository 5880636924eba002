#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
package import KernelTable
internal import Synchronization
public import Tensor

/// This machine's processor as a backend: kernels for the widest instruction set it has, on threads of its own.
///
/// Results depend on the variant alone: neither the number of threads nor what else is computed changes a byte.
public final class CPUBackend: Backend {
    /// The instruction set whose kernels run.
    public let variant: KernelVariant
    public var name: String { "CPU (\(variant.name))" }
    public var alignment: Int { 64 }
    /// Threads that compute, the caller's among them.
    public var threadCount: Int { pool.threadCount }

    /// Conversions to and from F32, by ggml's type number.
    package var conversions: [UInt32: ConversionKernel] { kernels.products.conversions }

    /// Bytes that may be read past a tensor's end in memory of the backend's own.
    static let padding = 64

    let kernels: KernelSet
    let pool: ThreadPool
    let faults: FaultRecord
    private let workers: WorkerList
    /// Where the plans' own tensors lie: all plans share it, since one runs at a time.
    private let arena: ReservedMemory
    /// One a thread.
    private let scratch: [ReservedMemory]
    private let running = Mutex<Void>(())
    private let preparing = Mutex<Void>(())

    /// - Parameters:
    ///   - variant: the widest that the processor can run if nil.
    ///   - threads: at least 1; the thread that calls ``run(_:)`` is one of them.
    /// - Throws: `unsupported` if the processor cannot run `variant`, `outOfMemory`.
    public init(variant: KernelVariant? = nil, threads: Int) throws(BackendError) {
        let chosen = variant ?? .best()
        if let obstacle = chosen.obstacle() {
            throw BackendError(.unsupported, "\(chosen.name) kernels cannot be used: \(obstacle)")
        }
        guard let kernels = KernelSet(chosen) else {
            throw BackendError(.unsupported, "\(chosen.name) kernels are not part of this build")
        }
        guard threads >= 1 else { throw BackendError(.invalidArgument, "\(threads) threads cannot compute") }
        self.variant = chosen
        self.kernels = kernels
        pool = ThreadPool(threadCount: threads)
        // Addresses cost nothing; twice the memory there is can never be too little.
        let addresses = max(1 << 36, SystemMemory.current().total.multipliedReportingOverflow(by: 2).partialValue)
        arena = try ReservedMemory(capacity: addresses)
        let faults = FaultRecord()
        self.faults = faults
        var scratch: [ReservedMemory] = []
        for _ in 0..<pool.threadCount { scratch.append(try ReservedMemory(capacity: 1 << 32)) }
        self.scratch = scratch
        workers = WorkerList(
            scratch.indices.map { Worker(thread: $0, scratch: scratch[$0].base, faults: faults) })
    }

    public func memory() throws(BackendError) -> DeviceMemory { SystemMemory.current() }

    // MARK: Buffers

    public func allocate(byteCount: Int) throws(BackendError) -> any Buffer {
        try CPUBuffer(zeroed: byteCount, of: self)
    }

    public func adopt(_ region: MemoryRegion) throws(BackendError) -> any Buffer {
        CPUBuffer(region, of: self)
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
            try arena.grow(to: builder.byteCount)
            for memory in scratch { try memory.grow(to: builder.scratchByteCount) }
        }
        let sections = Schedule.sections(of: builder.phases, workers: workers.list, faults: faults)
        return CPUPlan(
            backend: self, graph: graph, operands: builder.operands, sections: sections, storage: builder.storage,
            computeByteCount: builder.byteCount)
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
        faults.clear()
        if plan.sharesWork { pool.wake() }
        for section in plan.sections {
            if section.isSerial {
                section.computeSerially()
            } else {
                section.compute(on: pool)
            }
            if faults.shouldStop { break }
        }
        if let fault = faults.current {
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
