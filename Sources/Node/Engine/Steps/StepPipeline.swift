internal import Base
internal import Model

/// Takes steps through a model's stages, each station of which is a thread of its own: while one step is with the second
/// station, the next one is with the first.
///
/// Steps go through every station in the order in which they were sent in, so that what a later one reads in a cache is
/// what the earlier ones wrote.
final class StepPipeline: Sendable {
    /// A step on its way, and what became of it.
    struct Ticket: @unchecked Sendable {
        // Sendable: a step belongs to whoever has its ticket, and tickets are handed on, not shared; so is the failure,
        // which is read by one thread after another wrote it.
        let step: ForwardStep
        var number: Int
        var failure: (any Error)?
    }

    private let stations: [EngineThread<Ticket>]

    /// - Parameters:
    ///   - stations: stages in order; those of one station are run one after another by one thread.
    ///   - onDone: called with each step when it is through or has failed, in order, on a thread that must not be kept waiting.
    /// - Throws: if the system has no thread for a station.
    init(_ stations: [[ForwardStage]], onDone: @escaping @Sendable (Ticket) -> Void) throws(ThreadError) {
        var threads: [EngineThread<Ticket>] = []
        var next = onDone
        for (index, stages) in stations.enumerated().reversed() {
            // Whoever else has the stages reads their meters, which are atomic, or runs them while no ticket is under way.
            nonisolated(unsafe) let owned = stages
            let onward = next
            let thread: EngineThread<Ticket>
            do throws(ThreadError) {
                thread = try EngineThread(name: "stage \(index)") { _ in Station(stages: owned, onward: onward) }
            } catch {
                for thread in threads { thread.stop() }
                throw error
            }
            threads.insert(thread, at: 0)
            next = { thread.send($0) }
        }
        self.stations = threads
    }

    func send(_ ticket: Ticket) { stations.first?.send(ticket) }

    /// Takes no more steps, and returns when the threads have ended.
    func stop() {
        for station in stations { station.stop() }
    }

    private struct Station: EngineThreadHandler {
        let stages: [ForwardStage]
        let onward: @Sendable (Ticket) -> Void

        mutating func handle(_ ticket: Ticket) {
            var ticket = ticket
            if ticket.failure == nil {
                do {
                    for stage in stages { try stage.run(ticket.step) }
                } catch {
                    ticket.failure = error
                }
            }
            onward(ticket)
        }

        mutating func step() -> Bool { false }
        mutating func end() {}
    }
}
