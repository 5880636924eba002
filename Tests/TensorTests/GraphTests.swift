import Tensor
import Testing

@Suite struct GraphTests {
    /// A little of everything: leaves of all sorts, views of views, in-place writes, an output.
    static func builder() -> (GraphBuilder, [String: TensorID]) {
        let g = GraphBuilder()
        let weights = g.placed("weights", .q8_0, Shape(64, 32), in: NoMemory(34 * 2 * 32), at: 0)
        let cache = g.placed("cache", .f16, Shape(32, 100), in: NoMemory(10_000), at: 64)
        let x = g.input("x", .f32, Shape(64, 5))
        let rows = g.input("rows", .i64, Shape(5))
        let product = g.matMul(weights, x)
        let written = g.setRows(product, at: rows, of: cache)
        let heads = g.reshape(product, Shape(8, 4, 5))
        let turned = g.permute(heads, (0, 2, 1, 3))
        let inner = g.view(of: turned, shape: Shape(8, 5, 2), strides: g[turned].strides, byteOffset: 32)
        let copy = g.contiguous(inner)
        let sum = g.add(copy, copy)
        let result = g.copy(sum, into: g.view(of: x, shape: Shape(80), strides: Strides(4, 320, 320, 320)))
        g.markOutput(result)
        let ids = [
            "weights": weights, "cache": cache, "x": x, "product": product, "written": written, "heads": heads,
            "turned": turned, "inner": inner, "copy": copy, "sum": sum, "result": result,
        ]
        return (g, ids)
    }

    /// What the builder makes is sound, and views know their roots.
    @Test func built() throws {
        let (g, ids) = Self.builder()
        let graph = try g.finish()
        try graph.checked()
        let product = try #require(ids["product"])
        let inner = try #require(ids["inner"])
        #expect(graph[inner].view == Tensor.View(root: product, byteOffset: 32))
        #expect(graph[try #require(ids["written"])].view?.root == ids["cache"])
        #expect(graph[try #require(ids["result"])].view?.root == ids["x"])
    }

