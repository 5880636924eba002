internal import Synchronization
internal import Tensor

/// The first bad index that a run met in tensor data, and whether to stop for it.
final class FaultRecord: @unchecked Sendable {
    // Sendable: `fault` is written by the one thread that `isTaken` lets through, and read after the section's end,
    // which orders it behind the writing.

    struct Fault {
        var tensor: TensorID
        var index: Int
        var limit: Int
    }

    private let isTaken = Atomic<Bool>(false)
    private var fault: Fault?

    func report(_ new: Fault) {
        if isTaken.exchange(true, ordering: .acquiringAndReleasing) { return }
        fault = new
    }

    /// Whether there was any; cheap enough to ask between pieces.
    var shouldStop: Bool { isTaken.load(ordering: .relaxed) }

    /// Between sections: the fault of the run so far.
    var current: Fault? { isTaken.load(ordering: .acquiring) ? fault : nil }

    func clear() {
        fault = nil
        isTaken.store(false, ordering: .releasing)
    }
}
