internal import Base
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A stream that is being made on a thread of its own, for one who cannot wait for it.
final class StreamOpening: Sendable {
    enum Outcome {
        case opened(OpenedStream)
        case failed
    }

    private enum State {
        case underWay
        case over(Outcome)
        /// Nobody takes what comes.
        case givenUp
        case taken
    }

    private let state: Shared

    /// Apart from the opening, so that the thread does not keep it.
    private final class Shared: Sendable {
        let state = Mutex(State.underWay)
    }

    init(_ opener: any StreamOpener, within seconds: Double) {
        let shared = Shared()
        state = shared
        do throws(ThreadError) {
            try SystemThread.start(name: "opening") {
                let stream = try? opener.open(within: seconds)
                let isUnwanted = shared.state.withLock { state in
                    if case .givenUp = state { return true }
                    state = .over(stream.map { .opened($0) } ?? .failed)
                    return false
                }
                if isUnwanted, let stream { close(stream.descriptor) }
            }
        } catch {
            shared.state.withLock { $0 = .over(.failed) }
        }
    }

    deinit {
        let unused = state.state.withLock { state -> OpenedStream? in
            defer { state = .givenUp }
            if case .over(.opened(let stream)) = state { return stream }
            return nil
        }
        if let unused { close(unused.descriptor) }
    }

    /// What came of it, once; nil while it is under way.
    var outcome: Outcome? {
        state.state.withLock { state in
            guard case .over(let outcome) = state else { return nil }
            state = .taken
            return outcome
        }
    }
}
