import Node
import Testing

/// What the routes about machines and models say, whatever the directory behind them is.
@Suite(.timeLimit(.minutes(1))) struct NodeRouteTests {
    /// Two models on one worker, in states that a test sets.
    private final class MockDirectory: ModelDirectory {
        let engine = MockEngine()
        let events = EventFeed()
        let phase: EngineStatus.Phase
        let nodeState: NodeStatus.State

        init(phase: EngineStatus.Phase = .ready, nodeState: NodeStatus.State = .ready) {
            self.phase = phase
            self.nodeState = nodeState
        }

        var models: [ModelListing] {
            var second = engine.card
            second.id = "other"
            return [
                ModelListing(card: engine.card, state: .loaded, places: "10.0.0.7:50052 layers 0-8"),
                ModelListing(card: second, state: .unavailable, reason: "there is no room"),
            ]
        }

        var nodes: [NodeStatus] { [NodeStatus(address: "10.0.0.7:50052", state: nodeState, version: "8.0.0", devices: [])] }
        var status: EngineStatus { EngineStatus(phase: phase, slotsBusy: 1, slotCount: 4, queued: 0, reason: "it is lost") }

        func lease(_ name: String?) async throws(EngineError) -> ModelLease {
            if name == "other" { throw .unavailable("there is no room") }
            guard name == nil || name == "mock" else { throw .unknownModel(name ?? "", known: ["mock", "other"]) }
            return ModelLease(engine)
        }

        func setDrained(_ address: String, _ isDrained: Bool) -> Bool {
            guard address == "10.0.0.7:50052" else { return false }
            events.tell(NodeEvent(isDrained ? .draining : .resumed, node: address, "by command"))
            return true
        }

        func shutdown() async {}
    }

    private func body(_ model: String) -> String { #"{"model": "\#(model)", "prompt": "a", "max_tokens": 3}"# }

    @Test("health says ready, degraded, recovering, unavailable")
    func health() async throws {
        for (phase, node, status, state) in [
            (EngineStatus.Phase.ready, NodeStatus.State.ready, 200, "ready"), (.ready, .absent, 200, "degraded"),
            (.recovering, .absent, 200, "recovering"), (.unavailable, .absent, 503, nil),
        ] as [(EngineStatus.Phase, NodeStatus.State, Int, String?)] {
            let server = TestServer(models: MockDirectory(phase: phase, nodeState: node))
            let answer = try await server.ask(.get, "/health")
            #expect(answer.status == status)
            if let state { #expect(try answer.json["state"] == .string(state)) } else { #expect(answer.headers["retry-after"] != nil) }
        }
    }

    @Test("models are listed with their states, and asked for by name")
    func models() async throws {
        let server = TestServer(models: MockDirectory())
        let listing = try await server.ask(.get, "/v1/models")
        #expect(listing.text.contains(#""state":"loaded""#) && listing.text.contains(#""state":"unavailable""#))
        #expect(try await server.ask(.get, "/v1/models/other").json["reason"] == "there is no room")
        #expect(try await server.ask(.post, "/v1/completions", body("mock")).status == 200)
        let busy = try await server.ask(.post, "/v1/completions", body("other"))
        #expect(busy.status == 503 && busy.headers["retry-after"] != nil)
        let unknown = try await server.ask(.post, "/v1/completions", body("third"))
        #expect(unknown.status == 404 && unknown.text.contains("mock, other"))
    }

    @Test("workers are emptied and resumed by command, if there are such")
    func draining() async throws {
        let server = TestServer(models: MockDirectory())
        #expect(try await server.ask(.post, "/v1/nodes/10.0.0.7:50052/drain").status == 200)
        #expect(try await server.ask(.post, "/v1/nodes/10.0.0.7%3A50052/resume").status == 200)
        let unknown = try await server.ask(.post, "/v1/nodes/10.0.0.9:1/drain")
        #expect(unknown.status == 404 && unknown.text.contains("10.0.0.7:50052"))
        #expect(try await server.ask(.post, "/v1/nodes/10.0.0.7:50052/explode").status == 404)
    }

    @Test("an event feed gives the latest events and then each, to everyone, until it is closed")
    func events() async throws {
        let feed = EventFeed()
        feed.tell(NodeEvent(.lost, node: "a:1", "it is gone"))
        let (first, second) = (feed.events, feed.events)
        feed.tell(NodeEvent(.joined, node: "a:1", "it is there"))
        feed.close()
        for stream in [first, second] {
            var kinds: [NodeEvent.Kind] = []
            for await event in stream { kinds.append(event.kind) }
            #expect(kinds == [.lost, .joined])
        }
    }
}
