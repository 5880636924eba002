import Foundation
import Kernels
import Tensor
import TestSupport
import Testing

/// DeepSeek's indexer and hyper-connections, and triangular systems, against their definitions.
@Suite struct DeepSeekTests {
    @Test(arguments: BackendUnderTest.all)
    func scoresKeys(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 51)
        let q = Dense.random(Shape(64, 5, 19, 2), &random)
        var k = Dense.random(Shape(64, 1, 140, 2), &random)
        let weights = Dense.random(Shape(5, 19, 1, 2), &random)
        var mask = Dense(Shape(140, 19)) { i0, i1, _, _ in i0 > 100 + i1 ? -.infinity : Float(i0) / 8 }
        let test = GraphUnderTest()
        let keys = test.halves(&k)
        let masks = test.halves(&mask)
        let sources = [test.floats(q), keys, test.floats(weights), masks]
        let result = test.builder.node("", .lightningIndexer, sources)
        let expected = Dense(Shape(140, 19, 1, 2)) { key, token, _, stream in
            (0..<5).reduce(mask[key, token, 0, 0]) { sum, head in
                let product = (0..<64).reduce(Float(0)) { $0 + q[$1, head, token, stream] * k[$1, 0, key, stream] }
                return sum + max(0, product) * weights[head, token, 0, stream]
            }
        }
        #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-5)
    }

    @Test(arguments: BackendUnderTest.all)
    func balancesMatrices(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 52)
        let mixes = Dense.random(Shape(24, 9), &random)
        let test = GraphUnderTest()
        let sources = [
            test.floats(mixes), test.floats(Dense(Shape(3), [1, 2, 0.5])), test.floats(.random(Shape(24), &random)),
        ]
        let result = test.builder.node("", .dsv4HCComb(epsilon: 1e-6, iterations: 30), sources)
        let found = Dense(Shape(4, 4, 9), try test.values(of: result, on: given.backend))
        for token in 0..<9 {
            for i in 0..<4 {
                #expect(abs(found.row(i, token, 0).reduce(0, +) - 1) < 1e-2)
                #expect(abs((0..<4).reduce(Float(0)) { $0 + found[i, $1, token, 0] } - 1) < 1e-3)
            }
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func addsStreamsUpAndSpreadsThem(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 53)
        let streams = Dense.random(Shape(130, 3, 7), &random)
        for gated in [false, true] {
            let weights = Dense.random(gated ? streams.shape : Shape(3, 7), &random)
            let test = GraphUnderTest()
            let operation = GraphOperation.dsv4HCPre(scale: 0.5, gated: gated)
            let result = test.builder.node("", operation, [test.floats(streams), test.floats(weights)])
            let expected = Dense(Shape(130, 7)) { i, token, _, _ in
                0.5
                    * (0..<3).reduce(Float(0)) { sum, s in
                        let weight = gated ? 1 / (1 + exp(-weights[i, s, token, 0])) : weights[s, token, 0, 0]
                        return sum + streams[i, s, token, 0] * weight
                    }
            }
            #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-5)
        }
        let x = Dense.random(Shape(130, 7), &random)
        let post = Dense.random(Shape(3, 7), &random)
        let comb = Dense.random(Shape(3, 3, 7), &random)
        for mixed in [false, true] {
            let test = GraphUnderTest()
            let sources = [test.floats(x), test.floats(streams), test.floats(post), mixed ? test.floats(comb) : nil]
            let result = test.builder.node("", .dsv4HCPost, sources)
            let expected = Dense(streams.shape) { i, s, token, _ in
                let own = x[i, token, 0, 0] * post[s, token, 0, 0]
                if !mixed { return own + streams[i, s, token, 0] }
                return (0..<3).reduce(own) { $0 + streams[i, $1, token, 0] * comb[s, $1, token, 0] }
            }
            #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 1e-5)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func solvesTriangularSystems(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 54)
        let a = Dense(Shape(20, 20, 2)) { i, j, _, _ in
            i > j ? 9 : (i == j ? 2 : Float.random(in: -0.3...0.3, using: &random))
        }
        let x = Dense.random(Shape(41, 20, 2), &random)
        let b = Dense(x.shape) { c, row, m, _ in (0...row).reduce(Float(0)) { $0 + a[$1, row, m, 0] * x[c, $1, m, 0] } }
        let test = GraphUnderTest()
        let result = test.builder.node("", .solveTri, [test.floats(a), test.floats(b)])
        #expect(largestError(try test.values(of: result, on: given.backend), x.values) < 1e-4)
    }
}
