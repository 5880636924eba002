internal import Logging
internal import ServiceLifecycle

/// The first to hear that the server stops: turns new requests away, waits for those under way, then stops the engine.
struct DrainService: Service {
    let gate: RequestGate
    let engine: any TextEngine
    let gracePeriod: Duration
    let logger: Logger

    func run() async throws {
        try await gracefulShutdown()
        gate.close()
        let count = gate.count
        logger.info("stopping\(count == 0 ? "" : "; \(count) requests under way may take \(gracePeriod.components.seconds) s")")
        if await !gate.emptied(within: gracePeriod) {
            logger.warning("breaking off \(gate.count) requests")
        }
        await engine.shutdown()
    }
}
