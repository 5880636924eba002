internal import Base
package import Logging
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Tells the ports of a network's nodes as they change, and runs a program over them that takes such a list when it begins.
package final class HeadRunner: Sendable {
    private struct State {
        var child: ChildProcess?
        /// How it ended.
        var status: Int32?
        /// The signal by which somebody asked this program to end.
        var wish: Int32?
        /// When the child was asked to end, to be started anew.
        var stopTime: ContinuousClock.Instant?
    }

    private let ports: NetworkPorts
    /// The program and its arguments, `{}` standing for the list; nil to run none.
    private let words: [String]?
    private let hidden: Set<String>
    private let options: HeadSchedule.Options
    private let tell: @Sendable (String) throws -> Void
    private let logger: Logger
    private let state = Monitor(State())

    /// How often it is looked at whether there is something to do.
    private static let period = Duration.milliseconds(100)
    /// So long a head may take to end.
    private static let stopTime = Duration.seconds(15)

    /// - Parameters:
    ///   - hidden: variables of the environment that the program is not given.
    ///   - tell: is given each settled list.
    package init(
        _ ports: NetworkPorts, running words: [String]?, hiding hidden: Set<String> = [], _ options: HeadSchedule.Options, logger: Logger,
        tell: @escaping @Sendable (String) throws -> Void
    ) {
        self.ports = ports
        self.words = words
        self.hidden = hidden
        self.options = options
        self.logger = logger
        self.tell = tell
    }

    /// Somebody asks this program to end, by a signal, which the head is given too.
    package func end(by signal: Int32) {
        let child = state.change { state in
            state.wish = signal
            return state.child
        }
        if !ChildProcess.sharesTerminal(signal) { child?.send(signal) }
    }

    /// Runs until the head has ended for good, or until ``end(by:)`` where there is none.
    ///
    /// - Returns: the status to end with.
    /// - Throws: what `tell` throws; the head has ended then too.
    package func run() throws -> Int32 {
        do {
            return try runUntilEnd()
        } catch {
            endChild()
            throw error
        }
    }

    /// Ends the head, and waits for that.
    private func endChild() {
        state.read(\.child)?.send(SIGTERM)
        for patience in [HeadRunner.stopTime, .seconds(1)] {
            let hasEnded: Void? = state.wait(atMost: patience) { $0.child == nil || $0.status != nil ? () : nil }
            if hasEnded != nil { return }
            state.read(\.child)?.send(SIGKILL)
        }
    }

    private func runUntilEnd() throws -> Int32 {
        let start = ContinuousClock.now
        let startTime = MonotonicClock.nanoseconds()
        var schedule = HeadSchedule(options, at: .zero)
        while true {
            let news = ports.news(within: HeadRunner.period)
            let now = ContinuousClock.now - start
            if let news {
                try tell(ports.text(news))
                schedule.show(news, at: now)
            }
            let (wish, status, hasChild, isStuck) = state.change { state in
                defer { if state.status != nil { (state.child, state.status, state.stopTime) = (nil, nil, nil) } }
                let isStuck = state.stopTime.map { ContinuousClock.now - $0 > HeadRunner.stopTime } ?? false
                return (state.wish, state.status, state.child != nil, isStuck)
            }
            if let status {
                schedule.ended(status: status, isWanted: wish != nil, at: now)
                logger.notice("the head has ended with status \(status)")
            } else if let wish, !hasChild {
                return words == nil ? 0 : 128 + wish
            }
            if words == nil || (wish != nil && status == nil) { continue }
            if isStuck { state.read(\.child)?.send(SIGKILL) }
            let traffic = ports.traffic.lastTime
            if traffic > startTime { schedule.noteTraffic(at: .nanoseconds(Int64(clamping: traffic - startTime))) }
            switch schedule.next(at: now) {
            case .start(let list): begin(list, &schedule, at: now)
            case .stop:
                logger.notice("there are other nodes: the head is ended, to be started anew")
                let child = state.change { state in
                    state.stopTime = .now
                    return state.child
                }
                child?.send(SIGTERM)
            case .giveUp:
                logger.error("no node was found in \(options.patience)")
                return 1
            case .end(let status): return status
            case nil: break
            }
        }
    }

    private func begin(_ list: [Int], _ schedule: inout HeadSchedule, at now: HeadSchedule.Time) {
        let line = CommandWords.fill(words ?? [], with: ports.text(list))
        do {
            let child = try ChildProcess(line, hiding: hidden)
            do throws(ThreadError) {
                try SystemThread.start(name: "head", stackSize: 1 << 20) { [state] in
                    let status = child.wait()
                    state.change { $0.status = status }
                }
            } catch {
                // Nobody would notice its end.
                child.send(SIGKILL)
                _ = child.wait()
                throw error
            }
            state.change { $0.child = child }
            logger.notice("started: \(line.first ?? "") over \(ports.text(list))")
            // A wish that came meanwhile found no child.
            if let wish = state.read(\.wish) { child.send(wish) }
        } catch {
            logger.error("\(error)")
            schedule.ended(status: 127, isWanted: false, at: now)
        }
    }
}
