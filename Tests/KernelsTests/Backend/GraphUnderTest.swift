import KernelTable
import Kernels
import Tensor
import TestSupport
import Testing

/// The name that Foundation has too.
typealias GraphOperation = Operation
/// Likewise.
typealias TensorBuffer = Buffer

/// A tensor's values in ggml's order, for oracles that read like the operation's definition.
struct Dense: Equatable {
    var shape: Shape
    var values: [Float]

    init(_ shape: Shape, _ values: [Float]) {
        self.shape = shape
        self.values = values
    }

    /// Filled in by a function of the indices.
    init(_ shape: Shape, _ value: (Int, Int, Int, Int) -> Float) {
        self.shape = shape
        values = []
        values.reserveCapacity(shape.elementCount)
        for i3 in 0..<shape[3] {
            for i2 in 0..<shape[2] {
                for i1 in 0..<shape[1] {
                    for i0 in 0..<shape[0] { values.append(value(i0, i1, i2, i3)) }
                }
            }
        }
    }

    subscript(i0: Int, i1: Int, i2: Int, i3: Int) -> Float {
        values[((i3 * shape[2] + i2) * shape[1] + i1) * shape[0] + i0]
    }

    func row(_ i1: Int, _ i2: Int, _ i3: Int) -> [Float] { (0..<shape[0]).map { self[$0, i1, i2, i3] } }

    /// Dimension i becomes dimension `axes[i]`.
    func permuted(_ axes: [Int]) -> Dense {
        var result = Shape(1)
        for dimension in 0..<4 { result[axes[dimension]] = shape[dimension] }
        return Dense(result) { i0, i1, i2, i3 in
            let index = [i0, i1, i2, i3]
            return self[index[axes[0]], index[axes[1]], index[axes[2]], index[axes[3]]]
        }
    }

    static func random(_ shape: Shape, _ random: inout SeededRandom, _ range: ClosedRange<Float> = -2...2) -> Dense {
        Dense(shape) { _, _, _, _ in Float.random(in: range, using: &random) }
    }
}

/// A small graph, its inputs' bytes, and ways to run it.
final class GraphUnderTest {
    let builder = GraphBuilder()
    private(set) var inputs: [(TensorID, [UInt8])] = []

    func floats(_ dense: Dense) -> TensorID {
        input(.f32, dense.shape, dense.values.withUnsafeBytes { Array($0) })
    }

    /// Rounds `dense` to halves, so that oracle and graph see the same values.
    func halves(_ dense: inout Dense) -> TensorID {
        let rounded = dense.values.map { Float16($0) }
        dense.values = rounded.map { Float($0) }
        return input(.f16, dense.shape, rounded.withUnsafeBytes { Array($0) })
    }

    func integers(_ shape: Shape, _ values: [Int32]) -> TensorID {
        input(.i32, shape, values.withUnsafeBytes { Array($0) })
    }

    func wideIntegers(_ shape: Shape, _ values: [Int64]) -> TensorID {
        input(.i64, shape, values.withUnsafeBytes { Array($0) })
    }

    func input(_ type: ElementType, _ shape: Shape, _ bytes: [UInt8]) -> TensorID {
        let id = builder.input("input \(inputs.count)", type, shape)
        inputs.append((id, bytes))
        return id
    }

    /// A node whose shape the builder does not infer.
    func node(_ operation: Operation, _ sources: [TensorID?], _ type: ElementType, _ shape: Shape) throws -> Graph {
        var graph = try builder.finish()
        let tensor = Tensor(
            name: "node", type: type, shape: shape, operation: operation, sources: sources, flags: [.compute, .output])
        graph.tensors.append(tensor)
        graph.nodes.append(TensorID(graph.tensors.count - 1))
        return graph
    }

    /// The bytes of `output` after one run.
    func bytes(of output: TensorID, in graph: Graph? = nil, on backend: CPUBackend) throws -> [UInt8] {
        if graph == nil { builder.markOutput(output) }
        let whole = try graph ?? builder.finish()
        let plan = try backend.prepare(whole)
        var result = [UInt8](repeating: 0xa5, count: whole[output].byteExtent)
        let copies = inputs.map { input in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: input.1.count, alignment: 64)
            copy.copyBytes(from: input.1)
            return (input.0, copy)
        }
        defer { copies.forEach { $0.1.deallocate() } }
        try result.withUnsafeMutableBytes { target in
            let writes = copies.map { Step.Write(tensor: $0.0, bytes: UnsafeRawBufferPointer($0.1)) }
            try backend.run(Step(writes: writes, plan: plan, reads: [Step.Read(tensor: output, into: target)]))
        }
        return result
    }

    func values(of output: TensorID, in graph: Graph? = nil, on backend: CPUBackend) throws -> [Float] {
        let bytes = try bytes(of: output, in: graph, on: backend)
        return bytes.withUnsafeBytes { raw in
            (0..<(raw.count / 4)).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        }
    }
}

/// Every variant this processor runs, alone and with company.
struct BackendUnderTest: Sendable, CustomTestStringConvertible {
    let backend: CPUBackend
    var testDescription: String { "\(backend.name), \(backend.threadCount) threads" }

    static let all: [BackendUnderTest] = KernelVariant.allCases.flatMap { variant in
        [1, 3].compactMap { threads in (try? CPUBackend(variant: variant, threads: threads)).map(BackendUnderTest.init) }
    }
}

/// The largest difference, relative to the largest value expected.
func largestError(_ found: [Float], _ expected: [Float]) -> Float {
    guard found.count == expected.count else { return .infinity }
    let scale = max(1e-6, expected.map(abs).filter(\.isFinite).max() ?? 0)
    var worst: Float = 0
    for (x, y) in zip(found, expected) where !(x == y || (x.isNaN && y.isNaN)) {
        let error = abs(x - y) / scale
        worst = error.isNaN ? .infinity : max(worst, error)
    }
    return worst
}
