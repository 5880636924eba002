internal import Base
internal import Synchronization
internal import Tensor

/// Counts what goes through a stage; written by its thread, read by any.
public final class StageMeter: Sendable {
    private let steps = Atomic(0)
    private let nanoseconds = Atomic(0)

    public var stepCount: Int { steps.load(ordering: .relaxed) }
    /// Time spent on them, a remote stage's way there and back included.
    public var busyNanoseconds: Int { nanoseconds.load(ordering: .relaxed) }

    func begin() { steps.wrappingAdd(1, ordering: .relaxed) }

    func measure<E: Error>(_ work: () throws(E) -> Void) throws(E) {
        let start = MonotonicClock.nanoseconds()
        defer { nanoseconds.wrappingAdd(Int(truncatingIfNeeded: MonotonicClock.nanoseconds() &- start), ordering: .relaxed) }
        try work()
    }
}
