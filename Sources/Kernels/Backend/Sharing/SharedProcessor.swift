internal import KernelTable
internal import Synchronization
internal import Tensor

/// What all lanes of one processor share: kernels, threads, their scratch memory, turns, and the account of memory.
final class SharedProcessor: Sendable {
    let variant: KernelVariant
    let kernels: KernelSet
    let pool: ThreadPool
    let turns = TurnQueue()
    let ledger: MemoryLedger
    /// Nanoseconds that one graph may compute; nil for any.
    let graphLimit: UInt64?
    var graphSeconds: Double { Double((graphLimit ?? 0) / 1_000_000) / 1000 }
    /// One a thread. What lies in it lives for one piece, so lanes can share it.
    let scratch: [ReservedMemory]
    private let growing = Mutex<Void>(())
    /// Bytes of addresses that a lane's arena gets.
    let arenaCapacity: Int

    init(
        variant: KernelVariant, kernels: KernelSet, threads: Int, ledger: MemoryLedger, graphSeconds: Double?
    ) throws(BackendError) {
        self.variant = variant
        self.kernels = kernels
        pool = ThreadPool(threadCount: threads)
        self.ledger = ledger
        graphLimit = graphSeconds.map { UInt64(min(max($0, 0), 1e8) * 1e9) }
        // Addresses cost nothing; twice the memory there is can never be too little.
        arenaCapacity = max(1 << 36, SystemMemory.current().total.multipliedReportingOverflow(by: 2).partialValue)
        var scratch: [ReservedMemory] = []
        for _ in 0..<pool.threadCount { scratch.append(try ReservedMemory(capacity: 1 << 32)) }
        self.scratch = scratch
    }

    func growScratch(to byteCount: Int) throws(BackendError) {
        try growing.withLock { _ throws(BackendError) in
            for memory in scratch { try memory.grow(to: byteCount) }
        }
    }

    /// Thread memory that is kept between graphs, each thread's.
    private static let keptScratch = 64 << 20

    /// After a graph that used so much, with the turn still in hand: one unusual graph must not cost memory for good.
    func releaseScratch(after byteCount: Int) {
        if byteCount <= SharedProcessor.keptScratch { return }
        growing.withLock { _ in
            for memory in scratch { memory.release(above: SharedProcessor.keptScratch) }
        }
    }
}
