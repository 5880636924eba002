import Kernels
import Tensor
import TestSupport
import Testing

/// Products against sums in F64 over the dequantized weights.
///
/// With quantized weights the activations are quantized too, to eight bits, which is what the wider bound allows for.
@Suite struct MatMulTests {
    private func weights(
        _ type: StoredType, _ shape: Shape, _ random: inout SeededRandom, on backend: CPUBackend
    ) throws -> ([UInt8], Dense) {
        let bytes = type.randomBytes(shape.elementCount, &random)
        let convert = try #require(backend.conversions[type.number]?.toF32)
        var values = [Float](repeating: 0, count: shape.elementCount)
        bytes.withUnsafeBytes { raw in
            if let base = raw.baseAddress { convert(base, &values, shape.elementCount) }
        }
        return (bytes, Dense(shape, values))
    }

    private func product(_ w: Dense, _ x: Dense) -> Dense {
        let (r2, r3) = (x.shape[2] / w.shape[2], x.shape[3] / w.shape[3])
        return Dense(Shape(w.shape[1], x.shape[1], x.shape[2], x.shape[3])) { i0, i1, i2, i3 in
            var sum = 0.0
            for k in 0..<w.shape[0] { sum += Double(w[k, i0, i2 / r2, i3 / r3]) * Double(x[k, i1, i2, i3]) }
            return Float(sum)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func multipliesEveryTypeWithAnyNumberOfColumns(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 11)
        for type in StoredType.all {
            guard let element = ElementType(rawValue: type.number) else { continue }
            for (rows, columns) in [(1, 1), (50, 1), (33, 3), (64, 8), (130, 21)] {
                let shape = Shape(type.blockElements == 1 ? 77 : 512, rows)
                let (bytes, dense) = try weights(type, shape, &random, on: given.backend)
                let x = Dense.random(Shape(shape[0], columns), &random)
                let test = GraphUnderTest()
                let result = test.builder.matMul(test.input(element, shape, bytes), test.floats(x))
                let expected = product(dense, x).values
                // Terms that cancel out leave their rounding behind, so a lone result is judged by the size of its terms.
                let terms = (0..<shape[0]).reduce(Float(0)) {
                    $0 + (dense[$1, 0, 0, 0] * x[$1, 0, 0, 0]) * (dense[$1, 0, 0, 0] * x[$1, 0, 0, 0])
                }
                let largest = expected.map(abs).max() ?? 0
                let error =
                    largestError(try test.values(of: result, on: given.backend), expected)
                    * largest / max(largest, terms.squareRoot())
                #expect(error < (element.isQuantized ? 0.02 : 2e-5), "\(type.name) \(rows) × \(columns)")
            }
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func repeatsWeightsOverBatches(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 12)
        for (w2, w3, b2, b3) in [(1, 1, 3, 2), (2, 1, 6, 1), (2, 3, 4, 6), (3, 1, 3, 4)] {
            var w = Dense.random(Shape(40, 9, w2, w3), &random)
            let x = Dense.random(Shape(40, 5, b2, b3), &random)
            let test = GraphUnderTest()
            let result = test.builder.matMul(test.halves(&w), test.floats(x))
            let error = largestError(try test.values(of: result, on: given.backend), product(w, x).values)
            #expect(error < 2e-5, "\(w.shape) · \(x.shape)")
        }
    }

    /// Permuted queries and keys: views with and without contiguous rows on either side. Transposed weights are none of ggml's.
    @Test(arguments: BackendUnderTest.all)
    func multipliesViews(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 13)
        let allowed = [([0, 2, 1, 3], [0, 2, 1, 3]), ([0, 2, 1, 3], [1, 0, 2, 3]), ([2, 0, 1, 3], [2, 0, 1, 3])]
        for (left, right) in allowed {
            var w = Dense.random(Shape(24, 24, 24), &random)
            let x = Dense.random(Shape(24, 24, 24), &random)
            let test = GraphUnderTest()
            let weights = test.builder.permute(test.halves(&w), (left[0], left[1], left[2], left[3]))
            let activations = test.builder.permute(test.floats(x), (right[0], right[1], right[2], right[3]))
            let result = test.builder.matMul(weights, activations)
            let expected = product(w.permuted(left), x.permuted(right))
            let error = largestError(try test.values(of: result, on: given.backend), expected.values)
            #expect(error < 2e-5, "\(left) · \(right)")
        }
        let test = GraphUnderTest()
        let x = test.floats(Dense.random(Shape(24, 24), &random))
        _ = test.builder.matMul(test.builder.transpose(x), x)
        #expect(throws: GraphError.self) { try test.builder.finish() }
    }

    /// Copies of both sides and the packed activations must not lie over each other, however large.
    @Test func keepsLargeCopiesApart() throws {
        var random = SeededRandom(seed: 16)
        let backend = try CPUBackend(threads: 2)
        let size = 1100
        let w = Dense.random(Shape(2 * size, size), &random)
        let x = Dense.random(Shape(size, size), &random)
        let test = GraphUnderTest()
        // Every other weight, so that neither side's rows are contiguous.
        let spread = Strides(8, 8 * size, 8 * size * size, 8 * size * size)
        let weights = test.builder.view(of: test.floats(w), shape: Shape(size, size), strides: spread)
        let result = test.builder.matMul(weights, test.builder.transpose(test.floats(x)))
        let found = try test.values(of: result, on: backend)
        for _ in 0..<300 {
            let row = Int.random(in: 0..<size, using: &random)
            let column = Int.random(in: 0..<size, using: &random)
            let sum = (0..<size).reduce(0.0) { $0 + Double(w[2 * $1, row, 0, 0]) * Double(x[column, $1, 0, 0]) }
            #expect(abs(Double(found[column * size + row]) - sum) < 0.01)
        }
    }

    /// Products of the same activations share their packing; each must still get its own answer.
    @Test(arguments: BackendUnderTest.all)
    func sharesPackedActivations(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 14)
        let x = Dense.random(Shape(512, 7), &random)
        let test = GraphUnderTest()
        let input = test.floats(x)
        var expected: [Float] = []
        var sum: TensorID?
        for number in [8, 8, 6, 12, 8] as [UInt32] {
            let type = try #require(StoredType.all.first { $0.number == number })
            let (bytes, dense) = try weights(type, Shape(512, 100), &random, on: given.backend)
            let element = try #require(ElementType(rawValue: number))
            let one = test.builder.matMul(test.input(element, Shape(512, 100), bytes), input)
            sum = sum.map { test.builder.add($0, one) } ?? one
            let part = product(dense, x).values
            expected = expected.isEmpty ? part : zip(expected, part).map { $0 + $1 }
        }
        let error = largestError(try test.values(of: try #require(sum), on: given.backend), expected)
        #expect(error < 0.02)
    }

    @Test(arguments: BackendUnderTest.all)
    func multipliesByExperts(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 15)
        for (used, tokens, shared) in [(2, 1, true), (3, 17, true), (2, 40, false), (1, 5, false)] {
            for number in [0, 8, 12] as [UInt32] {
                let type = try #require(StoredType.all.first { $0.number == number })
                let element = try #require(ElementType(rawValue: number))
                let shape = Shape(256, 36, 6)
                let (bytes, dense) = try weights(type, shape, &random, on: given.backend)
                let x = Dense.random(Shape(256, shared ? 1 : used, tokens), &random)
                let ids = (0..<(used * tokens)).map { _ in Int32.random(in: 0..<6, using: &random) }
                let test = GraphUnderTest()
                let result = test.builder.matMulID(
                    test.input(element, shape, bytes), test.floats(x), ids: test.integers(Shape(used, tokens), ids))
                let expected = Dense(Shape(36, used, tokens)) { i0, slot, token, _ in
                    var sum = 0.0
                    let expert = Int(ids[token * used + slot])
                    for k in 0..<256 { sum += Double(dense[k, i0, expert, 0]) * Double(x[k, shared ? 0 : slot, token, 0]) }
                    return Float(sum)
                }
                let error = largestError(try test.values(of: result, on: given.backend), expected.values)
                #expect(error < (element.isQuantized ? 0.02 : 2e-5), "\(type.name), \(used) of \(tokens)")
            }
        }
    }
}
