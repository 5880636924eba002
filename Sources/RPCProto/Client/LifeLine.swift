/// What is done about one life line, as time passes and things happen on it: decided here, carried out by ``LifeLines``.
///
/// A life line is a second connection to a worker of ours, over which a small question is asked twice a second. The worker answers
/// each connection on a thread of its own, also while it computes, so one that stays silent is frozen or cut off; and as long as it
/// answers, nothing that takes long on the first connection is taken for a freeze.
///
/// Only what has answered once can be found silent: a worker that turns the second connection away, or is behind something that
/// does, is as it would be without one.
package struct LifeLine: Sendable {
    /// Nanoseconds of the monotonic clock.
    package typealias Time = UInt64

    package enum Effect: Hashable, Sendable {
        case connect
        case greet
        case ask
        case close
        /// Whether time limits on the first connection hold or wait for the worker.
        case vouch(Bool)
        /// The worker is frozen or cut off.
        case giveUp
    }

    private enum State: Hashable {
        /// No connection; another attempt at that time.
        case resting(until: Time)
        /// A connection that is made, or a greeting that is to be answered, up to that time.
        case beginning(until: Time)
        /// All is well; the next question at that time.
        case answered(next: Time)
        case asked(at: Time)
        /// For good.
        case ended
    }

    private var state: State
    /// Connections in a row that came to nothing.
    private var failureCount = 0
    /// From the last question to its answer, in nanoseconds.
    package private(set) var roundTrip: UInt64?
    /// The same without its ups and downs (RFC 6298's weight).
    private var smoothRoundTrip: UInt64?

    /// Between two questions.
    package static let period: UInt64 = 500_000_000
    /// How long an answer may take on a link that takes none itself, and how many of the link's round trips on top: what is lost is sent
    /// again after about two of them. On a link that takes long of late because it is full they are the more.
    package static let patience: UInt64 = 2_500_000_000
    private static let patientRoundTrips: UInt64 = 4
    private static let longestPatience: UInt64 = 6_000_000_000
    /// How long a connection and the answer to its greeting may take.
    package static let openingTime: UInt64 = 10_000_000_000
    /// After a connection that came to nothing; after each further one twice as long, up to a limit: where there is no place for it at
    /// the worker, there may be none for long.
    package static let rest: UInt64 = 5_000_000_000
    package static let longestRest: UInt64 = 320_000_000_000

    package init(at now: Time) {
        state = .resting(until: now)
    }

    package var hasEnded: Bool { state == .ended }

    /// How long an answer may take on this link.
    package var patience: UInt64 {
        min(LifeLine.longestPatience, LifeLine.patience + LifeLine.patientRoundTrips * min(smoothRoundTrip ?? 0, LifeLine.longestPatience))
    }

    /// When ``pass(_:)`` has something to do.
    package var nextTime: Time? {
        switch state {
        case .resting(let time), .beginning(let time), .answered(let time): time
        case .asked(let time): time + patience
        case .ended: nil
        }
    }

    /// Time has passed, and everything that arrived in it was told.
    package mutating func pass(_ now: Time) -> [Effect] {
        guard let due = nextTime, now >= due else { return [] }
        switch state {
        case .resting:
            state = .beginning(until: now + LifeLine.openingTime)
            return [.connect]
        case .beginning:
            rest(now)
            return [.close]
        case .answered:
            state = .asked(at: now)
            return [.ask]
        case .asked:
            state = .ended
            return [.vouch(false), .close, .giveUp]
        case .ended: return []
        }
    }

    package mutating func connected() -> [Effect] {
        guard case .beginning = state else { return [] }
        return [.greet]
    }

    /// - Parameter isOurs: whether it is a worker that has life lines: another one may stand at the address by now.
    package mutating func greeted(isOurs: Bool, _ now: Time) -> [Effect] {
        guard case .beginning = state else { return [] }
        guard isOurs else {
            state = .ended
            return [.close]
        }
        state = .answered(next: now + LifeLine.period)
        failureCount = 0
        return [.vouch(true)]
    }

    package mutating func answered(_ now: Time) -> [Effect] {
        guard case .asked(let start) = state else { return [] }
        let taken = now &- start
        roundTrip = taken
        smoothRoundTrip = smoothRoundTrip.map { ($0 / 8) * 7 + taken / 8 } ?? taken
        state = .answered(next: max(now, start + LifeLine.period))
        return []
    }

    /// The connection is no more, or says what nobody asked for.
    package mutating func broken(_ now: Time) -> [Effect] {
        switch state {
        case .ended, .resting: return []
        case .beginning, .answered, .asked:
            rest(now)
            return [.close, .vouch(false)]
        }
    }

    private mutating func rest(_ now: Time) {
        state = .resting(until: now + min(LifeLine.longestRest, LifeLine.rest << UInt64(min(failureCount, 8))))
        failureCount += 1
    }
}
