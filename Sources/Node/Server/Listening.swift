internal import Base
internal import Hummingbird
internal import ServiceLifecycle
internal import Synchronization

/// Whether a server listens yet, and for whoever waits for that.
final class ListeningMark: Sendable {
    /// 0 before it listens.
    private let heldPort = Atomic(0)
    private let marks: AsyncStream<Void>
    private let source: AsyncStream<Void>.Continuation

    init() { (marks, source) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)) }

    /// The port at which it listens; nil before.
    var port: Int? {
        let port = heldPort.load(ordering: .acquiring)
        return port == 0 ? nil : port
    }

    func set(port: Int) {
        heldPort.store(port, ordering: .releasing)
        source.yield()
        source.finish()
    }

    /// Waits, for one caller, until it listens.
    ///
    /// - Returns: the port; nil if the task is cancelled.
    func wait() async -> Int? {
        for await _ in marks { break }
        return port
    }
}

/// A server whose failure to listen is told as such; what fails later is told as what it is.
struct ListeningService<Application: ApplicationProtocol>: Service {
    let application: Application
    let host: String
    let port: Int
    /// Set by the application when it listens.
    let mark: ListeningMark

    /// - Throws: ``ListeningError`` if it cannot listen at the address.
    func run() async throws {
        do {
            try await application.run()
        } catch  where mark.port == nil && !Task.isCancelled {
            throw ListeningError(host: host, port: port, reason: "\(error)")
        }
    }
}
