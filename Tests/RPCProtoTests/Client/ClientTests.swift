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

    /// A graph travels once; what a step needs besides leaves in one message.
    @Test func graphsAreSentOnce() throws {
        let server = try LoopbackServer()
        let model = try TinyTransformer(on: try server.connect().devices[0])
        let (short, long) = (try model.stage(tokens: 1), try model.stage(tokens: 8))
        for step in 0..<20 { _ = try model.run(step % 2 == 0 ? short : long, first: step, seed: 1) }
        #expect(server.count(of: .computeGraph) == 2)
        #expect(server.count(of: .recomputeGraph) == 18)
        #expect(server.count(of: .setTensor) - TinyTransformer.uploads().count == 20)
        #expect(server.count(of: .getTensor) == 20)
    }

    /// Memory reserved beforehand is enough for what fits it, so that the server forgets nothing; without, it grows.
    @Test func reservedMemoryIsKept() throws {
        for byteCount in [0, 1 << 20] {
            let server = try LoopbackServer()
            let backend = try server.connect().devices[0]
            if byteCount > 0 { try backend.reserve(computeByteCount: byteCount) }
            let model = try TinyTransformer(on: backend)
            let stages = try (1..<6).map { try model.stage(tokens: $0) }
            #expect(stages.allSatisfy { $0.plan.computeByteCount < 1 << 20 })
            _ = try backend.memory()
            #expect(server.count(of: .freeBuffer) == (byteCount > 0 ? 0 : 4))
        }
    }

    /// A name can stand for several addresses, of which only some answer.
    @Test func allAddressesOfANameAreTried() throws {
        let server = try LoopbackServer()
        let connection = try ServerConnection.connect(to: Endpoint(host: "localhost", port: server.endpoint.port))
        #expect(connection.devices[0].name == "RPC localhost:\(server.endpoint.port) device 0")
    }

    /// Many more graphs than either side keeps, with buffers freed in between: both must agree on which are kept.
    @Test(arguments: Dialect.all) func moreGraphsThanAreKept(_ dialect: Dialect) throws {
        let server = try LoopbackServer(dialect)
        let backend = try server.connect().devices[0]
        try backend.reserve(computeByteCount: 1 << 16)
        var plans: [(plan: any Plan, x: TensorID, y: TensorID, factor: Float)] = []
        func check(_ index: Int) throws {
            let (plan, x, y, factor) = plans[index]
            let input = bytes([1, -2, 3, Float(index)])
            var result = [UInt8](repeating: 0, count: 16)
            try input.withUnsafeBytes { input in
                try result.withUnsafeMutableBytes { result in
                    try backend.run(
                        Step(
                            writes: [Step.Write(tensor: x, bytes: input)], plan: plan, reads: [Step.Read(tensor: y, into: result)]))
                }
            }
            #expect(floats(result) == [factor, -2 * factor, 3 * factor, Float(index) * factor])
        }
        var random = SeededFloats(5)
        for index in 0..<1300 {
            let g = GraphBuilder()
            let x = g.input("x", .f32, Shape(4))
            let y = g.scale(x, by: Float(index))
            g.markOutput(y)
            plans.append((try backend.prepare(try g.finish()), x, y, Float(index)))
            try check(index)
            if index % 97 == 0 { _ = try backend.allocate(byteCount: 10) }
            try check(Int(random.next() % UInt64(index + 1)))
            try check(max(0, index - 1))
        }
        for index in 0..<1300 { try check(index) }
        #expect(backend.connection.failure == nil)
    }

    /// Buffers that nobody holds are given back, with whatever is said next.
    @Test(arguments: Dialect.all) func buffersAreFreed(_ dialect: Dialect) throws {
        var options = SessionOptions()
        options.bufferCount = 3
        let server = try LoopbackServer(dialect, options: options)
        let backend = try server.connect().devices[0]
        for _ in 0..<10 {
            let pair = [try backend.allocate(byteCount: 1000), try backend.allocate(byteCount: 1000)]
            #expect(pair.count == 2)
        }
        #expect(server.count(of: .freeBuffer) >= 18)

        // Many at once are all gone before there is something new.
        options.bufferCount = 100
        let large = try LoopbackServer(dialect, options: options)
        let device = try large.connect().devices[0]
        for _ in 0..<3 {
            let many = try (0..<100).map { _ in try device.allocate(byteCount: 64) }
            #expect(many.count == 100)
        }
    }

    @Test func devicesShareTheConnection() throws {
        let server = try LoopbackServer(devices: 3)
        let connection = try server.connect()
        #expect(connection.devices.map(\.device) == [0, 1, 2])
        let second = connection.devices[1]
        #expect(connection.devices[1] === second)
        let expected = try converse(with: CPUBackend(threads: 2))
        let group = DispatchGroup()
        for device in connection.devices {
            group.enter()
            Thread.detachNewThread {
                defer { group.leave() }
                do { #expect(try converse(with: device) == expected) } catch { Issue.record("\(error)") }
            }
        }
        group.wait()
        #expect(connection.failure == nil)
        #expect(connection.sentByteCount > 10_000)
        #expect(connection.receivedByteCount > 1000)
        #expect(try connection.measureRoundTrip() > .zero)
    }

    /// Whoever waits is freed by another thread; then there is nothing any more.
    @Test(.timeLimit(.minutes(1)), arguments: [true, false]) func waitingCanBeBrokenOff(_ isCancelled: Bool) throws {
        let good = try LoopbackServer()
        _ = try good.connect().devices[0].allocate(byteCount: 100)
        let silent = try ScriptedServer(good.answers, .isSilent)
        let connection = try ServerConnection.connect(to: silent.endpoint)
        let backend = connection.devices[0]
        let buffer = try backend.allocate(byteCount: 100)
        Thread.detachNewThread {
            usleep(100_000)
            if isCancelled { backend.cancel() } else { connection.close() }
        }
        var byte: UInt8 = 0
        let error = failure { try withUnsafeMutableBytes(of: &byte) { try backend.read(buffer, at: 0, into: $0) } }
        #expect(error?.code == (isCancelled ? .cancelled : .connection))
        #expect(error?.message == connection.failure)
        #expect(throws: BackendError.self) { try backend.memory() }
        connection.close()
    }

    // MARK: Refusals

    @Test func whatDoesNotFitIsRefusedBeforeItIsSent() throws {
        let server = try LoopbackServer(devices: 2)
        let connection = try server.connect()
        let (backend, other) = (connection.devices[0], connection.devices[1])
        let buffer = try backend.allocate(byteCount: 64)
        let foreign = try other.allocate(byteCount: 64)
        let adopted = try backend.load([
            TensorUpload(name: "loaded", type: .f32, shape: Shape(1), content: OwnedBytes.region([1, 2, 3, 4]))
        ])[0].buffer
        let four = [UInt8](repeating: 0, count: 4)
        func refuse(_ code: BackendError.Code, _ body: () throws -> Void) {
            let error = failure(of: body)
            #expect(error?.code == code, "\(error?.message ?? "it was accepted")")
        }
        for offset in [-1, 61, 64, Int.max] {
            refuse(.invalidArgument) { try four.withUnsafeBytes { try backend.write($0, to: buffer, at: offset) } }
        }
        refuse(.invalidArgument) { try four.withUnsafeBytes { try backend.write($0, to: foreign, at: 0) } }
        refuse(.invalidArgument) { try four.withUnsafeBytes { try backend.write($0, to: adopted, at: 0) } }

        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4))
        let hidden = g.add(x, x)
        let y = g.scale(hidden, by: 2)
        g.markOutput(y)
        let graph = try g.finish()
        let plan = try backend.prepare(graph)
        refuse(.invalidArgument) { try other.run(Step(plan: plan)) }
        four.withUnsafeBytes { bytes in
            refuse(.invalidArgument) { try backend.run(Step(writes: [.init(tensor: x, byteOffset: 13, bytes: bytes)], plan: plan)) }
            refuse(.invalidArgument) { try backend.run(Step(writes: [.init(tensor: hidden, bytes: bytes)], plan: plan)) }
            refuse(.invalidArgument) { try backend.run(Step(writes: [.init(tensor: TensorID(9), bytes: bytes)], plan: plan)) }
        }
        var room = four
        room.withUnsafeMutableBytes { bytes in
            refuse(.invalidArgument) { try backend.run(Step(plan: plan, reads: [.init(tensor: hidden, into: bytes)])) }
        }
        let placed = GraphBuilder()
        _ = placed.scale(placed.placed("w", .f32, Shape(4), in: foreign, at: 0), by: 2)
        refuse(.invalidArgument) { _ = try backend.prepare(try placed.finish()) }
        let outside = GraphBuilder()
        _ = outside.scale(outside.placed("w", .f32, Shape(400), in: buffer, at: 0), by: 2)
        refuse(.invalidGraph) { _ = try backend.prepare(try outside.finish()) }
        let function = GraphBuilder()
        let node = function.node("f", .mapCustom1, [function.input("x", .f32, Shape(4))])
        refuse(.unsupported) { _ = try backend.prepare(try function.finish()) }
        #expect(!backend.supports(node, of: function.graph))
        #expect(backend.supports(hidden, of: graph))
        #expect(connection.failure == nil)
    }

    /// 5.1 has no clamped SwiGLU.
    @Test func whatAVersionDoesNotHaveIsRefused() throws {
        for dialect in Dialect.all {
            let backend = try LoopbackServer(dialect).connect().devices[0]
            let g = GraphBuilder()
            let a = g.input("a", .f32, Shape(4))
            let node = g.glu(.swigluClamp, gate: a, value: a)
            g.markOutput(node)
            let graph = try g.finish()
            #expect(backend.supports(node, of: graph) == (dialect.version.major >= 7))
            if dialect.version.major < 7 { #expect(throws: BackendError.self) { try backend.prepare(graph) } }
        }
    }

    // MARK: Steps

    /// Parts, in any order, some over others; large ones; results next to each other.
    @Test(arguments: Dialect.all) func writesAndReadsOfAllKinds(_ dialect: Dialect) throws {
        let server = try LoopbackServer(dialect)
        let backend = try server.connect().devices[0]
        let count = 30_000
        let g = GraphBuilder()
        let small = g.input("small", .f32, Shape(5))
        let large = g.input("large", .f32, Shape(count))
        let last = g.input("last", .f32, Shape(3))
        let buffer = try backend.allocate(byteCount: 64)
        let placed = g.placed("placed", .f32, Shape(3), in: buffer, at: 32)
        let results = [g.scale(small, by: 2), g.scale(large, by: 3), g.add(last, placed)]
        for result in results { g.markOutput(result) }
        let plan = try backend.prepare(try g.finish())
        var random = SeededFloats(3)
        for round in 0..<3 {
            let (a, b, c, d) = (random.floats(5), random.floats(count), random.floats(3), random.floats(3))
            let other = bytes([9, 9])
            var output = (bytes(random.floats(5)), bytes(random.floats(count)), bytes(random.floats(3)))
            try bytes(a).withUnsafeBytes { a in
                try bytes(b).withUnsafeBytes { b in
                    try bytes(c).withUnsafeBytes { c in
                        try bytes(d).withUnsafeBytes { d in
                            try other.withUnsafeBytes { other in
                                try output.0.withUnsafeMutableBytes { x in
                                    try output.1.withUnsafeMutableBytes { y in
                                        try output.2.withUnsafeMutableBytes { z in
                                            func part(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> UnsafeRawBufferPointer {
                                                UnsafeRawBufferPointer(rebasing: bytes[range])
                                            }
                                            var writes = [
                                                Step.Write(tensor: last, bytes: c), .init(tensor: placed, bytes: d),
                                                .init(tensor: large, byteOffset: 70_000, bytes: part(b, 70_000..<b.count)),
                                                .init(tensor: large, bytes: part(b, 0..<70_000)), .init(tensor: small, bytes: a),
                                                .init(tensor: small, bytes: part(a, 0..<0)),
                                            ]
                                            // Overwritten by what comes after it.
                                            if round == 1 { writes.insert(.init(tensor: small, byteOffset: 4, bytes: other), at: 0) }
                                            let reads = [
                                                Step.Read(tensor: results[1], into: y), .init(tensor: results[0], into: x),
                                                .init(tensor: results[2], into: z),
                                            ]
                                            try backend.run(Step(writes: writes, plan: plan, reads: reads))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            #expect(floats(output.0) == a.map { $0 * 2 })
            #expect(floats(output.1) == b.map { $0 * 3 })
            #expect(floats(output.2) == zip(c, d).map { $0 + $1 })
        }
    }
}
