internal import Base
internal import NodeEngine

/// What `serve` tells Prometheus of itself and of the machines its model runs on.
enum HeadMetrics {
    static func text(status: EngineStatus, nodes: [NodeStatus], totals: TokenTotals) -> String {
        own(status, nodes, totals.usage) + stock(status, totals)
    }

    /// The figures of llama.cpp's server, under its names, for dashboards that know those.
    private static func stock(_ status: EngineStatus, _ totals: TokenTotals) -> String {
        let usage = totals.usage
        let computed = usage.promptTokens - usage.cachedTokens
        var text = PrometheusText(prefix: "llamacpp:")
        text.add("prompt_tokens_total", "counter", "Tokens of prompts computed.", computed)
        text.add("prompt_tokens_cached_total", "counter", "Tokens of prompts found in a slot.", usage.cachedTokens)
        text.add("prompt_seconds_total", "counter", "Seconds spent on prompts.", seconds(usage.timings.prompt))
        text.add("tokens_predicted_total", "counter", "Tokens generated.", usage.completionTokens)
        text.add("tokens_predicted_seconds_total", "counter", "Seconds spent on generating.", seconds(usage.timings.generation))
        text.add("n_tokens_max", "counter", "The most tokens that a request held.", totals.longest)
        text.add("prompt_tokens_seconds", "gauge", "Tokens of prompts computed in a second.", usage.timings.prompt.rate(of: computed))
        text.add(
            "predicted_tokens_seconds", "gauge", "Tokens generated in a second.", usage.timings.generation.rate(of: usage.completionTokens))
        text.add("requests_processing", "gauge", "Requests being worked on.", status.slotsBusy)
        text.add("requests_deferred", "gauge", "Requests that wait for a slot.", status.queued)
        return text.text
    }

    private static func seconds(_ duration: Duration) -> Double { duration / .seconds(1) }

    private static func own(_ status: EngineStatus, _ nodes: [NodeStatus], _ usage: AnswerUsage) -> String {
        var text = PrometheusText(prefix: "swiftlet_head_")
        text.add("slots", "gauge", "Requests that can be worked on at once.", status.slotCount)
        text.add("slots_busy", "gauge", "Requests being worked on.", status.slotsBusy)
        text.add("requests_queued", "gauge", "Requests that wait for a slot.", status.queued)
        text.add("ready", "gauge", "1 while requests are taken.", status.phase == .ready || status.phase == .recovering ? 1 : 0)
        text.add("prompt_tokens_total", "counter", "Tokens of prompts, those found in a slot included.", usage.promptTokens)
        text.add("prompt_tokens_cached_total", "counter", "Tokens of prompts found in a slot.", usage.cachedTokens)
        text.add("prompt_seconds_total", "counter", "Seconds spent on prompts.", seconds(usage.timings.prompt))
        text.add("generated_tokens_total", "counter", "Tokens generated.", usage.completionTokens)
        text.add("generation_seconds_total", "counter", "Seconds spent on generating.", seconds(usage.timings.generation))
        if nodes.isEmpty { return text.text }

        let perNode: [(String, String, String, (NodeStatus) -> String?)] = [
            ("node_up", "gauge", "1 while the node can be used.", { $0.state == .absent || $0.state == .failed ? "0" : "1" }),
            (
                "node_round_trip_seconds", "gauge",
                "A short question and its answer: the last over a life line, else when the connection was new.",
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
