import RPCProto
import Tensor
import Testing

/// Servers of most versions do not say when they have zeroed memory or gone through what they were sent: whatever is asked
/// behind it has to wait as long as that may take, and no longer.
@Suite(.timeLimit(.minutes(2))) struct OwedWorkTests {
    /// A client that takes half a second for silence, and allows a second for going through 4 MB.
    private static let limits: ClientLimits = {
        var limits = ClientLimits(connect: 5, answer: 0.5, step: 4, foresees: true)
        limits.silence = 0.5
        limits.slowestMemory = 4e6
        return limits
    }()

    private static let byteCount = 8 << 20

    /// A server that takes several times the client's patience for zeroing.
    private func slow(_ dialect: Dialect, seconds: Double = 1) throws -> LoopbackServer {
        try LoopbackServer(dialect, pausing: { $0 == .clearBuffer ? seconds : 0 })
    }

    private func doubled(_ backend: RPCBackend, _ seed: Float) throws -> [Float] {
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4))
        let y = g.scale(x, by: 2)
        g.markOutput(y)
        let plan = try backend.prepare(try g.finish())
        var result = [UInt8](repeating: 0, count: 16)
        try bytes([seed, 2, 3, 4]).withUnsafeBytes { input in
            try result.withUnsafeMutableBytes { output in
                let (write, read) = (Step.Write(tensor: x, bytes: input), Step.Read(tensor: y, into: output))
                try backend.run(Step(writes: [write], plan: plan, reads: [read]))
            }
        }
        return floats(result)
    }

    @Test(arguments: Dialect.all) func aQuestionBehindLongZeroing(_ dialect: Dialect) throws {
        let server = try slow(dialect)
        let backend = try server.connect(OwedWorkTests.limits).devices[0]
        let buffer = try backend.allocate(byteCount: OwedWorkTests.byteCount)
        _ = try backend.memory()
        // Twice as much: what is owed adds up until something is answered.
        let more = try (0..<2).map { _ in try backend.allocate(byteCount: OwedWorkTests.byteCount) }
        _ = try backend.connection.measureRoundTrip()
        withExtendedLifetime((buffer, more)) {}
    }

    /// A step has a limit of its own, which the owed time comes on top of. Where zeroing is confirmed, nothing is owed by then.
    @Test(arguments: Dialect.all.filter { !$0.confirms(.clearBuffer) }) func aStepBehindLongZeroing(_ dialect: Dialect) throws {
        var limits = OwedWorkTests.limits
        limits.step = 1
        let backend = try slow(dialect, seconds: 1.5).connect(limits).devices[0]
        try backend.reserve(computeByteCount: 1 << 16)
        let buffer = try backend.allocate(byteCount: OwedWorkTests.byteCount)
        #expect(try doubled(backend, 1) == [2, 4, 6, 8])
        withExtendedLifetime(buffer) {}
    }

    /// An upload behind it, and a question behind an upload at whose end the server hashes and writes.
    @Test func anUploadBehindLongWork() throws {
        let content = [UInt8](repeating: 7, count: OwedWorkTests.byteCount)
        let upload = TensorUpload(name: "w", type: .i8, shape: Shape(content.count), content: OwnedBytes.region(content))
        let server = try LoopbackServer(pausing: { $0 == .clearBuffer || $0 == .getAlignment ? 1 : 0 })
        var limits = OwedWorkTests.limits
        limits.answer = 4
        let backend = try server.connect(limits).devices[0]
        let buffer = try backend.allocate(byteCount: OwedWorkTests.byteCount)
        let places = try backend.load([upload])
        withExtendedLifetime((buffer, places)) {}
    }

    /// Once something was answered, nothing is owed any more, and silence is silence.
    @Test func whatIsConfirmedIsNotOwed() throws {
        let server = try LoopbackServer(pausing: { $0 == .getDeviceMemory ? 1.5 : 0 })
        let backend = try server.connect(OwedWorkTests.limits).devices[0]
        let buffer = try backend.allocate(byteCount: OwedWorkTests.byteCount)
        _ = try backend.connection.measureRoundTrip()
        let error = failure { _ = try backend.memory() }
        #expect(error?.code == .connection)
        #expect(backend.connection.wasSilent)
        withExtendedLifetime(buffer) {}
    }

    /// However much is owed, a server that never comes back is given up.
    @Test func aServerThatNeverFinishes() throws {
        var limits = OwedWorkTests.limits
        limits.step = 0.5
        let server = try LoopbackServer(pausing: { $0 == .clearBuffer ? 3 : 0 })
        let backend = try server.connect(limits).devices[0]
        let buffer = try backend.allocate(byteCount: 1 << 30)
        let error = failure { _ = try backend.memory() }
        #expect(error?.code == .connection)
        #expect(backend.connection.wasSilent)
        withExtendedLifetime(buffer) {}
    }
}
