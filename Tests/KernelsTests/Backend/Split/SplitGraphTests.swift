import Kernels
import Tensor
import TestSupport
import Testing

/// That graphs of any form have the same results, wherever they are cut.
@Suite struct SplitGraphTests {
    private static let kinds: [OperationKind] = [.add, .mul, .scale, .cpy, .cont, .rmsNorm, .getRows, .setRows, .softMax, .repeat]

    /// A graph drawn at random: values, views of them, copies into views of values, inputs and what is in `buffers`.
    private struct Draft {
        let g = GraphBuilder()
        var inputs: [TensorID] = []
        let index: TensorID
        private var known: [TensorID] = []

        init(_ random: inout SeededRandom, _ buffers: [any TensorBuffer]) {
            index = g.input("index", .i32, Shape(2))
            for number in 0..<3 { inputs.append(g.input("input \(number)", .f32, Shape(4, 4))) }
            known = inputs
            for (number, buffer) in buffers.enumerated() {
                known.append(g.placed("placed \(number)", .f32, Shape(4, 4), in: buffer, at: 0))
                // Over the half of the one before.
                known.append(g.placed("shifted \(number)", .f32, Shape(4, 4), in: buffer, at: 32))
            }
            for _ in 0..<Int.random(in: 4...24, using: &random) {
                let id = draw(&random)
                known.append(id)
                if Int.random(in: 0..<4, using: &random) == 0 { g.markOutput(id) }
            }
        }

        /// Any tensor so far, as `[4, 4]`.
        private mutating func any(_ random: inout SeededRandom) -> TensorID {
            let id = known[Int.random(in: 0..<known.count, using: &random)]
            return g[id].shape == Shape(4, 4) ? id : g.repeated(id, to: Shape(4, 4))
        }

        private mutating func draw(_ random: inout SeededRandom) -> TensorID {
            let a = any(&random)
            switch Int.random(in: 0..<13, using: &random) {
            case 0: return g.add(a, any(&random))
            case 1: return g.mul(a, any(&random))
            case 2: return g.scale(a, by: 0.5)
            case 3: return g.contiguous(g.transpose(a))
            case 4: return g.rmsNorm(a, epsilon: 1e-5)
            case 5: return g.softMax(g.contiguous(a))
            case 6: return g.transpose(a)
            case 7: return g.view(of: a, shape: Shape(2, 2), strides: g[a].strides, byteOffset: g[a].strides[1])
            case 8: return g.getRows(g.contiguous(a), index)
            case 9:
                // Into what may be a view of anything that is packed.
                let target = any(&random)
                guard g[target].isContiguous else { return g.scale(a, by: 2) }
                return g.setRows(g.getRows(g.contiguous(a), index), at: index, of: target)
            case 10:
                let target = any(&random)
                let part = g.view(of: target, shape: Shape(2, 4), strides: g[target].strides)
                return g.copy(g.contiguous(g.view(of: a, shape: Shape(2, 4), strides: g[a].strides)), into: part)
            case 11: return g.copy(g.scale(a, by: 0.25), into: any(&random))
            default:
                return g.mul(g.rmsNorm(a, epsilon: 1e-5), g.contiguous(g.view(of: a, shape: Shape(4), strides: Strides(4, 16, 16, 16))))
            }
        }
    }

    /// The outputs of three runs, and what is in the buffers then.
    private static func results(_ seed: UInt64, on backend: any Backend) throws -> [[UInt32]] {
        var random = SeededRandom(seed: seed)
        let buffers = try (0..<2).map { _ in try backend.buffer(random.floats(24)) }
        let draft = Draft(&random, buffers)
        let graph = try draft.g.finish()
        let plan = try backend.prepare(graph)
        let outputs = graph.tensors.indices.map { TensorID($0) }.filter { id in
            guard case .planned = graph[graph.root(of: id)].storage else { return false }
            return graph[id].flags.contains(.output)
        }
        var results: [[Float]] = []
        for _ in 0..<3 {
            var inputs = draft.inputs.map { ($0, random.floats(16)) }
            inputs.append((draft.index, [Float(bitPattern: 3), Float(bitPattern: UInt32.random(in: 0..<3, using: &random))]))
            results += try backend.run(plan, graph, inputs, reads: outputs)
            try backend.write(random.floats(3), to: buffers[0], at: 4 * Int.random(in: 0..<20, using: &random))
        }
        results += try buffers.map { try backend.values(of: $0) }
        return results.map { $0.map(\.bitPattern) }
    }

    @Test("five hundred graphs, each with operations that the device lacks")
    func randomGraphs() throws {
        let alone = try CPUBackend(threads: 1)
        let (primary, fallback) = (try CPUBackend(threads: 1), try CPUBackend(threads: 1))
        for seed in 0..<UInt64(500) {
            var random = SeededRandom(seed: seed &+ 1 << 32)
            let refused = Set(Self.kinds.filter { _ in Bool.random(using: &random) })
            let split = SplitBackend(DistantDevice(primary, refusing: refused), fallback: fallback)
            #expect(
                try Self.results(seed, on: split) == Self.results(seed, on: alone),
                "seed \(seed), refused: \(refused.map(\.rawValue).sorted())")
        }
    }
}
