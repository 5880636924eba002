import Kernels
import Tensor
import Testing

/// That values, views and what lies in buffers get over the cuts of a graph that two backends compute.
@Suite struct SplitBackendTests {
    private static let eight: [Float] = [1, 2, 3, 4, 5, 6, 7, 8]

    @Test("a copy into a view of a buffer's tensor changes the device's bytes, those and no others", arguments: [false, true])
    func copyInPlace(_ isFallbacks: Bool) throws {
        let test = try SplitUnderTest(refusing: isFallbacks ? [.cpy] : [.scale])
        let cache = try test.buffer([Float](repeating: 7, count: 32))
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4, 2))
        // Columns 1 and 2 of rows of 8 floats, behind 4 floats of something else.
        let whole = g.placed("cache", .f32, Shape(8, 3), in: cache, at: 16)
        let before = g.scale(whole, by: 1)
        let place = g.view(of: whole, shape: Shape(4, 2), strides: Strides(4, 32, 64, 64), byteOffset: 8)
        let copied = g.copy(x, into: place)
        let after = g.scale(whole, by: 2)
        let view = g.scale(copied, by: 3)
        for id in [before, after, view] { g.markOutput(id) }
        let graph = try g.finish()
        let plan = try test.split.prepare(graph)
        #expect(test.primary.graphs.count == (isFallbacks ? 2 : 1))
        for shift in [Float(0), 100] {
            let values = Self.eight.map { $0 + shift }
            let found = try test.split.run(plan, graph, [(x, values)], reads: [before, after, view])
            var expected = [Float](repeating: 7, count: 24)
            if shift > 0 { for i in 0..<8 { expected[2 + i / 4 * 8 + i % 4] = Self.eight[i] } }
            #expect(found[0] == expected)
            for i in 0..<8 { expected[2 + i / 4 * 8 + i % 4] = values[i] }
            #expect(found[1] == expected.map { $0 * 2 })
            #expect(found[2] == values.map { $0 * 3 })
            #expect(try test.split.values(of: cache) == [7, 7, 7, 7] + expected + [7, 7, 7, 7])
        }
    }

    @Test("views of views come over a cut as they are, in either direction", arguments: [OperationKind.cont, .add])
    func viewChain(_ refused: OperationKind) throws {
        let test = try SplitUnderTest(refusing: [refused])
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4, 2))
        let sum = g.add(x, x)
        let turned = g.transpose(g.reshape(sum, Shape(2, 4)))
        let part = g.view(of: turned, shape: Shape(2, 2), strides: g[turned].strides, byteOffset: 8)
        let packed = g.contiguous(part)
        let again = g.add(g.permute(packed, (1, 0, 2, 3)), g.view(of: sum, shape: Shape(2, 2), strides: Strides(4, 16, 32, 32)))
        g.markOutput(packed)
        g.markOutput(again)
        let graph = try g.finish()
        let plan = try test.split.prepare(graph)
        let found = try test.split.run(plan, graph, [(x, Self.eight)], reads: [packed, again])
        #expect(found[0] == [6, 10, 8, 12])
        #expect(found[1] == [8, 12, 20, 24] as [Float])
        // One cut between each and the next: views belong to whoever reads them.
        #expect(test.primary.graphs == (refused == .cont ? [[.add], [.add]] : [[.cont]]))
    }

    @Test("an input goes to all who read it, and as it is then where something is written into it")
    func inputs() throws {
        let test = try SplitUnderTest(refusing: [.scale, .cpy])
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4))
        let unread = g.input("unread", .f32, Shape(4))
        let twice = g.add(x, x)
        let thrice = g.scale(x, by: 3)
        let square = g.mul(x, x)
        let end = g.view(of: x, shape: Shape(2), strides: Strides(4, 8, 8, 8), byteOffset: 8)
        let written = g.copy(g.view(of: thrice, shape: Shape(2), strides: Strides(4, 8, 8, 8)), into: end)
        let changed = g.add(x, x)
        let other = g.scale(written, by: 1)
        for id in [twice, thrice, square, changed, other] { g.markOutput(id) }
        let graph = try g.finish()
        let plan = try test.split.prepare(graph)
        for _ in 0..<2 {
            let found = try test.split.run(
                plan, graph, [(x, [1, 2, 3, 4]), (unread, [0, 0, 0, 0])], reads: [twice, thrice, square, changed, other])
            #expect(found == [[2, 4, 6, 8], [3, 6, 9, 12], [1, 4, 9, 16], [2, 4, 6, 12], [3, 6]])
        }
        // A part of an input, and by a view of it.
        #expect(throws: BackendError.self) { try test.split.run(plan, graph, [(x, [1, 2, 3, 4, 5])], reads: []) }
        #expect(throws: BackendError.self) { try test.split.run(plan, graph, [(twice, [1, 2, 3, 4])], reads: []) }
        let found = try test.split.run(plan, graph, [(x, [1, 2, 3, 4]), (end, [5, 6])], reads: [twice])
        #expect(found == [[2, 4, 10, 12]])
    }

    @Test("outputs in the middle, of views, of inputs and of buffers are read after a run; others are refused")
    func outputs() throws {
        let test = try SplitUnderTest(refusing: [.mul])
        let buffer = try test.buffer([1, 1, 1, 1])
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(2, 2))
        let weights = g.placed("weights", .f32, Shape(2, 2), in: buffer, at: 0)
        let hidden = g.add(x, weights)
        let middle = g.add(hidden, hidden)
        let product = g.mul(middle, middle)
        _ = g.mul(product, x)
        let view = g.view(of: product, shape: Shape(2), strides: Strides(4, 8, 8, 8), byteOffset: 8)
        let last = g.add(product, middle)
        for id in [x, middle, view, last] { g.markOutput(id) }
        let graph = try g.finish()
        let plan = try test.split.prepare(graph)
        let found = try test.split.run(plan, graph, [(x, [0, 1, 2, 3])], reads: [x, middle, view, last, weights])
        #expect(found == [[0, 1, 2, 3], [2, 4, 6, 8], [36, 64], [6, 20, 42, 72], [1, 1, 1, 1]])
        #expect(throws: BackendError.self) { try test.split.run(plan, graph, [(x, [0, 1, 2, 3])], reads: [hidden]) }
        // Written through a step, seen by both.
        let second = try test.split.run(plan, graph, [(x, [0, 1, 2, 3]), (weights, [2, 2, 2, 2])], reads: [middle, weights])
        #expect(second == [[4, 6, 8, 10], [2, 2, 2, 2]])
    }

    @Test("a norm that is read after a cut is there, though its device computes it with the product behind it", arguments: [false, true])
    func fusedNorm(_ isFallbacks: Bool) throws {
        let refused: Set<OperationKind> = isFallbacks ? [.rmsNorm, .mul] : [.scale]
        let test = try SplitUnderTest(refusing: refused)
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4, 2))
        let w = g.input("w", .f32, Shape(4))
        let norm = g.rmsNorm(x, epsilon: 0)
        let product = g.mul(norm, w)
        let scaled = g.scale(norm, by: 1)
        g.markOutput(product)
        g.markOutput(scaled)
        let graph = try g.finish()
        let plan = try test.split.prepare(graph)
        let found = try test.split.run(plan, graph, [(x, Array(repeating: 3, count: 8)), (w, [1, 2, 3, 4])], reads: [product, scaled])
        #expect(found == [[1, 2, 3, 4, 1, 2, 3, 4], Array(repeating: 1, count: 8)])
    }

    @Test("a graph that neither can compute is refused in prepare, with the fallback's word and the tensor's name")
    func impossible() throws {
        let test = try SplitUnderTest(refusing: [.add, .sqr], fallbackRefusing: [.sqr])
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4))
        let possible = g.add(x, x)
        let square = g.node("square", .sqr, [g.add(possible, x)])
        let graph = try g.finish()
        #expect(test.split.supports(possible, of: graph))
        #expect(!test.split.supports(square, of: graph))
        #expect { try test.split.prepare(graph) } throws: { error in
            let error = error as? BackendError
            return error?.code == .unsupported && error?.tensor == "square" && error?.message == "this device has no SQR"
        }
    }

    @Test("what the fallback finds while it computes has the tensor's name, and the next run is as if it had not been")
    func faults() throws {
        let test = try SplitUnderTest(refusing: [.setRows])
        let cache = try test.buffer([1, 2, 3, 4])
        let g = GraphBuilder()
        let rows = g.input("rows", .f32, Shape(2, 2))
        let index = g.input("index", .i32, Shape(2))
        let target = g.placed("cache", .f32, Shape(2, 2), in: cache, at: 0)
        let written = g.node("written", .setRows, [rows, index, target])
        let sum = g.add(written, target)
        g.markOutput(sum)
        let graph = try g.finish()
        let plan = try test.split.prepare(graph)
        // The first row is there before the second is found to lead nowhere.
        let (bad, good) = ([Float(bitPattern: 0), Float(bitPattern: 9)], [Float(bitPattern: 1), Float(bitPattern: 1)])
        #expect { try test.split.run(plan, graph, [(rows, [5, 6, 5, 6]), (index, bad)], reads: [sum]) } throws: { error in
            let error = error as? BackendError
            return error?.code == .indexOutOfRange && error?.tensor == "written"
        }
        #expect(try test.split.values(of: cache) == [1, 2, 3, 4])
        #expect(try test.split.run(plan, graph, [(rows, [5, 6, 5, 6]), (index, good)], reads: [sum]) == [[2, 4, 10, 12]])
        test.split.cancel()
        #expect { try test.split.run(plan, graph, reads: []) } throws: { ($0 as? BackendError)?.code == .cancelled }
    }

    @Test("a device that can compute all is asked once, and one that can compute nothing never")
    func extremes() throws {
        for (refused, graphs, runs) in [(Set<OperationKind>(), [[OperationKind.add, .mul, .add]], 1), ([.add, .mul], [], 0)] {
            let test = try SplitUnderTest(refusing: refused)
            let g = GraphBuilder()
            let x = g.input("x", .f32, Shape(4))
            let sum = g.add(g.mul(g.add(x, x), x), x)
            g.markOutput(sum)
            let graph = try g.finish()
            let plan = try test.split.prepare(graph)
            #expect(try test.split.run(plan, graph, [(x, [1, 2, 3, 4])], reads: [sum]) == [[3, 10, 21, 36]])
            #expect(test.primary.graphs == graphs)
            #expect(test.primary.counts == DistantDevice.Counts(runs: runs))
        }
    }

    @Test("what others are to know of it is what the device is like")
    func description() throws {
        let test = try SplitUnderTest(refusing: [.add])
        #expect(test.split.alignment == 128)
        #expect(test.split.largestBuffer == 1 << 20)
        #expect(test.split.traits == BackendTraits(isFar: true))
        #expect(try test.split.memory() == DeviceMemory(free: 3, total: 5))
    }
}
