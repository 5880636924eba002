internal import Base
internal import NodeEngine

/// What `serve` tells Prometheus of itself and of the machines its model runs on.
enum HeadMetrics {
    static func text(status: EngineStatus, nodes: [NodeStatus]) -> String {
        var text = PrometheusText(prefix: "swiftlet_head_")
        text.add("slots", "gauge", "Requests that can be worked on at once.", status.slotCount)
        text.add("slots_busy", "gauge", "Requests being worked on.", status.slotsBusy)
        text.add("requests_queued", "gauge", "Requests that wait for a slot.", status.queued)
        text.add("ready", "gauge", "1 while requests are taken.", status.phase == .ready || status.phase == .recovering ? 1 : 0)
        if nodes.isEmpty { return text.text }

        let perNode: [(String, String, String, (NodeStatus) -> String?)] = [
            ("node_up", "gauge", "1 while the node can be used.", { $0.state == .absent || $0.state == .failed ? "0" : "1" }),
            (
                "node_round_trip_seconds", "gauge", "A short question and its answer: the last over a life line, else when the connection was new.",
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
