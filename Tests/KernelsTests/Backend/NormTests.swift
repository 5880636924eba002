import Foundation
import Kernels
import Tensor
import TestSupport
import Testing

/// Norms, sums and softmax against their definitions in F64.
@Suite struct NormTests {
    typealias RowFunction = @Sendable ([Double]) -> [Double]

    private static func squares(_ row: [Double]) -> Double { row.reduce(0) { $0 + $1 * $1 } }

    private static func centredNorm(_ row: [Double]) -> [Double] {
        let mean = row.reduce(0, +) / Double(row.count)
        let centred = row.map { $0 - mean }
        let length = sqrt(squares(centred) / Double(row.count) + 1e-5)
        return centred.map { $0 / length }
    }

    static let functions: [(GraphOperation, RowFunction)] = {
        var all: [(GraphOperation, RowFunction)] = []
        all.append((.rmsNorm(epsilon: 1e-5), { row in row.map { $0 / sqrt(squares(row) / Double(row.count) + 1e-5) } }))
        all.append((.norm(epsilon: 1e-5), { centredNorm($0) }))
        all.append((.l2Norm(epsilon: 1e-5), { row in row.map { $0 / max(sqrt(squares(row)), 1e-5) } }))
        all.append((.sumRows, { [$0.reduce(0, +)] }))
        all.append((.mean, { [$0.reduce(0, +) / Double($0.count)] }))
        return all
    }()

    private func rowwise(_ x: Dense, _ function: ([Double]) -> [Double]) -> [Float] {
        var all: [Float] = []
        for i3 in 0..<x.shape[3] {
            for i2 in 0..<x.shape[2] {
                for i1 in 0..<x.shape[1] { all += function(x.row(i1, i2, i3).map(Double.init)).map { Float($0) } }
            }
        }
        return all
    }

    @Test(arguments: BackendUnderTest.all)
    func normsAndSumsRows(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 5)
        for shape in [Shape(1), Shape(17, 3), Shape(640, 9, 2), Shape(4096, 33)] {
            let x = Dense.random(shape, &random, -1...2)
            for (operation, function) in NormTests.functions {
                for permuted in [false, true] {
                    let test = GraphUnderTest()
                    var source = test.floats(x)
                    var dense = x
                    if permuted {
                        source = test.builder.permute(source, (0, 2, 1, 3))
                        dense = x.permuted([0, 2, 1, 3])
                    }
                    let result = test.builder.node("", operation, [source])
                    let error = largestError(try test.values(of: result, on: given.backend), rowwise(dense) { function($0) })
                    #expect(error < 1e-5, "\(operation) of \(shape)")
                }
            }
        }
    }

    /// Over a transposed matrix, and in its place: rows whose elements lie apart.
    @Test(arguments: BackendUnderTest.all)
    func normsColumnsInPlace(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 8)
        let x = Dense.random(Shape(7, 40), &random)
        for (operation, function) in NormTests.functions[1...2] {
            let buffer = try given.backend.allocate(byteCount: 7 * 40 * 4)
            try x.values.withUnsafeBytes { try given.backend.write($0, to: buffer, at: 0) }
            var columns = Tensor(
                name: "columns", type: .f32, shape: Shape(40, 7), strides: Strides(28, 4, 1120, 1120),
                storage: .placed(buffer, byteOffset: 0))
            let leaf = columns
            columns.operation = operation
            columns.sources = [TensorID(0)]
            columns.flags = .compute
            let plan = try given.backend.prepare(Graph(tensors: [leaf, columns], nodes: [TensorID(1)]))
            try given.backend.run(Step(plan: plan))
            var found = Dense(Shape(7, 40)) { _, _, _, _ in 0 }
            try found.values.withUnsafeMutableBytes { try given.backend.read(buffer, at: 0, into: $0) }
            let expected = rowwise(x.permuted([1, 0, 2, 3])) { function($0) }
            #expect(largestError(found.permuted([1, 0, 2, 3]).values, expected) < 1e-5, "\(operation)")
        }
    }

    /// A norm and the product with its weights become one; the bytes must be those of the two.
    @Test(arguments: BackendUnderTest.all)
    func fusesNormAndWeightsWithoutChangingThem(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 6)
        let x = Dense.random(Shape(640, 37), &random)
        let weight = Dense.random(Shape(640), &random)
        let fused = GraphUnderTest()
        let norm = fused.builder.rmsNorm(fused.floats(x), epsilon: 1e-6)
        let together = try fused.bytes(of: fused.builder.mul(norm, fused.floats(weight)), on: given.backend)
        let apart = GraphUnderTest()
        let other = apart.builder.rmsNorm(apart.floats(x), epsilon: 1e-6)
        apart.builder.markOutput(other)
        let separate = try apart.bytes(of: apart.builder.mul(other, apart.floats(weight)), on: given.backend)
        let (a, b) = (together.asFloats, separate.asFloats)
        #expect(largestError(a, b) < 1e-6)
    }

    @Test(arguments: BackendUnderTest.all)
    func softensRowsUnderMaskSlopesAndSinks(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 7)
        for (heads, maxBias) in [(4, Float(0)), (6, Float(8))] {
            for hasSinks in [false, true] {
                let x = Dense.random(Shape(45, 7, heads, 2), &random, -4...4)
                var mask = Dense(Shape(45, 7, 1, 2)) { i0, i1, _, _ in i0 > i1 * 6 ? -.infinity : Float(-i0) / 8 }
                let sinks = Dense.random(Shape(heads), &random)
                let test = GraphUnderTest()
                let sources = [test.floats(x), test.halves(&mask), hasSinks ? test.floats(sinks) : nil]
                let result = test.builder.node("", .softMax(scale: 0.3, maxBias: maxBias), sources)
                let expected = Dense(x.shape) { _, _, _, _ in 0 }
                var values = expected.values
                for i3 in 0..<2 {
                    for head in 0..<heads {
                        let power = heads >= 6 ? 4 : heads
                        let slope =
                            maxBias == 0
                            ? 1
                            : head < power
                                ? pow(2, -Double(maxBias) / Double(power) * Double(head + 1))
                                : pow(2, -Double(maxBias) / 2 / Double(power) * Double(2 * (head - power) + 1))
                        for i1 in 0..<7 {
                            let scores = (0..<45).map {
                                Double(x[$0, i1, head, i3]) * 0.3 + slope * Double(mask[$0, i1, 0, i3])
                            }
                            let sink = hasSinks ? exp(Double(sinks.values[head])) : 0
                            let sum = scores.reduce(sink) { $0 + exp($1) }
                            for i0 in 0..<45 { values[((i3 * heads + head) * 7 + i1) * 45 + i0] = Float(exp(scores[i0]) / sum) }
                        }
                    }
                }
                #expect(largestError(try test.values(of: result, on: given.backend), values) < 1e-5)
            }
        }
    }
}

extension [UInt8] {
    var asFloats: [Float] {
        withUnsafeBytes { raw in (0..<(raw.count / 4)).map { raw.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) } }
    }
}
