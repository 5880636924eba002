import Kernels
import Synchronization
import Tensor
import Testing

/// This machine's devices: found by name, whole whatever they lack, each with memory of its own.
struct LocalDeviceTests {
    private final class Owner: Sendable {}

    @Test("devices are found by their names, and none twice")
    func names() throws {
        #expect(try LocalDevices.named([]).map(\.name) == ["CPU"])
        #expect(try LocalDevices.named(["Stand-In", "cpu"]).map(\.name) == ["stand-in", "CPU"])
        #expect(throws: BackendError.self) { try LocalDevices.named(["gpu"]) }
        #expect(throws: BackendError.self) { try LocalDevices.named(["cpu", "CPU"]) }
    }

    @Test("what the stand-in lacks is computed all the same, on every lane, from weights and memory that only it has")
    func wholeDevice() throws {
        let device = try LocalDevices.open(LocalDevices.named(["stand-in"]), DeviceSettings(threads: 1))[0].backend
        let values = (0..<64).map { Float($0) }
        for lane in [device, try device.makeLane(), try device.makeLane().makeLane()] {
            try values.withUnsafeBytes { bytes in
                let content = MemoryRegion(bytes: bytes, owner: Owner())
                let places = try lane.load([TensorUpload(name: "w", type: .f32, shape: Shape(64), content: content)])
                let buffer = places[0].buffer
                #expect(buffer.hostBytes == nil)
                let g = GraphBuilder()
                let x = g.input("x", .f32, Shape(64))
                let w = g.placed("w", .f32, Shape(64), in: buffer, at: places[0].byteOffset)
                // Squares are for the fallback, of weights too.
                let sum = g.add(g.node("square", .sqr, [w]), g.mul(x, w))
                g.markOutput(sum)
                let graph = try g.finish()
                for id in graph.nodes { #expect(lane.supports(id, of: graph)) }
                #expect(!StandInDevice.operations.contains(.sqr))
                let found = try lane.run(try lane.prepare(graph), graph, [(x, values)], reads: [sum])[0]
                #expect(found == values.map { $0 * $0 + $0 * $0 })
            }
        }
        #expect(try device.memory().lent > 0)
    }

    @Test("weights are laid out at the device's alignment, in buffers of at most its largest size, and can be given up")
    func loading() throws {
        final class SmallBuffers: Backend {
            let processor: CPUBackend
            init() throws { processor = try CPUBackend(threads: 1) }
            let name = "small"
            let alignment = 128
            let largestBuffer = 1024
            func memory() throws(BackendError) -> DeviceMemory { try processor.memory() }
            func allocate(byteCount: Int) throws(BackendError) -> any TensorBuffer { try processor.allocate(byteCount: byteCount) }
            func supports(_ id: TensorID, of graph: Graph) -> Bool { false }
            func prepare(_ graph: Graph) throws(BackendError) -> any Plan { throw BackendError(.unsupported, "no") }
            func run(_ step: Step) throws(BackendError) {}
            func write(_ bytes: UnsafeRawBufferPointer, to buffer: any TensorBuffer, at byteOffset: Int) throws(BackendError) {
                try processor.write(bytes, to: buffer, at: byteOffset)
            }
            func read(_ buffer: any TensorBuffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
                try processor.read(buffer, at: byteOffset, into: bytes)
            }
        }
        let backend = try SmallBuffers()
        let contents: [[UInt8]] = [100, 400, 1024, 1, 130].enumerated().map { index, count in
            Array(repeating: UInt8(index + 1), count: count)
        }
        func uploads() -> [TensorUpload] {
            contents.map { content in
                // Not copied, so kept for as long as the test is.
                let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count, alignment: 1)
                bytes.copyBytes(from: content)
                return TensorUpload(
                    name: "\(content.count)", type: .i8, shape: Shape(content.count),
                    content: MemoryRegion(bytes: UnsafeRawBufferPointer(bytes), owner: Owner()))
            }
        }
        let reports = Mutex<[TransferProgress]>([])
        let all = uploads()
        let places = try backend.load(all, isInVain: { false }, progress: { report in reports.withLock { $0.append(report) } })
        #expect(places.map(\.byteOffset) == [0, 128, 0, 0, 128])
        #expect(places.map(\.buffer.byteCount) == [528, 528, 1024, 258, 258])
        for (place, content) in zip(places, contents) {
            var found = [UInt8](repeating: 0, count: content.count)
            try found.withUnsafeMutableBytes { try backend.read(place.buffer, at: place.byteOffset, into: $0) }
            #expect(found == content)
        }
        #expect(reports.withLock { $0.last } == TransferProgress(done: 1655, total: 1655, sent: 1655))
        func code(_ body: () throws(BackendError) -> Void) -> BackendError.Code? {
            do throws(BackendError) { try body() } catch { return error.code }
            return nil
        }
        #expect(code { () throws(BackendError) in _ = try backend.load(all, isInVain: { true }, progress: { _ in }) } == .cancelled)
        var wrong = all
        wrong[1].shape = Shape(401)
        #expect(code { () throws(BackendError) in _ = try backend.load(wrong) } == .invalidArgument)
        let large = [UInt8](repeating: 0, count: 1025)
        large.withUnsafeBytes { bytes in
            let upload = TensorUpload(name: "l", type: .i8, shape: Shape(1025), content: MemoryRegion(bytes: bytes, owner: Owner()))
            #expect(code { () throws(BackendError) in _ = try backend.load([upload]) } == .outOfMemory)
        }
    }
}
