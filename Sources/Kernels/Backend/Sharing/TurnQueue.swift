internal import Base
internal import Synchronization
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Who computes when several want to: one at a time, in the order in which they asked.
///
/// Whoever computes offers its turn between slices of work; once it has had a quantum and somebody waits, the turn goes to
/// who waited longest, and the one that gave it up queues behind all others. So a step of a few milliseconds waits for
/// a quantum of each neighbour, never for a neighbour's whole prompt. Without company all of this costs one atomic
/// operation a slice.
final class TurnQueue: @unchecked Sendable {
    // Sendable: everything but the atomic is used under `mutex` alone.

    /// Nanoseconds that a turn lasts at least; long beside what a change of caches costs.
    private static let quantum: UInt64 = 5_000_000

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let waitingCount = Atomic<Int>(0)
    private var isTaken = false
    private var waiting: [Waiter] = []

    /// One thread that waits, with a condition of its own: a turn that passes on wakes nobody else.
    private final class Waiter {
        let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
        var hasTurn = false

        init() {
            condition.initialize(to: pthread_cond_t())
            pthread_cond_init(condition, nil)
        }

        deinit {
            pthread_cond_destroy(condition)
            condition.deallocate()
        }
    }

    /// A turn that lasts until it is given back.
    struct Turn {
        fileprivate var start: UInt64
    }

    init() {
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Waits for the turn.
    func take() -> Turn {
        pthread_mutex_lock(mutex)
        if isTaken { wait() }
        isTaken = true
        pthread_mutex_unlock(mutex)
        return Turn(start: MonotonicClock.nanoseconds())
    }

    func giveBack(_ turn: Turn) {
        pthread_mutex_lock(mutex)
        isTaken = passOn()
        pthread_mutex_unlock(mutex)
    }

    /// Lets others compute in between, if there are any and the turn has lasted its quantum.
    ///
    /// - Returns: nanoseconds that they took.
    @inline(__always)
    func offer(_ turn: inout Turn) -> UInt64 {
        waitingCount.load(ordering: .relaxed) == 0 ? 0 : exchange(&turn)
    }

    private func exchange(_ turn: inout Turn) -> UInt64 {
        let end = MonotonicClock.nanoseconds()
        if end &- turn.start < TurnQueue.quantum { return 0 }
        pthread_mutex_lock(mutex)
        if passOn() { wait() }
        pthread_mutex_unlock(mutex)
        turn.start = MonotonicClock.nanoseconds()
        return turn.start &- end
    }

    /// Gives the turn to who waited longest; false if nobody waits. Under the mutex.
    private func passOn() -> Bool {
        guard let next = waiting.first else { return false }
        waiting.removeFirst()
        waitingCount.store(waiting.count, ordering: .relaxed)
        next.hasTurn = true
        pthread_cond_signal(next.condition)
        return true
    }

    /// Queues and waits until the turn is passed on to the caller. Under the mutex.
    private func wait() {
        let own = Waiter()
        waiting.append(own)
        waitingCount.store(waiting.count, ordering: .relaxed)
        while !own.hasTurn { pthread_cond_wait(own.condition, mutex) }
    }
}
