import Base
import Foundation
import Logging
import Node
import NodeCluster
import NodePeers
import RPCProto
import Synchronization
import TestSupport
import Testing

/// Nodes that know no more than a token and a place find each other, and a model runs over tunnels as it does on one machine.
@Suite(.timeLimit(.minutes(3)), .serialized) struct PeerNetworkTests {
    private final class NoRevocations: Revocations {
        func contains(_ id: String) -> Bool { false }
        var ids: [String] { [] }
        func merge(_ ids: [String], from node: NodeCard) -> Bool { false }
    }

    private func network(_ side: TunnelTests.Side, _ role: NodeCard.Role) throws -> PeerNetwork {
        let card = side.card(role)
        let network = PeerNetwork(
            side.credentials, ownCard: { card }, NoRevocations(), logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
        try network.begin()
        return network
    }

    @Test("a model over workers that were found has the same tokens as on one machine, and loses them in its stride")
    func model() async throws {
        let model = try TinyModel(layers: 4)
        let request = GenerationRequest(
            prompt: .tokens([1, 5, 9, 4]), sampling: SamplingSettings(temperature: 0), maxTokens: 40, ignoreEnd: true)
        func answer(_ engine: any TextEngine) async throws -> [Int32] {
            var tokens: [Int32] = []
            for try await event in try await engine.generate(request) {
                if case .token(let token) = event { tokens.append(token.id) }
            }
            return tokens
        }
        var options = EngineOptions(modelPath: model.path, contextSize: 128, slotCount: 1, threads: 1, batchSize: 16)
        let alone = try await Engines.text(options) { _ in }
        let expected = try await answer(alone)
        await alone.shutdown()

        let near = try network(TunnelTests.Side(), .head)
        var workers: [TunnelTests.TunnelledWorker] = []
        for _ in 0..<2 {
            let worker = try TunnelTests.TunnelledWorker(try TunnelTests.Side().door(KeptLog()))
            workers.append(worker)
            near.name(Endpoint(host: "127.0.0.1", port: worker.door.port))
        }
        for _ in 0..<500 where near.nodes.count < 2 { try await Task.sleep(for: .milliseconds(10)) }
        #expect(near.nodes.count == 2)
        options.head = HeadOptions(workers: [], usesLocal: false, timeout: 10)
        let pool = NodePool(near, near, options.head, events: EventFeed())
        let engine = try await Engines.text(options, over: pool) { _ in }
        #expect(try await answer(engine) == expected)
        #expect(engine.nodes.filter { $0.devices.contains { $0.layers != nil } }.count == 2)
        await workers[0].stop()
        #expect(try await answer(engine) == expected)
        await engine.shutdown()
        pool.stop()
        await workers[1].stop()
        near.end()
    }
}
