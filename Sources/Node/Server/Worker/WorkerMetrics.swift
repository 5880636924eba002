internal import Base
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NodeWorker
internal import ServiceLifecycle

/// Serves a worker's figures to Prometheus, at `/metrics`, and whether it is there, at `/health`.
struct WorkerMetrics: Service {
    let worker: Worker
    let address: WorkerOptions.MetricsAddress
    let logger: Logger

    /// - Throws: ``ListeningError`` when it cannot listen at the address.
    func run() async throws {
        let router = Router()
        let worker = worker
        router.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: PrometheusText.contentType],
                body: .init(byteBuffer: ByteBuffer(string: WorkerMetrics.text(worker.status))))
        }
        router.get("/health") { _, _ in "ok\n" }
        let log = logger
        let shown = address
        let mark = ListeningMark()
        let application = Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname(address.host, port: address.port), serverName: "swiftlet"),
            onServerRunning: { channel in
                await AcceptingPause.add(to: channel, log)
                let port = channel.localAddress?.port ?? shown.port
                mark.set(port: port)
                log.notice("metrics on http://\(WorkerOptions.address(shown.host, port))/metrics")
            },
            logger: Logger(label: "swiftlet") { _ in SwiftLogNoOpLogHandler() })
        try await ListeningService(application: application, host: address.host, port: address.port, mark: mark).run()
    }

    static func text(_ status: WorkerStatus) -> String {
        var text = PrometheusText(prefix: "swiftlet_worker_")
        text.add("sessions", "gauge", "Connections being served.", status.sessions)
        text.add("sessions_computing", "gauge", "Sessions that compute or wait for their turn.", status.computing)
        text.add("connections_accepted_total", "counter", "Connections that were served.", status.connectionsAccepted)
        text.add("connections_turned_away_total", "counter", "Connections that were not served.", status.connectionsTurnedAway)
        text.add("sessions_refused_total", "counter", "Sessions closed for what the client asked.", status.sessionsRefused)
        text.add("sessions_lost_total", "counter", "Sessions that the client or the network broke off.", status.sessionsLost)
        text.add("sessions_ended_total", "counter", "Sessions ended for time-outs or since their client had left.", status.sessionsEnded)
        text.add("requests_total", "counter", "Requests answered.", status.requests)
        text.add("graphs_total", "counter", "Graphs computed.", status.graphs)
        text.add("compute_seconds_total", "counter", "Seconds sessions spent on graphs, turns of others included.", status.computeSeconds)
        text.add("received_bytes_total", "counter", "Bytes received from clients.", status.receivedBytes)
        text.add("sent_bytes_total", "counter", "Bytes sent to clients.", status.sentBytes)
        func add(_ name: String, _ help: String, _ value: (WorkerStatus.Device) -> Int) {
            text.add(name, "gauge", help, rows: status.devices.map { (["device": $0.name], "\(value($0))") })
        }
        add("memory_lent_bytes", "Bytes of buffers and graphs in use.", \.memoryLent)
        add("memory_free_bytes", "Bytes that can still be lent.", \.memoryFree)
        add("memory_total_bytes", "Bytes that could be lent in all.", \.memoryTotal)
        if let cache = status.cache {
            text.add("cache_hits_total", "counter", "Contents that clients did not have to send.", cache.hitCount)
            text.add("cache_hit_bytes_total", "counter", "Bytes that clients did not have to send.", cache.hitByteCount)
            text.add("cache_misses_total", "counter", "Contents asked for that are not kept.", cache.missCount)
            text.add("cache_stored_bytes_total", "counter", "Bytes of contents written.", cache.storedByteCount)
            text.add("cache_evicted_bytes_total", "counter", "Bytes of contents removed to make room.", cache.evictedByteCount)
            text.add("cache_damaged_total", "counter", "Contents removed that were not what their name says.", cache.damagedCount)
            text.add("cache_failed_total", "counter", "Contents that could not be kept.", cache.failedCount)
            text.add("cache_dropped_total", "counter", "Contents left out since too much waited for the disk.", cache.droppedCount)
            text.add("cache_waiting_bytes", "gauge", "Bytes in memory that wait for the disk.", cache.waitingByteCount)
            text.add("cache_bytes", "gauge", "Bytes of contents kept.", cache.currentByteCount)
        }
        return text.text
    }
}
