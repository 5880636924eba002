import Foundation
import Kernels
import RPCProto
import Tensor
import Testing

/// A server's device is a backend like any other: the same graphs give the same bytes.
struct ClientTests {
    /// Prompts and single tokens in turn, each graph again and again, and what a backend of this process makes of them.
    private func converse(with backend: any Backend, between: (Int) throws -> Void = { _ in }) throws -> [[UInt8]] {
        let model = try TinyTransformer(on: backend)
        let single = try model.stage(tokens: 1)
        var results: [[UInt8]] = []
        var position = 0
        for step in 0..<9 {
            try between(step)
            // A larger graph, made only now, makes the compute memory grow.
            let stage = step % 4 == 2 ? try model.stage(tokens: 3 + step) : single
            results.append(try model.run(stage, first: position, seed: UInt64(step) + 1))
            position += stage.tokens
        }
        return results
    }

    @Test(arguments: Dialect.all) func aServersDeviceGivesTheSameBytes(_ dialect: Dialect) throws {
        let expected = try converse(with: CPUBackend(threads: 2))
        let server = try LoopbackServer(dialect)
        let connection = try server.connect()
        #expect(connection.dialect == dialect)
        let backend = try #require(connection.devices.first)
        #expect(backend.name == "RPC \(server.endpoint) device 0")
        // Memory that comes and goes makes the server forget graphs.
        var spare: (any Buffer)?
        let results = try converse(with: backend) { step in
            spare = step % 3 == 1 ? try backend.allocate(byteCount: 4096) : nil
        }
        _ = spare
        #expect(results == expected)
        #expect(connection.failure == nil)
    }
}
