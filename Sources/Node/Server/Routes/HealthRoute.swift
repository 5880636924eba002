internal import HTTPTypes
internal import Hummingbird
internal import NodeCluster
internal import NodeEngine

/// `/health`: whether requests are welcome.
struct HealthRoute: Sendable {
    let models: any ModelDirectory
    let gate: RequestGate

    func check(_ request: Request, _ context: ServerContext) -> Response {
        let status = models.status
        if gate.isClosed || status.phase == .stopped {
            return APIError.stopping.response(from: request, context: context)
        }
        if status.phase == .failed {
            let reason = status.reason.map { ": \($0)" } ?? ""
            let message = APIError.sentence("the model does not work any more\(reason)")
            return APIError(.serviceUnavailable, .unavailable, message, code: "failed")
                .response(from: request, context: context)
        }
        if status.phase == .unavailable {
            return APIError(EngineError.unavailable(status.reason ?? "there is no room for it")).response(from: request, context: context)
        }
        let isWhole = models.nodes.allSatisfy { $0.state != .absent && $0.state != .failed }
        return Response(json: [
            "status": "ok",
            "state": status.phase == .recovering ? "recovering" : isWhole ? "ready" : "degraded",
            "slots_idle": .integer(status.slotCount - status.slotsBusy),
            "slots_processing": .integer(status.slotsBusy),
            "queued": .integer(status.queued),
        ])
    }
}
