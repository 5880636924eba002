import Foundation
import Kernels
import Tensor
import TestSupport
import Testing

/// Sums, counts and places of values, against loops in F64.
@Suite struct ReductionTests {
    @Test(arguments: BackendUnderTest.all)
    func sumsWholeTensors(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 51)
        for shape in [Shape(1), Shape(33, 1024), Shape(20_000, 3), Shape(5, 4, 3, 2)] {
            var x = Dense.random(shape, &random, -1...2)
            let halves = GraphUnderTest()
            let rounded = halves.builder.node("", .sum, [halves.halves(&x)])
            let expected = x.values.reduce(0.0) { $0 + Double($1) }
            let found = try halves.bytes(of: rounded, on: given.backend).withUnsafeBytes { $0.load(as: Float16.self) }
            #expect(abs(Double(found) - expected) <= abs(expected) * 0.001 + 0.01)
            let test = GraphUnderTest()
            let result = test.builder.node("", .sum, [test.builder.permute(test.floats(x), (0, 2, 1, 3))])
            let sum = try test.values(of: result, on: given.backend)
            #expect(abs(Double(sum[0]) - expected) <= abs(expected) * 1e-5 + 1e-4)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func sumsAsItGoesAndFindsTheLargest(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 52)
        let x = Dense(Shape(77, 19)) { _, _, _, _ in Float(Int.random(in: -9...9, using: &random)) }
        let test = GraphUnderTest()
        let source = test.floats(x)
        let sums = try test.values(of: test.builder.node("", .cumsum, [source]), on: given.backend)
        for row in 0..<19 {
            var sum: Float = 0
            for i in 0..<77 {
                sum += x[i, row, 0, 0]
                #expect(sums[row * 77 + i] == sum)
            }
        }
        let other = GraphUnderTest()
        let found = try other.integers(of: other.builder.node("", .argmax, [other.floats(x)]), on: given.backend)
        for row in 0..<19 {
            let values = x.row(row, 0, 0)
            #expect(Int(found[row]) == values.lastIndex(of: try #require(values.max())))
        }
    }

    /// Not one of them is a number, or all are as small as can be: any index within the row will do.
    @Test(arguments: BackendUnderTest.all)
    func findsSomethingInRowsWithoutLargest(_ given: BackendUnderTest) throws {
        for value in [Float.nan, -Float.infinity] {
            let test = GraphUnderTest()
            let x = test.floats(Dense(Shape(40, 2)) { _, _, _, _ in value })
            let found = try test.integers(of: test.builder.node("", .argmax, [x]), on: given.backend)
            #expect(found.allSatisfy { (0..<40).contains($0) })
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func countsEqualIntegers(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 53)
        let count = 4 * 5000
        let a = (0..<count).map { _ in Int32.random(in: 0..<4, using: &random) }
        let b = (0..<count).map { _ in Int32.random(in: 0..<4, using: &random) }
        let test = GraphUnderTest()
        let shape = Shape(4, 50, 100)
        let result = test.builder.node("", .countEqual, [test.integers(shape, a), test.integers(shape, b)])
        let found = try test.bytes(of: result, on: given.backend).withUnsafeBytes { $0.load(as: Int64.self) }
        #expect(Int(found) == zip(a, b).reduce(0) { $0 + ($1.0 == $1.1 ? 1 : 0) })
    }

    /// A few bytes that say of themselves that they are many elements would be summed for hours.
    @Test func refusesSumsOfOverlappingElements() throws {
        let backend = try CPUBackend(threads: 1)
        let buffer = try backend.allocate(byteCount: 4096)
        for operation in [GraphOperation.sum, .countEqual, .crossEntropyLoss] {
            let type: ElementType = operation == .countEqual ? .i32 : .f32
            let wide = Tensor(
                name: "wide", type: type, shape: Shape(8, 1 << 40), strides: Strides(4, 0, 0, 0),
                storage: .placed(buffer, byteOffset: 0))
            let result = Tensor(
                name: "result", type: operation == .countEqual ? .i64 : .f32, shape: Shape(1), operation: operation,
                sources: operation == .sum ? [TensorID(0)] : [TensorID(0), TensorID(0)], flags: [.compute, .output])
            let graph = Graph(tensors: [wide, result], nodes: [TensorID(1)])
            #expect(throws: BackendError.self) { _ = try backend.prepare(graph) }
        }
    }
}

extension GraphUnderTest {
    func integers(of output: TensorID, in graph: Graph? = nil, on backend: CPUBackend) throws -> [Int32] {
        try bytes(of: output, in: graph, on: backend).withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
    }
}
