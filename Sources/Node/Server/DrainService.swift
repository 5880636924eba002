internal import Logging
internal import NodeCluster
internal import ServiceLifecycle

/// The first to hear that the server stops: turns new requests away, waits for those under way, then stops the engine.
struct DrainService: Service {
    let gate: RequestGate
    let models: any ModelDirectory
    let gracePeriod: Duration
    let logger: Logger

    func run() async throws {
        try await gracefulShutdown()
        gate.close()
        models.events.close()
        let count = gate.count
        let rest = count == 0 ? "" : "; requests under way (\(count)) may take \(gracePeriod.components.seconds) s"
        logger.info("stopping\(rest)")
        if await !gate.emptied(within: gracePeriod) {
            logger.warning("breaking off requests still under way: \(gate.count)")
        }
        await models.shutdown()
    }
}
