internal import NodeCluster
internal import ServiceLifecycle

/// Has models loaded once the server listens. What stops meanwhile does not wait for them: loading cannot be broken off.
struct LoadService: Service {
    let load: @Sendable () async throws -> any ModelDirectory
    let models: ModelsToCome
    let gate: RequestGate
    let mark: ListeningMark
    let onReady: @Sendable (_ port: Int) async -> Void

    /// - Throws: what loading throws.
    func run() async throws {
        guard let port = await mark.wait(), !Task.isShuttingDownGracefully else { return try await finish() }
        let (outcomes, source) = AsyncStream<Result<Void, any Error>>.makeStream()
        let (load, models) = (load, models)
        // A task that nobody waits for where the server stops first.
        Task {
            do {
                let loaded = try await load()
                if !models.arrive(loaded) { await loaded.shutdown() }
                source.yield(.success(()))
            } catch {
                source.yield(.failure(error))
            }
            source.finish()
        }
        for await outcome in outcomes.cancelOnGracefulShutdown() {
            try outcome.get()
            gate.open()
            await onReady(port)
        }
        try await finish()
    }

    /// A service that ends before it is told to ends all others.
    private func finish() async throws { try await gracefulShutdown() }
}
