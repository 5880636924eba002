import Foundation
import Kernels
import Tensor
import TestSupport
import Testing

/// Operations element by element against their definitions, over shapes that repeat, skip and transpose.
@Suite struct ElementwiseTests {
    static let shapes = [
        Shape(1), Shape(7), Shape(64, 3), Shape(33, 5, 2), Shape(640, 4, 3, 2), Shape(20000, 2), Shape(16384, 1, 1, 3),
    ]

    typealias Unary = @Sendable (Float) -> Float
    typealias Binary = @Sendable (Float, Float) -> Float

    static let operations: [(GraphOperation, Binary)] = {
        var all: [(GraphOperation, Binary)] = []
        all.append((.add, { $0 + $1 }))
        all.append((.sub, { $0 - $1 }))
        all.append((.mul, { $0 * $1 }))
        all.append((.div, { $0 / $1 }))
        return all
    }()

    static let functions: [(GraphOperation, Unary)] = {
        var all: [(GraphOperation, Unary)] = []
        all.append((.scale(factor: 0.25, bias: 1.5), { $0 * 0.25 + 1.5 }))
        all.append((.clamp(minimum: -1, maximum: 0.5), { min(max($0, -1), 0.5) }))
        all.append((.sqr, { $0 * $0 }))
        all.append((.sin, { Foundation.sin($0) }))
        all.append((.cos, { Foundation.cos($0) }))
        all.append((.unary(.relu), { max($0, 0) }))
        all.append((.unary(.silu), { $0 / (1 + exp(-$0)) }))
        all.append((.unary(.tanh), { tanh($0) }))
        all.append((.unary(.neg), { -$0 }))
        all.append((.unary(.exp), { exp($0) }))
        all.append((.leakyRelu(slope: 0.1), { $0 > 0 ? $0 : $0 * 0.1 }))
        let xielu = XIELUParameters(alphaNegative: 0.8, alphaPositive: 0.6, beta: 0.5, epsilon: -1e-6)
        all.append((.xielu(xielu), { $0 > 0 ? 0.6 * $0 * $0 + 0.5 * $0 : (expm1(min($0, -1e-6)) - $0) * 0.8 + 0.5 * $0 }))
        return all
    }()

    @Test(arguments: BackendUnderTest.all)
    func addsSubtractsMultipliesAndDividesWithRepeats(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 1)
        for shape in ElementwiseTests.shapes {
            for _ in 0..<6 {
                // The second source keeps each dimension, or has one or half of it.
                var small = shape
                for dimension in 0..<4 {
                    let extent = shape[dimension]
                    let choices = extent % 2 == 0 ? [1, extent / 2, extent] : [1, extent]
                    small[dimension] = choices.randomElement(using: &random) ?? 1
                }
                let x = Dense.random(shape, &random)
                let y = Dense.random(small, &random, 0.5...2)
                for (operation, function) in ElementwiseTests.operations {
                    let test = GraphUnderTest()
                    let result = test.builder.node("", operation, [test.floats(x), test.floats(y)])
                    let found = try test.values(of: result, on: given.backend)
                    let expected = Dense(shape) {
                        function(x[$0, $1, $2, $3], y[$0 % small[0], $1 % small[1], $2 % small[2], $3 % small[3]])
                    }
                    #expect(found == expected.values, "\(operation) of \(shape) and \(small)")
                }
            }
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func readsHalvesAndTransposedSources(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 2)
        let x = Dense.random(Shape(12, 9, 5), &random)
        var y = Dense.random(Shape(9, 12, 5), &random)
        let test = GraphUnderTest()
        let turned = test.builder.permute(test.floats(x), (1, 0, 2, 3))
        let result = test.builder.add(turned, test.halves(&y))
        let expected = Dense(Shape(9, 12, 5)) { x[$1, $0, $2, $3] + y[$0, $1, $2, $3] }
        #expect(try test.values(of: result, on: given.backend) == expected.values)
    }

    @Test(arguments: BackendUnderTest.all)
    func appliesFunctionsOfOneVariable(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 3)
        for shape in ElementwiseTests.shapes {
            let x = Dense.random(shape, &random)
            for (operation, function) in ElementwiseTests.functions {
                let test = GraphUnderTest()
                let result = test.builder.node("", operation, [test.floats(x)])
                let error = largestError(try test.values(of: result, on: given.backend), x.values.map { function($0) })
                #expect(error < 2e-6, "\(operation) of \(shape)")
            }
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func gatesWithTwoSourcesAndWithHalves(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 4)
        func silu(_ x: Float) -> Float { x / (1 + exp(-x)) }
        let gate = Dense.random(Shape(70, 6, 2), &random)
        let value = Dense.random(Shape(70, 6, 2), &random)
        let test = GraphUnderTest()
        let result = test.builder.glu(.swiglu, gate: test.floats(gate), value: test.floats(value))
        let expected = zip(gate.values, value.values).map { silu($0) * $1 }
        #expect(largestError(try test.values(of: result, on: given.backend), expected) < 1e-6)
        for swapped in [false, true] {
            let halves = GraphUnderTest()
            let parameters = GLUParameters(.swiglu, swapped: swapped)
            let result = halves.builder.node("", .glu(parameters), [halves.floats(gate)])
            let expected = Dense(Shape(35, 6, 2)) {
                let (first, second) = (gate[$0, $1, $2, $3], gate[$0 + 35, $1, $2, $3])
                return swapped ? silu(second) * first : silu(first) * second
            }
            #expect(largestError(try halves.values(of: result, on: given.backend), expected.values) < 1e-6)
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func writesHalvesFromHalves(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 5)
        for shape in ElementwiseTests.shapes {
            var x = Dense.random(shape, &random)
            var y = Dense.random(Shape(1, shape[1]), &random)
            let test = GraphUnderTest()
            let result = test.builder.node("", .mul, [test.halves(&x), test.halves(&y)])
            let found = try test.bytes(of: result, on: given.backend)
            let expected = Dense(shape) { x[$0, $1, $2, $3] * y[0, $1, 0, 0] }.values.flatMap { value in
                withUnsafeBytes(of: Float16(value).bitPattern) { Array($0) }
            }
            #expect(found == expected, "\(shape)")
        }
    }

    @Test(arguments: BackendUnderTest.all)
    func cutsOffGatesAndValues(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 6)
        // The last value of an odd row belongs to neither half.
        let both = Dense.random(Shape(71, 6, 2), &random)
        for (kind, alpha, bias) in [(GLUKind.swigluOAI, Float(1.702), Float(1)), (.swigluClamp, 1, 0)] {
            let test = GraphUnderTest()
            let parameters = GLUParameters(kind, alpha: alpha, limit: 1.25)
            let result = test.builder.node("", .glu(parameters), [test.floats(both)])
            let expected = Dense(Shape(35, 6, 2)) {
                let x = min(both[$0, $1, $2, $3], 1.25)
                let y = max(-1.25, min(both[$0 + 35, $1, $2, $3], 1.25))
                return x / (1 + exp(-alpha * x)) * (y + bias)
            }
            #expect(largestError(try test.values(of: result, on: given.backend), expected.values) < 2e-6)
        }
    }
}
