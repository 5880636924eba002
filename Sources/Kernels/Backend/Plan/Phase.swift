internal import Tensor

/// What a thread has while it computes a piece.
final class Worker {
    let thread: Int
    /// The thread's own memory, 64-byte aligned, as large as the plan's most demanding phase asked for.
    let scratch: UnsafeMutableRawPointer
    private let faults: FaultRecord

    init(thread: Int, scratch: UnsafeMutableRawPointer, faults: FaultRecord) {
        self.thread = thread
        self.scratch = scratch
        self.faults = faults
    }

    /// The thread's memory as F32 values from `index` on.
    @inline(__always)
    func floats(_ index: Int = 0) -> UnsafeMutablePointer<Float> {
        scratch.assumingMemoryBound(to: Float.self) + index
    }

    /// Notes that tensor data held an index outside of `0 ..< limit`. The first note of a run is kept.
    func report(index: Int, limit: Int, at tensor: TensorID) {
        faults.report(FaultRecord.Fault(tensor: tensor, index: index, limit: limit))
    }
}

/// A part of a node's work: pieces that are independent of each other, and the memory they touch.
struct Phase {
    /// Computes one piece.
    var body: (Worker, Int) -> Void
    var pieces: Int
    /// Nanoseconds that all pieces take on one thread, estimated; decides only how work is spread.
    var cost: Int
    var reads: [Range<UInt>]
    var writes: [Range<UInt>]

    /// Whether one must be done before the other begins.
    func conflicts(with earlier: Phase) -> Bool {
        for write in earlier.writes {
            if reads.contains(where: { $0.overlaps(write) }) || writes.contains(where: { $0.overlaps(write) }) {
                return true
            }
        }
        return writes.contains { write in earlier.reads.contains { $0.overlaps(write) } }
    }
}
