internal import Tensor

/// Phases that run without waiting for each other: all their pieces, on one thread or shared out.
///
/// Long ones run in slices of some milliseconds, between which the run can be stopped and its turn offered to others.
final class Section {
    private let bodies: [(Worker, Int) -> Void]
    /// The first piece of each phase, and the end of the last's.
    private let starts: [Int]
    /// Nanoseconds that a piece of each phase takes, estimated.
    private let pieceCosts: [Int]
    private let workers: [Worker]
    private let faults: FaultRecord
    private let pieceCount: Int
    /// Whether thread 0 computes it by itself, phase after phase in order.
    let isSerial: Bool
    /// Whether pieces are so long that the clock is worth a look after each.
    private let hasLongPieces: Bool
    /// Pieces of a slice.
    private let sliceCount: Int
    /// The current slice's first piece. Set before a slice is published to the pool, and left alone until all its pieces
    /// are done.
    private var first = 0

    /// Nanoseconds of a slice, about.
    private static let slice = 4_000_000

    init(_ phases: [Phase], serial: Bool, workers: [Worker], faults: FaultRecord) {
        bodies = phases.map(\.body)
        var next = 0
        var starts: [Int] = []
        for phase in phases {
            starts.append(next)
            next += phase.pieces
        }
        starts.append(next)
        self.starts = starts
        pieceCount = next
        pieceCosts = phases.map { $0.cost / max(1, $0.pieces) }
        isSerial = serial
        hasLongPieces = pieceCosts.contains { $0 > 100_000 }
        let cost = phases.reduce(0) { $0 &+ $1.cost } / workers.count
        let slices = max(1, cost / Section.slice)
        sliceCount = slices == 1 ? next : max(workers.count, (next + slices - 1) / slices)
        self.workers = workers
        self.faults = faults
    }

    /// Computes everything, on `pool` or on the calling thread.
    ///
    /// - Parameter pause: called after each slice; false ends the run.
    func compute(on pool: ThreadPool, _ pause: () -> Bool) {
        if isSerial { return computeSerially(pause) }
        first = 0
        while first < pieceCount {
            let count = min(sliceCount, pieceCount - first)
            pool.run(Unmanaged.passUnretained(self).toOpaque(), pieces: count) { context, piece, thread in
                Unmanaged<Section>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.compute(piece: piece, thread: thread) }
            }
            if !pause() { return }
            first += count
        }
    }

    private func compute(piece index: Int, thread: Int) {
        // After a fault the run's results are void; the pieces are only counted off.
        if faults.shouldStop { return }
        let piece = first &+ index
        var phase = 0
        while piece >= starts[phase + 1] { phase += 1 }
        bodies[phase](workers[thread], piece - starts[phase])
        if hasLongPieces { faults.checkTime() }
    }

    private func computeSerially(_ pause: () -> Bool) {
        let worker = workers[0]
        var cost = 0
        for phase in bodies.indices {
            for piece in 0..<(starts[phase + 1] - starts[phase]) {
                if faults.shouldStop { return }
                bodies[phase](worker, piece)
                if hasLongPieces { faults.checkTime() }
                cost &+= pieceCosts[phase]
                if cost > Section.slice {
                    cost = 0
                    if !pause() { return }
                }
            }
        }
        _ = pause()
    }
}

/// The order in which phases run: as few meetings of the threads as their reads and writes allow.
///
/// Each phase gets the lowest level above all earlier phases that it conflicts with; phases of one level share a
/// section. Levels too small to be worth waking others for are chained into serial sections.
enum Schedule {
    /// Nanoseconds of work below which a level stays on one thread.
    static let worthSharing = 3000
    /// More than the pool can count off at once stay on one thread too.
    private static let mostPieces = 1 << 29
    /// Phases looked back at for conflicts; older ones are taken to conflict.
    private static let window = 24

    static func sections(of phases: [Phase], workers: [Worker], faults: FaultRecord) -> [Section] {
        let levels = leveled(phases)
        var sections: [Section] = []
        var serial: [Phase] = []
        func flush() {
            if serial.isEmpty { return }
            sections.append(Section(serial, serial: true, workers: workers, faults: faults))
            serial = []
        }
        for level in levels {
            let cost = level.reduce(0) { $0 &+ $1.cost }
            let pieces = level.reduce(0) { $0 + $1.pieces }
            if workers.count == 1 || pieces == 1 || pieces > mostPieces || cost < worthSharing {
                serial += level
            } else {
                flush()
                // Large pieces first, so that the small ones fill the end.
                let ordered = level.enumerated().sorted {
                    ($1.element.cost / $1.element.pieces, $0.offset) < ($0.element.cost / $0.element.pieces, $1.offset)
                }
                sections.append(Section(ordered.map(\.element), serial: false, workers: workers, faults: faults))
            }
        }
        flush()
        return sections
    }

    private static func leveled(_ phases: [Phase]) -> [[Phase]] {
        var levels: [[Phase]] = []
        var levelOf: [Int] = []
        var floor = 0
        for (index, phase) in phases.enumerated() {
            let oldest = max(0, index - window)
            if oldest > 0 { floor = max(floor, levelOf[oldest - 1] + 1) }
            var level = floor
            for earlier in oldest..<index where levelOf[earlier] >= level {
                if phase.conflicts(with: phases[earlier]) { level = levelOf[earlier] + 1 }
            }
            levelOf.append(level)
            while levels.count <= level { levels.append([]) }
            levels[level].append(phase)
        }
        return levels.filter { !$0.isEmpty }
    }
}
