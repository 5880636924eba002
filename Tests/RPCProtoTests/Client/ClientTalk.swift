import RPCProto
import Tensor
import Testing

/// A whole conversation of a client: everything that it can ask is asked.
enum ClientTalk {
    /// What came of it.
    struct Outcome {
        var results: [[UInt8]] = []
        var error: BackendError?
        /// What a connection that failed says of itself, and what it throws from then on.
        var failure: String?
        var later: String?
    }

    static func hold(with endpoint: Endpoint, _ limits: ClientLimits) -> Outcome {
        var outcome = Outcome()
        var connection: ServerConnection?
        do {
            let server = try ServerConnection.connect(to: endpoint, limits: limits)
            connection = server
            try talk(server, &outcome)
        } catch let error as BackendError {
            outcome.error = error
        } catch {
            outcome.error = BackendError(.invalidArgument, "\(error)")
        }
        if let connection, outcome.error?.code == .connection {
            outcome.failure = connection.failure
            do { _ = try connection.devices[0].memory() } catch { outcome.later = "\(error)" }
        }
        return outcome
    }

    private static func talk(_ server: ServerConnection, _ outcome: inout Outcome) throws {
        let backend = try #require(server.devices.first)
        let memory = try backend.memory()
        guard memory.free >= 0, memory.free <= memory.total else { throw BackendError(.invalidArgument, "memory \(memory)") }
        let cache = try backend.allocate(byteCount: 1000)
        let written = bytes([1, 2, 3, 4])
        try written.withUnsafeBytes { try backend.write($0, to: cache, at: 8) }
        outcome.results.append(try read(backend, cache, at: 0, count: 32))

        var random = SeededFloats(3)
        let plain = bytes(random.floats(32 * 512))
        var blocks: [UInt8] = []
        for _ in 0..<64 { blocks += [0x00, 0x14] + (0..<32).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
        let uploads = [
            TensorUpload(
                name: "plain", type: .f32, shape: Shape(32, 512), content: OwnedBytes.region(plain),
                hash: .known(plain.withUnsafeBytes { FNVHash.of($0) })),
            TensorUpload(name: "blocks", type: .q8_0, shape: Shape(64, 32), content: OwnedBytes.region(blocks)),
        ]
        let places = try backend.load(uploads)
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(64, 2))
        let y = g.input("y", .f32, Shape(32, 2))
        let plainWeights = g.placed("plain", .f32, Shape(32, 512), in: places[0].buffer, at: places[0].byteOffset)
        let blockWeights = g.placed("blocks", .q8_0, Shape(64, 32), in: places[1].buffer, at: places[1].byteOffset)
        let first = g.add(g.matMul(blockWeights, x), y)
        let second = g.matMul(plainWeights, first)
        g.markOutput(first)
        g.markOutput(second)
        let plan = try backend.prepare(try g.finish())
        for round in 0..<2 {
            let inputs = (bytes(random.floats(128)), bytes(random.floats(64)))
            var results = ([UInt8](repeating: 0, count: 256), [UInt8](repeating: 0, count: 4096))
            try inputs.0.withUnsafeBytes { a in
                try inputs.1.withUnsafeBytes { b in
                    try results.0.withUnsafeMutableBytes { c in
                        try results.1.withUnsafeMutableBytes { d in
                            let writes = [Step.Write(tensor: x, bytes: a), Step.Write(tensor: y, bytes: b)]
                            let reads = [Step.Read(tensor: first, into: c), Step.Read(tensor: second, into: d)]
                            try backend.run(Step(writes: writes, plan: plan, reads: round == 0 ? reads : reads.reversed()))
                        }
                    }
                }
            }
            outcome.results += [results.0, results.1]
        }
        try backend.run(Step(plan: plan))
        _ = try server.measureRoundTrip()
    }

    private static func read(_ backend: RPCBackend, _ buffer: any Buffer, at offset: Int, count: Int) throws -> [UInt8] {
        var result = [UInt8](repeating: 0xff, count: count)
        try result.withUnsafeMutableBytes { try backend.read(buffer, at: offset, into: $0) }
        return result
    }
}
