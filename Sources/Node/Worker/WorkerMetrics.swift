internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import ServiceLifecycle

/// Serves a worker's figures to Prometheus, at `/metrics`, and whether it is there, at `/health`.
struct WorkerMetrics: Service {
    let worker: Worker
    let address: WorkerOptions.MetricsAddress
    let logger: Logger

    /// - Throws: when it cannot listen at the address.
    func run() async throws {
        let router = Router()
        let worker = worker
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(string: WorkerMetrics.text(worker.status))))
        }
        router.get("/health") { _, _ in "ok\n" }
        let log = logger
        let shown = address
        let application = Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname(address.host, port: address.port), serverName: "swiftlet"),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? shown.port
                log.notice("metrics on http://\(WorkerOptions.address(shown.host, port))/metrics")
            },
            logger: Logger(label: "swiftlet") { _ in SwiftLogNoOpLogHandler() })
        do {
            try await application.run()
        } catch {
            throw ListeningError(host: address.host, port: address.port, reason: "\(error)")
        }
    }

    /// Prometheus's text format, version 0.0.4.
    static func text(_ status: WorkerStatus) -> String {
        var lines: [String] = []
        func add(_ name: String, _ kind: String, _ help: String, _ value: some CustomStringConvertible) {
            lines.append("# HELP swiftlet_worker_\(name) \(help)")
            lines.append("# TYPE swiftlet_worker_\(name) \(kind)")
            lines.append("swiftlet_worker_\(name) \(value)")
        }
        add("sessions", "gauge", "Connections being served.", status.sessions)
        add("sessions_computing", "gauge", "Sessions that compute or wait for their turn.", status.computing)
        add("connections_accepted_total", "counter", "Connections that were served.", status.connectionsAccepted)
        add("connections_turned_away_total", "counter", "Connections that were not served.", status.connectionsTurnedAway)
        add("sessions_refused_total", "counter", "Sessions closed for what the client asked.", status.sessionsRefused)
        add("sessions_lost_total", "counter", "Sessions that the client or the network broke off.", status.sessionsLost)
        add("sessions_ended_total", "counter", "Sessions ended for time-outs or since their client had left.", status.sessionsEnded)
        add("requests_total", "counter", "Requests answered.", status.requests)
        add("graphs_total", "counter", "Graphs computed.", status.graphs)
        add("compute_seconds_total", "counter", "Seconds sessions spent on graphs, turns of others included.", status.computeSeconds)
        add("received_bytes_total", "counter", "Bytes received from clients.", status.receivedBytes)
        add("sent_bytes_total", "counter", "Bytes sent to clients.", status.sentBytes)
        add("memory_lent_bytes", "gauge", "Bytes of buffers and graphs in use.", status.memoryLent)
        add("memory_free_bytes", "gauge", "Bytes that can still be lent.", status.memoryFree)
        add("memory_total_bytes", "gauge", "Bytes that could be lent in all.", status.memoryTotal)
        if let cache = status.cache {
            add("cache_hits_total", "counter", "Contents that clients did not have to send.", cache.hitCount)
            add("cache_hit_bytes_total", "counter", "Bytes that clients did not have to send.", cache.hitByteCount)
            add("cache_misses_total", "counter", "Contents asked for that are not kept.", cache.missCount)
            add("cache_stored_bytes_total", "counter", "Bytes of contents written.", cache.storedByteCount)
            add("cache_evicted_bytes_total", "counter", "Bytes of contents removed to make room.", cache.evictedByteCount)
            add("cache_damaged_total", "counter", "Contents removed that were not what their name says.", cache.damagedCount)
            add("cache_failed_total", "counter", "Contents that could not be kept.", cache.failedCount)
            add("cache_bytes", "gauge", "Bytes of contents kept.", cache.currentByteCount)
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
