import Kernels
import Tensor
import Testing

/// That buffers are the device's memory, and that the fallback's copies of it are made seldom and are never old.
@Suite struct SplitBufferTests {
    /// `weights` added on the fallback to what the device makes of `x`.
    private static func graph(_ buffer: any TensorBuffer, at byteOffset: Int = 0) throws -> (graph: Graph, x: TensorID, sum: TensorID) {
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4))
        let sum = g.add(g.scale(x, by: 2), g.placed("weights", .f32, Shape(4), in: buffer, at: byteOffset))
        g.markOutput(sum)
        return (try g.finish(), x, sum)
    }

    @Test("bytes written are read again; other ranges and other backends' buffers are refused")
    func contents() throws {
        let test = try SplitUnderTest(refusing: [.add])
        let buffer = try test.split.allocate(byteCount: 16)
        #expect(buffer.backend === test.split)
        #expect(buffer.byteCount == 16)
        #expect(try test.split.values(of: buffer) == [0, 0, 0, 0])
        try test.split.write([5, 6], to: buffer, at: 4)
        #expect(try test.split.values(of: buffer) == [0, 5, 6, 0])
        for offset in [12, -4, Int.max] {
            #expect(throws: BackendError.self) { try test.split.write([5, 6], to: buffer, at: offset) }
        }
        let strangers = [
            try test.primary.allocate(byteCount: 16), try CPUBackend(threads: 1).allocate(byteCount: 16),
            try SplitUnderTest(refusing: []).split.allocate(byteCount: 16),
        ]
        for stranger in strangers {
            #expect(throws: BackendError.self) { try test.split.write([1], to: stranger) }
            #expect(throws: BackendError.self) { try test.split.values(of: stranger) }
            #expect { try test.split.prepare(Self.graph(stranger).graph) } throws: { ($0 as? BackendError)?.tensor == "weights" }
            let (graph, _, sum) = try Self.graph(stranger)
            _ = test.split.supports(sum, of: graph)
        }
        let (graph, _, _) = try Self.graph(buffer)
        let plan = try SplitUnderTest(refusing: [.add]).primary.prepare(GraphBuilder().finish())
        #expect(throws: BackendError.self) { try test.split.run(plan, graph, reads: []) }
    }

    @Test("weights are fetched once for all plans, and again when they have been written")
    func keptCopies() throws {
        let test = try SplitUnderTest(refusing: [.add])
        let buffer = try test.buffer([9, 9, 9, 9, 1, 2, 3, 4, 8, 8, 8, 8])
        func sum() throws -> [Float] {
            // A plan of its own, which is gone afterwards.
            let (graph, x, sum) = try Self.graph(buffer, at: 16)
            let plan = try test.split.prepare(graph)
            _ = try test.split.run(plan, graph, [(x, [0, 0, 0, 0])], reads: [sum])
            return try test.split.run(plan, graph, [(x, [1, 1, 1, 1])], reads: [sum])[0]
        }
        for _ in 0..<3 { #expect(try sum() == [3, 4, 5, 6]) }
        #expect(test.primary.counts.readBytes == 16)
        // Beside it.
        try test.split.write([7], to: buffer, at: 12)
        #expect(try sum() == [3, 4, 5, 6])
        #expect(test.primary.counts.readBytes == 16)

        let (graph, x, total) = try Self.graph(buffer, at: 16)
        let plan = try test.split.prepare(graph)
        _ = try test.split.run(plan, graph, [(x, [0, 0, 0, 0])], reads: [total])
        try test.split.write([10, 20], to: buffer, at: 20)
        #expect(try test.split.run(plan, graph, [(x, [0, 0, 0, 0])], reads: [total]) == [[1, 10, 20, 4]])
        #expect(test.primary.counts.readBytes == 24)
        if buffer.discard() {
            #expect(try test.split.run(plan, graph, [(x, [0, 0, 0, 0])], reads: [total]) == [[0, 0, 0, 0]])
        }
    }

    @Test("what a graph writes, on either side, every other graph sees")
    func graphsThatWrite() throws {
        for refused in [Set<OperationKind>([.add]), [.add, .cpy], [.add, .cpy, .scale]] {
            let test = try SplitUnderTest(refusing: refused)
            let buffer = try test.buffer([1, 2, 3, 4])
            let (graph, x, sum) = try Self.graph(buffer)
            let plan = try test.split.prepare(graph)
            #expect(try test.split.run(plan, graph, [(x, [0, 0, 0, 0])], reads: [sum]) == [[1, 2, 3, 4]])
            let g = GraphBuilder()
            let rows = g.input("rows", .f32, Shape(2))
            _ = g.copy(rows, into: g.placed("end", .f32, Shape(2), in: buffer, at: 8))
            let writing = try g.finish()
            let writer = try test.split.prepare(writing)
            for value in [Float(5), 6] {
                _ = try test.split.run(writer, writing, [(rows, [value, value])], reads: [])
                #expect(try test.split.run(plan, graph, [(x, [0, 0, 0, 0])], reads: [sum]) == [[1, 2, value, value]])
            }
        }
    }

    @Test("mapped weights are used by the fallback where they are, and cannot be written")
    func adopted() throws {
        final class Owner: Sendable {
            nonisolated(unsafe) let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 64)
            deinit { bytes.deallocate() }
        }
        let owner = Owner()
        [Float](arrayLiteral: 1, 2, 3, 4).withUnsafeBytes { owner.bytes.copyMemory(from: $0) }
        let test = try SplitUnderTest(refusing: [.add])
        let buffer = try test.split.load(
            TensorUpload(
                name: "weights", type: .f32, shape: Shape(4),
                content: MemoryRegion(bytes: UnsafeRawBufferPointer(owner.bytes), owner: owner)))
        let (graph, x, sum) = try Self.graph(buffer)
        let plan = try test.split.prepare(graph)
        #expect(try test.split.run(plan, graph, [(x, [0, 0, 0, 0])], reads: [sum]) == [[1, 2, 3, 4]])
        #expect(test.primary.counts.readBytes == 0)
        #expect(throws: BackendError.self) { try test.split.write([1], to: buffer) }
        let g = GraphBuilder()
        _ = g.copy(g.input("x", .f32, Shape(4)), into: g.placed("weights", .f32, Shape(4), in: buffer, at: 0))
        #expect { try test.split.prepare(g.finish()) } throws: { ($0 as? BackendError)?.code == .invalidGraph }
    }

    @Test("results that are written whole are not fetched before")
    func wholeResults() throws {
        let test = try SplitUnderTest(refusing: [.add])
        let buffer = try test.split.allocate(byteCount: 32)
        var graph = Graph()
        graph.tensors = [
            Tensor(name: "a", type: .f32, shape: Shape(4), storage: .placed(buffer, byteOffset: 0)),
            Tensor(
                name: "sum", type: .f32, shape: Shape(4), operation: .add, sources: [TensorID(0), TensorID(0)], flags: .compute,
                storage: .placed(buffer, byteOffset: 16)),
            Tensor(
                name: "over a", type: .f32, shape: Shape(4), operation: .add, sources: [TensorID(1), TensorID(1)], flags: .compute,
                storage: .placed(buffer, byteOffset: 0)),
        ]
        graph.nodes = [TensorID(1), TensorID(2)]
        let plan = try test.split.prepare(graph)
        try test.split.write([1, 2, 3, 4], to: buffer)
        _ = try test.split.run(plan, graph, reads: [])
        #expect(test.primary.counts == DistantDevice.Counts(readBytes: 16, writtenBytes: 16 + 32))
        #expect(try test.split.values(of: buffer) == [4, 8, 12, 16, 2, 4, 6, 8])
    }
}
