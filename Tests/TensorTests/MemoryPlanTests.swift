import Tensor
import Testing

@Suite struct MemoryPlanTests {
    /// In random graphs of nodes, views and in-place writes: nothing shares bytes with what is still needed.
    @Test(arguments: 0..<300) func randomGraphs(seed: UInt64) throws {
        var random = SplitMix64(seed)
        let graph = try Self.graph(&random)
        let alignment = [1, 32, 64].randomElement(using: &random) ?? 64
        let padding = [0, 48].randomElement(using: &random) ?? 0
        let plan = try MemoryPlan(graph, alignment: alignment, padding: padding)
        let needed = Self.neededAt(graph)

        for (index, tensor) in graph.tensors.enumerated() {
            guard let view = tensor.view, let root = plan.offsets[view.root.index] else { continue }
            #expect(plan.offsets[index] == root + view.byteOffset)
        }
        var most = 0
        for position in -1...graph.nodes.count {
            let alive = needed.indices.filter { needed[$0].contains(position) }
            var total = 0
            var ranges = [Range<Int>]()
            for index in alive {
                let offset = try #require(plan.offsets[index], "tensor \(index) has no place")
                let end = offset + graph.tensors[index].byteExtent + padding
                #expect(offset % alignment == 0)
                #expect(end <= plan.byteCount || graph.tensors[index].byteExtent == 0)
                ranges.append(offset..<end)
                total += (end - offset + alignment - 1) / alignment * alignment
            }
            most = max(most, total)
            ranges.sort { $0.lowerBound < $1.lowerBound }
            for (a, b) in zip(ranges, ranges.dropFirst()) { #expect(a.upperBound <= b.lowerBound, "seed \(seed)") }
        }
        // A first fit wastes some; a plan that never reused anything would need several times the most that is alive.
        #expect(plan.byteCount >= most)
        #expect(plan.byteCount <= 2 * most, "\(plan.byteCount) bytes for \(most) at once")
    }

    /// Memory that is to rest is given to nobody for as many computing nodes; tensors that take more than their bytes get it.
    @Test(arguments: 0..<100) func restAndLargerSizes(seed: UInt64) throws {
        var random = SplitMix64(seed)
        let graph = try Self.graph(&random)
        let rest = Int.random(in: 1...5, using: &random)
        var sizes: [Int: Int] = [:]
        for index in graph.tensors.indices where Int.random(in: 0..<4, using: &random) == 0 {
            sizes[index] = Int.random(in: 1...5000, using: &random)
        }
        let plan = try MemoryPlan(graph, alignment: 32, byteCounts: sizes, rest: rest)
        let needed = Self.neededAt(graph)
        func range(_ index: Int) throws -> Range<Int> {
            let offset = try #require(plan.offsets[index])
            return offset..<(offset + max(graph.tensors[index].byteExtent, sizes[index] ?? 0))
        }
        func computing(after position: Int, through last: Int) -> Int {
            graph.nodes.indices.filter { $0 > position && $0 <= last && !graph[graph.nodes[$0]].operation.isPureView }.count
        }
        let roots = needed.indices.filter { needed[$0].lowerBound >= -1 }
        for a in roots {
            #expect(try range(a).upperBound <= plan.byteCount)
            for b in roots where a != b && needed[b].lowerBound >= needed[a].lowerBound {
                let (end, begin) = (needed[a].upperBound, needed[b].lowerBound)
                // What nothing reads has no reader to wait for.
                guard begin <= end || (end >= 0 && computing(after: end, through: begin) <= rest) else { continue }
                #expect(try !range(a).overlaps(range(b)), "seed \(seed): \(a), \(b)")
            }
        }
    }

    /// For each root that needs a place, the positions in the list of nodes at which it must not change; -1 is before
    /// the first, the count of nodes is after the last. Written for this test alone, from the words of the contract.
    static func neededAt(_ graph: Graph) -> [ClosedRange<Int>] {
        var ranges = [ClosedRange<Int>](repeating: (-9)...(-9), count: graph.tensors.count)
        for index in graph.tensors.indices where graph.tensors[index].view == nil {
            if case .placed = graph.tensors[index].storage { continue }
            let family = Set(graph.tensors.indices.filter { graph.root(of: TensorID($0)).index == index })
            var positions = [Int]()
            for (position, node) in graph.nodes.enumerated() {
                if family.contains(node.index) { positions.append(position) }
                if graph[node].sources.contains(where: { $0.map { family.contains($0.index) } ?? false }) {
                    positions.append(position)
                }
            }
            if family.contains(where: { graph.tensors[$0].flags.contains(.output) }) { positions.append(graph.nodes.count) }
            let isInput = graph.tensors[index].flags.contains(.input)
            // An input that nothing reads is written all the same.
            if isInput { positions.append(-1) }
            guard let last = positions.max(), let first = positions.min() else { continue }
            ranges[index] = first...last
        }
        return ranges
    }

    static func graph(_ random: inout SplitMix64) throws -> Graph {
        let g = GraphBuilder()
        var all = [TensorID]()
        for index in 0..<Int.random(in: 1...4, using: &random) {
            all.append(g.input("in \(index)", .f32, Shape(Int.random(in: 1...300, using: &random), 4)))
        }
        all.append(g.placed("weights", .f32, Shape(50, 4), in: NoMemory(50 * 4 * 4), at: 0))
        for _ in 0..<Int.random(in: 1...60, using: &random) {
            // Mostly recent tensors, as in a model; now and then an old one.
            let recent = Bool.random(using: &random) ? all.suffix(3) : all[...]
            guard let a = recent.randomElement(using: &random) else { break }
            switch Int.random(in: 0..<6, using: &random) {
            case 0: all.append(g.add(a, a))
            case 1: all.append(g.reshape(a, Shape(g[a].shape[0] * g[a].shape[1])))
            case 2: all.append(g.sumRows(a))
            case 3: all.append(g.repeated(a, to: Shape(g[a].shape[0] * 2 % 4000 + g[a].shape[0], g[a].shape[1])))
            case 4:
                let half = Shape(max(1, g[a].shape[0] / 2))
                all.append(g.view(of: a, shape: half, strides: g[a].strides))
            default: all.append(g.copy(g.scale(a, by: 2), into: a))
            }
            if g.firstError != nil { break }
            if Int.random(in: 0..<10, using: &random) == 0, let last = all.last { g.markOutput(last) }
        }
        if let last = all.last { g.markOutput(last) }
        // Repetitions whose shapes do not divide are refused by the builder; the graph up to there is as good.
        return g.graph
    }

    /// A chain of a hundred equal tensors needs room for two.
    @Test func chain() throws {
        let g = GraphBuilder()
        var x = g.input("x", .f32, Shape(256))
        for _ in 0..<100 { x = g.unary(.silu, x) }
        g.markOutput(x)
        let plan = try MemoryPlan(try g.finish(), alignment: 64)
        #expect(plan.byteCount == 2 * 1024)
        #expect(try MemoryPlan(try g.finish(), alignment: 64, rest: 4).byteCount == 6 * 1024)
    }

    /// Sizes that add up to more than can be counted are an error.
    @Test func overflow() throws {
        let g = GraphBuilder()
        let a = g.input("a", .i8, Shape(Int.max / 2))
        let b = g.input("b", .i8, Shape(Int.max / 2))
        let c = g.input("c", .i8, Shape(Int.max / 2))
        g.markOutput(g.add(g.add(a, b), c))
        let graph = try g.finish()
        #expect(throws: GraphError.self) { try MemoryPlan(graph, alignment: 64) }
    }
}
