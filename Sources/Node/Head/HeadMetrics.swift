/// What `serve` tells Prometheus of itself and of the machines its model runs on.
enum HeadMetrics {
    static func text(status: EngineStatus, nodes: [NodeStatus]) -> String {
        var text = PrometheusText(prefix: "swiftlet_head_")
        text.add("slots", "gauge", "Requests that can be worked on at once.", status.slotCount)
        text.add("slots_busy", "gauge", "Requests being worked on.", status.slotsBusy)
        text.add("requests_queued", "gauge", "Requests that wait for a slot.", status.queued)
        text.add("ready", "gauge", "1 while requests are taken.", status.phase == .ready ? 1 : 0)
        if nodes.isEmpty { return text.text }

        let perNode: [(String, String, String, (NodeStatus) -> String?)] = [
            ("node_up", "gauge", "1 while the node can be used.", { $0.state == .ready ? "1" : "0" }),
            (
                "node_round_trip_seconds", "gauge", "A short question and its answer, when the connection was new.",
                { $0.roundTripNanoseconds.map { "\(Double($0) / 1e9)" } }
            ),
            ("node_sent_bytes_total", "counter", "Bytes sent to the node.", { "\($0.sentBytes)" }),
            ("node_received_bytes_total", "counter", "Bytes received from the node.", { "\($0.receivedBytes)" }),
        ]
        for (name, kind, help, value) in perNode {
            text.add(name, kind, help, rows: nodes.map { node in (["node": node.address], value(node)) })
        }
        let perDevice: [(String, String, String, (NodeStatus.Device) -> String?)] = [
            ("device_layers", "gauge", "Layers that the device has.", { "\($0.layers?.count ?? 0)" }),
            ("device_weight_bytes", "gauge", "Bytes of weights on the device.", { "\($0.weightBytes)" }),
            ("device_cache_bytes", "gauge", "Bytes of keys and values on the device.", { "\($0.cacheBytes)" }),
            ("device_memory_free_bytes", "gauge", "Bytes free before the model came.", { $0.memoryFree.map { "\($0)" } }),
            ("device_steps_total", "counter", "Steps that went through the device.", { "\($0.steps)" }),
            (
                "device_busy_seconds_total", "counter", "Seconds that they took, the way there and back included.",
                { "\(Double($0.busyNanoseconds) / 1e9)" }
            ),
        ]
        for (name, kind, help, value) in perDevice {
            text.add(
                name, kind, help,
                rows: nodes.flatMap { node in node.devices.map { (["node": node.address, "device": $0.name], value($0)) } })
        }
        return text.text
    }
}

/// Figures in Prometheus's text format, version 0.0.4.
struct PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private let prefix: String
    private var lines: [String] = []

    init(prefix: String) { self.prefix = prefix }

    var text: String { lines.joined(separator: "\n") + "\n" }

    mutating func add(_ name: String, _ kind: String, _ help: String, _ value: some CustomStringConvertible) {
        addHead(name, kind, help)
        lines.append("\(prefix)\(name) \(value)")
    }

    /// One figure under several labels; those without a value are left out.
    mutating func add(_ name: String, _ kind: String, _ help: String, rows: [(labels: KeyValuePairs<String, String>, value: String?)]) {
        addHead(name, kind, help)
        for (labels, value) in rows {
            guard let value else { continue }
            let shown = labels.map { "\($0.key)=\"\(PrometheusText.escaped($0.value))\"" }.joined(separator: ",")
            lines.append("\(prefix)\(name){\(shown)} \(value)")
        }
    }

    private mutating func addHead(_ name: String, _ kind: String, _ help: String) {
        lines.append("# HELP \(prefix)\(name) \(help)")
        lines.append("# TYPE \(prefix)\(name) \(kind)")
    }

    private static func escaped(_ text: String) -> String {
        String(text.flatMap { $0 == "\\" || $0 == "\"" ? ["\\", $0] : $0 == "\n" ? ["\\", "n"] : [$0] })
    }
}
