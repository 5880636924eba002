import Foundation
import Kernels
import Tensor
import Testing

/// Rotations against the definition in F64, with each scaling.
@Suite struct RopeTests {
    static let settings: [(RopeParameters, Bool)] = [
        (RopeParameters(dimensions: 64, mode: .neox), false),
        (RopeParameters(dimensions: 64, mode: .normal, frequencyBase: 500_000), true),
        (RopeParameters(dimensions: 48, mode: .neox, frequencyScale: 0.125), false),
        (RopeParameters(dimensions: 32, mode: .normal), false),
        (
            RopeParameters(
                dimensions: 64, mode: .neox, originalContext: 4096, frequencyScale: 0.25, extrapolationFactor: 1,
                attentionFactor: 1), false
        ),
        (RopeParameters(dimensions: 32, mode: .neox, offset: 16), true),
    ]

    @Test(arguments: BackendUnderTest.all)
    func rotatesByPosition(_ given: BackendUnderTest) throws {
        var random = SeededGenerator(seed: 31)
        for (parameters, hasFactors) in RopeTests.settings {
            let x = Dense.random(Shape(64, 3, 9, 2), &random)
            let positions = (0..<9).map { _ in Int32.random(in: 0..<300, using: &random) }
            let factors = Dense.random(Shape(32), &random, 1...8)
            let test = GraphUnderTest()
            let place = test.integers(Shape(9), positions)
            let table = hasFactors ? test.floats(factors) : nil
            let source = test.floats(x)
            let result = test.builder.rope(source, positions: place, factors: table, parameters)
            let expected = rotated(x, positions, hasFactors ? factors.values : nil, parameters)
            let error = largestError(try test.values(of: result, on: given.backend), expected.values)
            #expect(error < 5e-5, "\(parameters)")
        }
    }

    private func rotated(_ x: Dense, _ positions: [Int32], _ factors: [Float]?, _ p: RopeParameters) -> Dense {
        let pairs = p.dimensions / 2
        func correction(_ beta: Float) -> Double {
            let turns = Double(p.originalContext) / (Double(beta) * 2 * .pi)
            return Double(p.dimensions) * Foundation.log(turns) / (2 * Foundation.log(Double(p.frequencyBase)))
        }
        return Dense(x.shape) { i0, i1, i2, i3 in
            let i = i0 - p.offset
            guard i >= 0, i < p.dimensions else { return x[i0, i1, i2, i3] }
            let pair = p.mode == .neox ? i % pairs : i / 2
            let isFirst = p.mode == .neox ? i < pairs : i % 2 == 0
            let other = p.mode == .neox ? (isFirst ? i + pairs : i - pairs) : i ^ 1
            var angle = Double(positions[i2]) * pow(Double(p.frequencyBase), -2 * Double(pair) / Double(p.dimensions))
            if let factors { angle /= Double(factors[pair]) }
            var magnitude = Double(p.attentionFactor)
            let near = angle * Double(p.frequencyScale)
            if p.extrapolationFactor != 0 {
                let low = max(0, correction(p.betaFast).rounded(.down))
                let high = min(Double(p.dimensions - 1), correction(p.betaSlow).rounded(.up))
                let ramp = min(1, max(0, (Double(pair) - low) / max(0.001, high - low)))
                let mix = (1 - ramp) * Double(p.extrapolationFactor)
                angle = near * (1 - mix) + angle * mix
                magnitude *= 1 + 0.1 * Foundation.log(1 / Double(p.frequencyScale))
            } else {
                angle = near
            }
            let (a, b) = (Double(x[i0, i1, i2, i3]), Double(x[other + p.offset, i1, i2, i3]))
            let (c, s) = (Foundation.cos(angle) * magnitude, Foundation.sin(angle) * magnitude)
            return Float(isFirst ? a * c - b * s : b * s + a * c)
        }
    }

    /// Tables are shared between nodes that agree, and only between those.
    @Test(arguments: BackendUnderTest.all)
    func keepsTablesApart(_ given: BackendUnderTest) throws {
        var random = SeededGenerator(seed: 32)
        let x = Dense.random(Shape(64, 2, 5), &random)
        let bases: [Float] = [10_000, 1_000_000, 10_000, 1_000_000]
        let positions = [[0, 1, 2, 3, 4], [7, 6, 5, 4, 3]].map { $0.map { Int32($0) } }
        let test = GraphUnderTest()
        let source = test.floats(x)
        let places = positions.map { test.integers(Shape(5), $0) }
        var sum: TensorID?
        var expected = [Float](repeating: 0, count: x.values.count)
        for (index, base) in bases.enumerated() {
            let parameters = RopeParameters(dimensions: 64, mode: .neox, frequencyBase: base)
            let one = test.builder.rope(source, positions: places[index / 2], parameters)
            sum = sum.map { test.builder.add($0, one) } ?? one
            let part = rotated(x, positions[index / 2], nil, parameters)
            for i in expected.indices { expected[i] += part.values[i] }
        }
        let found = try test.values(of: try #require(sum), on: given.backend)
        #expect(largestError(found, expected) < 1e-5)
    }
}
