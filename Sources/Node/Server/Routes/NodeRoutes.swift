internal import Base
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NodeCluster

/// `/v1/nodes`, `/v1/events` and `/metrics`: the machines that models run on, and what happens to them.
struct NodeRoutes: Sendable {
    let models: any ModelDirectory
    let gate: RequestGate
    let totals: TokenTotals
    /// Whether `/api/p2p` has something to tell.
    let hasNetwork: Bool

    func list(_ request: Request, _ context: ServerContext) async -> Response {
        Response(json: ["object": "list", "data": .array(models.nodes.map(\.json)), "has_network": .bool(hasNetwork)])
    }

    func metrics(_ request: Request, _ context: ServerContext) async -> Response {
        let text = HeadMetrics.text(status: models.status, nodes: models.nodes, totals: totals)
        var headers: HTTPFields = [.contentType: PrometheusText.contentType]
        // Counters began then, as llama.cpp's server says it.
        if let name = HTTPField.Name("Process-Start-Time-Unix") { headers[name] = String(totals.startTime) }
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(string: text)))
    }

    /// `POST /v1/nodes/ADDRESS/drain` empties a worker, `…/resume` lets it be used again.
    func command(_ request: Request, _ context: ServerContext) throws -> Response {
        let rest = request.path(after: "/nodes/")
        let parts = rest.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1] == "drain" || parts[1] == "resume" else {
            throw APIError(
                .notFound, .notFound, "A node can be asked to 'drain' and to 'resume': POST /v1/nodes/ADDRESS/drain.", code: "not_found")
        }
        let address = String(parts[0]).removingPercentEncoding ?? String(parts[0])
        guard models.setDrained(address, parts[1] == "drain") else {
            let known = models.nodes.filter { $0.version != nil || $0.state == .absent }.map(\.address)
            let list = known.isEmpty ? "there are none" : "there is: \(known.joined(separator: ", "))"
            throw APIError(.notFound, .notFound, "There is no worker '\(address.prefix(200))' here; \(list).", code: "node_not_found")
        }
        guard let node = models.nodes.first(where: { $0.address == address }) else { return Response(json: .null) }
        return Response(json: node.json)
    }

    /// The latest events, then each as it happens, until the client goes or the server stops.
    func events(_ request: Request, _ context: ServerContext) async -> Response {
        let feed = models.events
        let gate = gate
        let body = ResponseBody { writer in
            // A line now and then keeps proxies from closing what they take for dead, and finds clients that are gone.
            for await part in EventRoute.parts(feed.events) {
                if gate.isClosed { break }
                switch part {
                case .event(let event): try await writer.write(ServerSentEvent.data(event.json))
                case .pulse: try await writer.write(ServerSentEvent.pulse)
                }
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok, headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache"], body: body)
    }
}

/// Events mixed with a pulse.
private enum EventRoute {
    enum Part: Sendable {
        case event(NodeEvent)
        case pulse
    }

    private static let pulseTime = Duration.seconds(10)

    static func parts(_ events: AsyncStream<NodeEvent>) -> AsyncStream<Part> {
        let (parts, source) = AsyncStream<Part>.makeStream(bufferingPolicy: .bufferingNewest(256))
        let pulse = Task {
            while !Task.isCancelled {
                try? await Deadlines.sleep(for: pulseTime)
                source.yield(.pulse)
            }
        }
        let pump = Task {
            for await event in events { source.yield(.event(event)) }
            source.finish()
        }
        source.onTermination = { _ in
            pulse.cancel()
            pump.cancel()
        }
        return parts
    }
}
