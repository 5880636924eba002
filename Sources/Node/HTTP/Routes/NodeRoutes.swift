internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

/// `/v1/nodes` and `/metrics`: the machines that the model runs on.
struct NodeRoutes: Sendable {
    let engine: any TextEngine

    func list(_ request: Request, _ context: ServerContext) async -> Response {
        let nodes = engine.nodes
        return Response(json: ["object": "list", "data": .array(nodes.map(\.json))])
    }

    func metrics(_ request: Request, _ context: ServerContext) async -> Response {
        let text = HeadMetrics.text(status: engine.status, nodes: engine.nodes)
        return Response(
            status: .ok, headers: [.contentType: PrometheusText.contentType], body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}
