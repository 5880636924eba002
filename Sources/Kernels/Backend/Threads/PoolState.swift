internal import Base
internal import Synchronization
internal import Tensor

#if arch(x86_64)
    internal import Builtin
#endif
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What the threads of a pool share.
///
/// One word, the ticket, tells how many pieces the section has and which is next; a thread takes a piece by adding
/// one to it. A thread that comes late adds to whichever section is current then, and gets one of its pieces or
/// finds none left; so there is nothing it could confuse, and nobody needs to wait for it.
final class PoolState: @unchecked Sendable {
    // Sendable: `context` and `function` are published by `ticket` and read only by holders of an unfinished piece,
    // during which they do not change; everything else is atomic or used under `mutex`.

    /// Pieces in the upper half, the next one to take in the lower.
    private let ticket = Atomic<UInt64>(0)
    private let completed = Atomic<Int>(0)
    private var context: UnsafeRawPointer?
    private var function: PieceFunction?
    private let stopping = Atomic<Bool>(false)
    private let sleepers = Atomic<Int>(0)
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// Pauses before a waiting thread offers its processor to others.
    private static let spinCount = 256
    /// Nanoseconds without work after which a thread goes to sleep.
    private static let patience: UInt64 = 1_000_000

    init() {
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    // MARK: The caller's side

    func publish(_ context: UnsafeRawPointer, pieces: Int, _ function: PieceFunction) {
        completed.store(0, ordering: .relaxed)
        self.context = context
        self.function = function
        ticket.store(UInt64(pieces) << 32, ordering: .sequentiallyConsistent)
        wakeSleepers()
    }

    func waitForCompletion(of pieces: Int) {
        var turns = 0
        while completed.load(ordering: .acquiring) != pieces {
            turns &+= 1
            if turns < PoolState.spinCount * 4 { PoolState.pause() } else { sched_yield() }
        }
    }

    /// A thread that is about to sleep announces itself before it looks at the ticket a last time, and the ticket is
    /// changed before this looks for sleepers; so one of the two sees the other.
    func wakeSleepers() {
        if sleepers.load(ordering: .sequentiallyConsistent) == 0 { return }
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    var sleepingThreadCount: Int { sleepers.load(ordering: .relaxed) }

    func stop() {
        stopping.store(true, ordering: .sequentiallyConsistent)
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }

    // MARK: All threads

    private var hasPieces: Bool {
        let seen = ticket.load(ordering: .sequentiallyConsistent)
        return seen & 0xffff_ffff < seen >> 32
    }

    /// Computes pieces until the section has none left to take.
    func takePieces(thread: Int) {
        while hasPieces {
            let taken = ticket.wrappingAdd(1, ordering: .acquiringAndReleasing).oldValue
            let piece = taken & 0xffff_ffff
            guard piece < taken >> 32, let context, let function else { return }
            function(context, Int(truncatingIfNeeded: piece), thread)
            completed.wrappingAdd(1, ordering: .releasing)
        }
    }

    // MARK: The other threads' side

    func serve(thread: Int) {
        while true {
            takePieces(thread: thread)
            guard waitForPieces() else { return }
        }
    }

    /// False when the pool is to end.
    private func waitForPieces() -> Bool {
        for _ in 0..<PoolState.spinCount {
            if hasPieces { return true }
            PoolState.pause()
        }
        let start = MonotonicClock.nanoseconds()
        while MonotonicClock.nanoseconds() &- start < PoolState.patience {
            if hasPieces { return true }
            if stopping.load(ordering: .relaxed) { return false }
            sched_yield()
        }
        pthread_mutex_lock(mutex)
        sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
        // Called up without pieces, a thread returns to spinning: a run is about to begin.
        if !hasPieces, !stopping.load(ordering: .sequentiallyConsistent) { pthread_cond_wait(condition, mutex) }
        sleepers.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        pthread_mutex_unlock(mutex)
        return !stopping.load(ordering: .relaxed)
    }

    @inline(__always)
    private static func pause() {
        #if arch(x86_64)
            Builtin.int_x86_sse2_pause()
        #endif
    }
}
