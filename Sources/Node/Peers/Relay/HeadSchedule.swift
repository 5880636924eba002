/// When a head that is told of nodes by a list of ports is started, ended to be started anew with another list, and given up. A value:
/// what happens goes in with its time, ``next(at:)`` says what to do.
package struct HeadSchedule: Sendable {
    /// Since some moment in the past.
    package typealias Time = Duration

    package enum Action: Hashable, Sendable {
        /// With this list.
        case start([Int])
        /// It has another list to work with.
        case stop
        /// There were too few nodes for too long, and none at all.
        case giveUp
        /// It ended, and that was all.
        case end(status: Int32)
    }

    package struct Options: Hashable, Sendable {
        /// Nodes that are waited for.
        package var count: Int
        /// For so long; then those that are there have to do.
        package var patience: Duration
        /// For so long nothing has gone through tunnels before a head is ended for another list.
        package var idle: Duration

        package init(count: Int = 1, patience: Duration = .seconds(300), idle: Duration = .seconds(10)) {
            self.count = count
            self.patience = patience
            self.idle = idle
        }
    }

    private enum State: Hashable, Sendable {
        case waiting
        case running([Int], since: Time)
        /// Asked to end, to be started anew.
        case stopping
        /// Until then, after it failed.
        case resting(until: Time)
        case ended(status: Int32)
    }

    private let options: Options
    private let begin: Time
    private var state = State.waiting
    private var list: [Int] = []
    private var listTime: Time
    private var lastTraffic: Time?
    private var failureCount = 0
    /// Whether none was started yet.
    private var isFirst = true

    /// One that ran for so long has worked.
    package static let provenTime = Duration.seconds(10)
    /// After its first failure, and twice as long after each more.
    package static let rest = Duration.seconds(1)
    package static let longestRest = Duration.seconds(30)
    /// Failures that follow each other, with one list and none having worked, after which it is given up: time enough for a node that
    /// went to go from the list.
    package static let mostFailures = 6

    package init(_ options: Options, at now: Time) {
        self.options = options
        begin = now
        listTime = now
    }

    /// A settled list.
    package mutating func show(_ ports: [Int], at now: Time) {
        if ports != list { failureCount = 0 }
        (list, listTime) = (ports, now)
    }

    /// Bytes went through a tunnel.
    package mutating func noteTraffic(at time: Time) { lastTraffic = max(lastTraffic ?? time, time) }

    /// The head has ended.
    ///
    /// - Parameters:
    ///   - status: as a shell has it: above 128 for a signal.
    ///   - isWanted: whether somebody asked this program to end, who passed it on.
    package mutating func ended(status: Int32, isWanted: Bool, at now: Time) {
        switch state {
        case .stopping where !isWanted: state = .waiting
        case .running(_, let since) where !isWanted && status != 0:
            failureCount = now - since >= HeadSchedule.provenTime ? 1 : failureCount + 1
            if failureCount >= HeadSchedule.mostFailures {
                state = .ended(status: status)
            } else {
                state = .resting(until: now + min(HeadSchedule.longestRest, HeadSchedule.rest * (1 << (failureCount - 1))))
            }
        case .waiting, .resting, .running, .stopping, .ended: state = .ended(status: status)
        }
    }

    /// What to do now, once.
    package mutating func next(at now: Time) -> Action? {
        switch state {
        case .ended(let status): return .end(status: status)
        case .resting(let end):
            if now < end { return nil }
            state = .waiting
            return next(at: now)
        case .waiting:
            let isLate = isFirst && now - begin >= options.patience
            if list.isEmpty { return isLate ? .giveUp : nil }
            // Later there are those that there are: a head that has worked goes on with fewer.
            if isFirst && !isLate && list.count < options.count { return nil }
            isFirst = false
            state = .running(list, since: now)
            return .start(list)
        case .running(let used, _):
            // An empty list is nothing to start anew with.
            guard used != list, !list.isEmpty, now - max(lastTraffic ?? listTime, listTime) >= options.idle else { return nil }
            state = .stopping
            return .stop
        case .stopping: return nil
        }
    }
}
