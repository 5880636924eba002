import Foundation
import Kernels
import Tensor
import TestSupport
import Testing

/// Outer products against their sums, and attention's gradients against differences of attention itself.
@Suite struct GradientTests {
    @Test(arguments: BackendUnderTest.all)
    func addsOuterProducts(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 71)
        for (m, n, k, a2, b2, b3) in [(40, 21, 3, 1, 1, 1), (7, 1, 9, 2, 6, 2), (64, 16, 0, 1, 2, 1)] {
            var a = Dense.random(Shape(m, k, a2), &random)
            let b = Dense.random(Shape(n, k, b2, b3), &random)
            let test = GraphUnderTest()
            let result = test.builder.node("", .outProd, [test.halves(&a), test.floats(b)])
            let expected = Dense(Shape(m, n, b2, b3)) { i0, i1, i2, i3 in
                Float((0..<k).reduce(0.0) { $0 + Double(a[i0, $1, i2 / (b2 / a2), 0]) * Double(b[i1, $1, i2, i3]) })
            }
            let found = try test.values(of: result, on: given.backend)
            #expect(largestError(found, expected.values) < 1e-5, "\(a.shape), \(b.shape)")
        }
    }

    /// Several times more columns than are listed at once, of which a few are looked at.
    @Test(arguments: BackendUnderTest.all)
    func multipliesVeryManyColumns(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 72)
        let (k, rows, columns) = (33, 5, 50_001)
        var w = Dense.random(Shape(k, rows), &random)
        let x = Dense.random(Shape(k, columns, 3), &random)
        let test = GraphUnderTest()
        let found = try test.values(of: test.builder.matMul(test.halves(&w), test.floats(x)), on: given.backend)
        #expect(found.count == rows * columns * 3)
        for column in [0, 1, 255, 256, columns - 1] {
            for batch in 0..<3 {
                let expected = (0..<rows).map { row in
                    Float((0..<k).reduce(0.0) { $0 + Double(w[$1, row, 0, 0]) * Double(x[$1, column, batch, 0]) })
                }
                let first = (batch * columns + column) * rows
                #expect(largestError(Array(found[first..<(first + rows)]), expected) < 1e-5)
            }
        }
    }

    private static let (size, tokens, keys, heads, keyHeads, streams) = (6, 3, 5, 4, 2, 2)

    /// The sum of attention's results, each times its gradient.
    private func loss(_ q: [Double], _ k: [Double], _ v: [Double], _ d: [Double], masked: Bool) -> Double {
        let (size, tokens, keys) = (GradientTests.size, GradientTests.tokens, GradientTests.keys)
        var sum = 0.0
        for stream in 0..<GradientTests.streams {
            for head in 0..<GradientTests.heads {
                let keyHead = stream * GradientTests.keyHeads + head % GradientTests.keyHeads
                for token in 0..<tokens {
                    let query = ((stream * GradientTests.heads + head) * tokens + token) * size
                    let visible = masked ? keys - tokens + token + 1 : keys
                    let weights = (0..<visible).map { key in
                        exp(
                            (0..<size).reduce(0.0) { $0 + q[query + $1] * k[(keyHead * keys + key) * size + $1] }
                                / Double(size).squareRoot())
                    }
                    let total = weights.reduce(0, +)
                    for i in 0..<size {
                        for key in 0..<visible {
                            sum += d[query + i] * weights[key] / total * v[(keyHead * size + i) * keys + key]
                        }
                    }
                }
            }
        }
        return sum
    }

    @Test(arguments: BackendUnderTest.all)
    func differentiatesAttention(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 73)
        let (size, tokens, keys) = (GradientTests.size, GradientTests.tokens, GradientTests.keys)
        let (heads, keyHeads, streams) = (GradientTests.heads, GradientTests.keyHeads, GradientTests.streams)
        for masked in [false, true] {
            let q = Dense.random(Shape(size, tokens, heads, streams), &random)
            let k = Dense.random(Shape(size, keys, keyHeads, streams), &random)
            let v = Dense.random(Shape(keys, size, keyHeads, streams), &random)
            let d = Dense.random(Shape(size, tokens, heads, streams), &random)
            let test = GraphUnderTest()
            let result = test.builder.node("", .flashAttentionBack(masked: masked), [q, k, v, d].map(test.floats))
            let found = try test.values(of: result, on: given.backend)

            var values = [q, k, v, d].map { $0.values.map(Double.init) }
            var expected: [Float] = []
            let step = 1e-5
            for source in 0..<3 {
                for place in values[source].indices {
                    let middle = values[source][place]
                    values[source][place] = middle + step
                    let high = loss(values[0], values[1], values[2], values[3], masked: masked)
                    values[source][place] = middle - step
                    let low = loss(values[0], values[1], values[2], values[3], masked: masked)
                    values[source][place] = middle
                    expected.append(Float((high - low) / (2 * step)))
                }
                while expected.count % 4 != 0 { expected.append(0) }
            }
            #expect(largestError(found, expected) < 1e-4, "masked \(masked)")
        }
    }
}