    /// The first error is the one that is told, with the tensor's name, and calls after it do no harm.
    @Test func firstErrorIsKept() throws {
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4, 3))
        let bad = g.node("first", .matMul(precision: .standard), [x, g.input("y", .f32, Shape(5))])
        _ = g.node("second", .sum, [])
        _ = g.add(bad, x)
        let error = #expect(throws: GraphError.self) { try g.finish() }
        #expect(error?.tensor == "first")
        #expect(error?.code == .shape)
    }

    /// Views, reshapes and permutations that cannot be.
    @Test func refusedViews() {
        func refused(_ body: (GraphBuilder, TensorID) -> Void) -> GraphError.Code? {
            let g = GraphBuilder()
            let x = g.input("x", .f32, Shape(4, 3))
            body(g, x)
            return g.firstError?.code
        }
        let row = Strides(4, 16, 16, 16)
        #expect(refused { g, x in _ = g.view(of: x, shape: Shape(4, 3), strides: row) } == nil)
        #expect(refused { g, x in _ = g.view(of: x, shape: Shape(4, 3), strides: row, byteOffset: 4) } == .extent)
        #expect(refused { g, x in _ = g.view(of: x, shape: Shape(1), strides: row, byteOffset: 44) } == nil)
        #expect(refused { g, x in _ = g.view(of: x, shape: Shape(1), strides: row, byteOffset: 48) } == .extent)
        #expect(refused { g, x in _ = g.view(of: x, shape: Shape(1), strides: row, byteOffset: -4) } == .extent)
        #expect(refused { g, x in _ = g.view(of: x, shape: Shape(1), strides: row, byteOffset: .max) } == .extent)
        #expect(refused { g, x in _ = g.view(of: x, shape: Shape(-1), strides: row) } == .extent)
        #expect(
            refused { g, x in
                let last = g.view(of: x, shape: Shape(4), strides: row, byteOffset: 32)
                _ = g.view(of: last, shape: Shape(4), strides: row, byteOffset: .max)
            } == .extent)
        #expect(
            refused { g, x in
                // Past the inner view, but inside of what it is a view of.
                let first = g.view(of: x, shape: Shape(4), strides: row)
                _ = g.view(of: first, shape: Shape(4), strides: row, byteOffset: 32)
            } == nil)
        #expect(refused { g, x in _ = g.reshape(x, Shape(5)) } == .shape)
        #expect(refused { g, x in _ = g.reshape(g.transpose(x), Shape(12)) } == .shape)
        #expect(refused { g, x in _ = g.permute(x, (0, 0, 1, 2)) } == .parameter)
        #expect(refused { g, x in _ = g.topKSorted(x, count: 5) } == .extent)
        #expect(refused { g, _ in _ = g.input("huge", .f32, Shape(1 << 62)) } == .extent)
    }

    /// Each way in which a graph from outside can lie, one at a time.
    @Test func lies() throws {
        let (g, ids) = Self.builder()
        let honest = try g.finish()
        func id(_ name: String) -> TensorID { ids[name] ?? TensorID(0) }
        func lie(_ change: (inout Graph) -> Void) -> GraphError.Code? {
            var graph = honest
            change(&graph)
            return code { () throws(GraphError) in try graph.checked() }
        }
        let count = honest.tensors.count
        #expect(lie { _ in } == nil)
        // Lists.
        #expect(lie { $0.nodes.append(TensorID(count)) } == .structure)
        #expect(lie { $0.nodes.append(TensorID(-1)) } == .structure)
        #expect(lie { $0.nodes.append(id("sum")) } == .structure)
        #expect(lie { $0.nodes.swapAt(0, 6) } == .structure)
        #expect(lie { $0[id("sum")].sources[0] = id("sum") } == .structure)
        #expect(lie { $0[id("sum")].sources[0] = TensorID(count) } == .structure)
        #expect(lie { $0[id("sum")].sources[0] = TensorID(-1) } == .structure)
        #expect(lie { $0[id("sum")].sources[0] = nil } == .structure)
        #expect(lie { $0[id("sum")].sources.append(id("copy")) } == .structure)
        #expect(lie { $0.nodes.removeFirst() } == .structure)
        #expect(lie { $0[id("x")].flags = [] } == .structure)
        // Sizes and places.
        #expect(lie { $0[id("x")].shape[1] = -1 } == .extent)
        #expect(lie { $0[id("x")].shape = Shape(0, .max, .max) } == .extent)
        #expect(lie { $0[id("x")].strides[1] = .max } == .extent)
        #expect(lie { $0[id("cache")].shape[1] = 200 } == .extent)
        let small = NoMemory(100)
        #expect(lie { $0[id("cache")].storage = .placed(small, byteOffset: 0) } == .extent)
        let large = NoMemory(100_000)
        #expect(lie { $0[id("cache")].storage = .placed(large, byteOffset: 64) } == nil)
        #expect(lie { $0[id("cache")].storage = .placed(large, byteOffset: 65) } == .extent)
        #expect(lie { $0[id("cache")].storage = .placed(large, byteOffset: -64) } == .extent)
        #expect(lie { $0[id("cache")].storage = .placed(large, byteOffset: .max - 1) } == .extent)
        // Views.
        #expect(lie { $0[id("inner")].view?.byteOffset = 34 } == .extent)
        #expect(lie { $0[id("inner")].view?.byteOffset = 36 } == .structure)
        #expect(lie { $0[id("inner")].view?.byteOffset = -32 } == .extent)
        #expect(lie { $0[id("inner")].view?.byteOffset = 100_000 } == .extent)
        #expect(lie { $0[id("inner")].view?.root = id("x") } == .structure)
        #expect(lie { $0[id("inner")].view?.root = TensorID(count) } == .structure)
        #expect(lie { $0[id("inner")].view?.root = id("heads") } == .structure)
        #expect(lie { $0[id("inner")].view = nil } == .structure)
        #expect(lie { $0[id("turned")].strides = $0[id("heads")].strides } == .structure)
        #expect(lie { $0[id("inner")].storage = .placed(large, byteOffset: 0) } == .structure)
        #expect(lie { $0[id("written")].view = nil } == .structure)
        #expect(lie { $0[id("written")].view?.byteOffset = 64 } == .extent)
        #expect(lie { $0[id("result")].view?.root = id("product") } == .structure)
        // Operations.
        #expect(lie { $0[id("sum")].shape[2] = 1 } == .shape)
        #expect(lie { $0[id("sum")].type = .i32 } == .shape)
        #expect(lie { $0[id("sum")].strides[1] = 0 } == .shape)
        #expect(lie { $0[id("product")].operation = .topK(count: 3) } == .structure)
        #expect(lie { $0[id("heads")].operation = .permute(axes: SIMD4(7, 0, 0, 0)) } == .parameter)
    }

    /// A graph as it comes over the wire has no views: each tensor has a place of its own in a buffer.
    @Test func placedGraph() throws {
        let memory = NoMemory(4096)
        func placed(_ type: ElementType, _ shape: Shape, at offset: Int, _ operation: Operation, _ sources: [TensorID?])
            -> Tensor
        {
            Tensor(
                name: "t\(offset)", type: type, shape: shape, operation: operation, sources: sources, flags: .compute,
                storage: .placed(memory, byteOffset: offset))
        }
        var graph = Graph()
        graph.tensors = [
            placed(.f32, Shape(8, 2), at: 0, .none, []),
            placed(.f32, Shape(16), at: 0, .reshape, [TensorID(0)]),
            // In place, as stock heads send it: the address says so, nothing else.
            placed(.f32, Shape(16), at: 0, .add, [TensorID(1), TensorID(1)]),
            placed(.f32, Shape(2, 8), at: 0, .transpose, [TensorID(0)]),
            placed(.f32, Shape(2, 8), at: 512, .cont, [TensorID(3)]),
        ]
        graph.nodes = (1..<5).map { TensorID($0) }
        try graph.checked()
        graph.tensors[4].strides[1] = 4
        #expect(throws: GraphError.self) { try graph.checked() }
    }

    /// Random damage to a sound graph is found or harmless; nothing traps.
    @Test(arguments: 0..<20) func damage(seed: UInt64) throws {
        var random = SplitMix64(seed)
        let (g, _) = Self.builder()
        let honest = try g.finish()
        let numbers = [0, 1, -1, 2, 4, 8, 34, 64, 1 << 31, 1 << 62, .max, .min]
        var refused = 0
        for _ in 0..<500 {
            var graph = honest
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let id = TensorID(Int.random(in: graph.tensors.indices, using: &random))
                let number = numbers.randomElement(using: &random) ?? 0
                let dimension = Int.random(in: 0..<4, using: &random)
                switch Int.random(in: 0..<7, using: &random) {
                case 0: graph[id].shape[dimension] = number
                case 1: graph[id].strides[dimension] = number
                case 2: graph[id].view = Tensor.View(root: TensorID(number), byteOffset: number)
                case 3: graph[id].sources = [TensorID(Int.random(in: -1...12, using: &random))]
                case 4: graph[id].type = ElementType.allCases.randomElement(using: &random) ?? .f32
                case 5: graph[id].operation = InferenceCases.all.randomElement(using: &random)?.operation ?? .none
                default: graph.nodes.shuffle(using: &random)
                }
            }
            do throws(GraphError) {
                try graph.checked()
                _ = try MemoryPlan(graph, alignment: 64)
            } catch {
                refused += 1
                #expect(!error.message.isEmpty)
            }
        }
        #expect(refused > 250)
    }
}
