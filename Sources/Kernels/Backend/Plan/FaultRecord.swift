internal import Base
internal import Synchronization
internal import Tensor

/// Why a run stops before its end: the first bad index in tensor data, its time, somebody's wish.
final class FaultRecord: @unchecked Sendable {
    // Sendable: `fault` is written by the one thread that `isTaken` lets through, before it sets `reason`, and read
    // after the section's end, which orders it behind the writing. The rest is atomic.

    struct Fault {
        var tensor: TensorID
        var index: Int
        var limit: Int
    }

    enum Stop {
        case index(Fault)
        case outOfTime
        case cancelled
    }

    private enum Reason: UInt8, AtomicRepresentable {
        case none, index, outOfTime, cancelled
    }

    private let reason = Atomic<Reason>(.none)
    private let isTaken = Atomic<Bool>(false)
    private var fault: Fault?
    private let isEnded = Atomic<Bool>(false)
    /// When the run's time is over, as ``MonotonicClock`` counts; 0 for never.
    private let deadline = Atomic<UInt64>(0)

    // MARK: Pieces

    func report(_ new: Fault) {
        if isTaken.exchange(true, ordering: .acquiringAndReleasing) { return }
        fault = new
        stop(.index)
    }

    /// Whether there is any reason; cheap enough to ask between pieces.
    var shouldStop: Bool { reason.load(ordering: .relaxed) != .none }

    func checkTime() {
        let end = deadline.load(ordering: .relaxed)
        if end != 0, MonotonicClock.nanoseconds() > end { stop(.outOfTime) }
    }

    // MARK: Runs

    /// - Parameter limit: nanoseconds that the run may take.
    func begin(within limit: UInt64?) {
        fault = nil
        isTaken.store(false, ordering: .relaxed)
        deadline.store(limit.map { MonotonicClock.nanoseconds() &+ $0 } ?? 0, ordering: .relaxed)
        reason.store(.none, ordering: .sequentiallyConsistent)
        if isEnded.load(ordering: .sequentiallyConsistent) { stop(.cancelled) }
    }

    /// Gives the run back the time that others took.
    func extend(by nanoseconds: UInt64) {
        if nanoseconds == 0 { return }
        let end = deadline.load(ordering: .relaxed)
        if end != 0 { deadline.store(end &+ nanoseconds, ordering: .relaxed) }
    }

    /// Between sections: why the run stops, if it does.
    var current: Stop? {
        switch reason.load(ordering: .acquiring) {
        case .none: nil
        case .index: fault.map { .index($0) }
        case .outOfTime: .outOfTime
        case .cancelled: .cancelled
        }
    }

    // MARK: Anybody

    /// Stops this run and every later one.
    func stopForGood() {
        isEnded.store(true, ordering: .sequentiallyConsistent)
        stop(.cancelled)
    }

    private func stop(_ why: Reason) {
        _ = reason.compareExchange(expected: .none, desired: why, ordering: .sequentiallyConsistent)
    }
}
