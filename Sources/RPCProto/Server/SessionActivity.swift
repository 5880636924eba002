internal import Base
internal import Synchronization
internal import Tensor

/// What a session is doing and has done, for whoever watches over it from another thread.
public final class SessionActivity: Sendable {
    public enum Phase: UInt8, Sendable {
        /// For the peer's greeting.
        case greeting
        /// For the next message.
        case idle
        /// A message is received or answered.
        case exchanging
        /// A graph waits for its turn or is computed.
        case computing
        /// Another worker is awaited, or exchanges with this one.
        case reducing
    }

    private let currentPhase = Atomic<UInt8>(Phase.greeting.rawValue)
    private let phaseStart = Atomic<UInt64>(MonotonicClock.nanoseconds())
    private let requests = Atomic<Int>(0)
    private let graphs = Atomic<Int>(0)
    private let memoryQuestion = Atomic<UInt64>(0)
    private let computeTime = Atomic<UInt64>(0)
    private let hasNoWork = Atomic<Bool>(false)

    public init() {}

    public var phase: Phase { Phase(rawValue: currentPhase.load(ordering: .acquiring)) ?? .idle }

    /// Seconds since the phase began. Ask for the phase first: what has changed since is too young for anything.
    public var phaseSeconds: Double {
        let start = phaseStart.load(ordering: .relaxed)
        let now = MonotonicClock.nanoseconds()
        return now > start ? Double(now - start) / 1e9 : 0
    }

    /// Whether the client asked for the memory within so many seconds, as one does that watches over its workers.
    public func hasAskedForMemory(within seconds: Double) -> Bool {
        let last = memoryQuestion.load(ordering: .relaxed)
        return last > 0 && Double(MonotonicClock.nanoseconds() &- last) / 1e9 < seconds
    }

    /// Whether the client only asks for signs of life here, beside a connection over which it works.
    public var isLifeLine: Bool { hasNoWork.load(ordering: .relaxed) }

    public var requestCount: Int { requests.load(ordering: .relaxed) }
    public var graphCount: Int { graphs.load(ordering: .relaxed) }
    /// Seconds from the wish for a graph to its end, waiting for turns included.
    public var computeSeconds: Double { Double(computeTime.load(ordering: .relaxed)) / 1e9 }

    // MARK: The session's side

    func enter(_ phase: Phase) {
        phaseStart.store(MonotonicClock.nanoseconds(), ordering: .relaxed)
        currentPhase.store(phase.rawValue, ordering: .releasing)
    }

    func noteMemoryQuestion() { memoryQuestion.store(MonotonicClock.nanoseconds(), ordering: .relaxed) }

    func becomeLifeLine() { hasNoWork.store(true, ordering: .relaxed) }

    func countRequest() { requests.wrappingAdd(1, ordering: .relaxed) }

    /// Times a graph.
    func compute<Result>(_ body: () throws -> Result) rethrows -> Result {
        enter(.computing)
        let start = phaseStart.load(ordering: .relaxed)
        defer {
            enter(.exchanging)
            computeTime.wrappingAdd(phaseStart.load(ordering: .relaxed) &- start, ordering: .relaxed)
        }
        let result = try body()
        graphs.wrappingAdd(1, ordering: .relaxed)
        return result
    }

    /// Tells of an exchange with another worker.
    func reduce<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        enter(.reducing)
        defer { enter(.exchanging) }
        return try body()
    }
}
