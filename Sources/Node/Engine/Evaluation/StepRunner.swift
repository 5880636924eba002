internal import Foundation
internal import Model
internal import Synchronization

/// Steps for measurements: through the stages side by side where there are several, on the caller's thread where not.
final class StepRunner {
    /// Steps that can be under way at once.
    var depth: Int { loaded.depth }

    private let loaded: LoadedPass
    private let pipeline: StepPipeline?
    private let finished = Finished()
    private var idle: [ForwardStep] = []
    private var underWay = 0

    /// - Throws: if the system has no threads for the stages.
    init(_ loaded: LoadedPass) throws {
        self.loaded = loaded
        let finished = finished
        pipeline = loaded.stations.count > 1 ? try StepPipeline(loaded.stations) { finished.add($0) } : nil
    }

    /// Has pieces computed, after those before; returns when there is room for another step.
    ///
    /// - Parameter isAlone: no other step can accompany this one, so it is waited for here.
    func send(_ pieces: [BatchPiece], isAlone: Bool) throws {
        if isAlone { try wait() }
        let step = idle.popLast() ?? loaded.pass.makeStep()
        try loaded.pass.begin(step, pieces, wantsCandidates: loaded.reducesLogits)
        guard let pipeline, !isAlone else {
            try loaded.pass.run(step)
            return idle.append(step)
        }
        underWay += 1
        pipeline.send(StepPipeline.Ticket(step: step, number: 0))
        // One more than there are machines, so that none waits for its next.
        if underWay > depth { try takeOne() }
    }

    /// Returns when all is computed.
    func wait() throws {
        while underWay > 0 { try takeOne() }
    }

    func stop() { pipeline?.stop() }

    private func takeOne() throws {
        let ticket = finished.take()
        underWay -= 1
        idle.append(ticket.step)
        if let failure = ticket.failure { throw failure }
    }

    /// Steps that are through.
    private final class Finished: Sendable {
        private let tickets = Mutex<[StepPipeline.Ticket]>([])
        private let count = DispatchSemaphore(value: 0)

        func add(_ ticket: StepPipeline.Ticket) {
            tickets.withLock { $0.append(ticket) }
            count.signal()
        }

        func take() -> StepPipeline.Ticket {
            count.wait()
            return tickets.withLock { $0.removeFirst() }
        }
    }
}
