import Foundation
import Kernels
import Tensor
import TestSupport
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
        var random = SeededRandom(seed: 31)
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
        var random = SeededRandom(seed: 32)
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

    static let sectioned: [RopeParameters] = [
        RopeParameters(dimensions: 48, mode: .multi, sections: SIMD4(8, 6, 5, 5)),
        RopeParameters(dimensions: 64, mode: .multi, frequencyScale: 0.5, sections: SIMD4(4, 3, 2, 0), offset: 0),
        RopeParameters(dimensions: 48, mode: .interleavedMulti, sections: SIMD4(8, 8, 4, 4)),
        RopeParameters(dimensions: 32, mode: .interleavedMulti, sections: SIMD4(6, 5, 5, 0), offset: 16),
        RopeParameters(dimensions: 32, mode: .vision, sections: SIMD4(16, 16, 0, 0)),
        RopeParameters(dimensions: 32, mode: .vision, sections: SIMD4(8, 8, 8, 8)),
    ]

    /// Each pair turns by the position of its section; backwards the turn is undone.
    @Test(arguments: BackendUnderTest.all)
    func rotatesBySections(_ given: BackendUnderTest) throws {
        var random = SeededRandom(seed: 33)
        for parameters in RopeTests.sectioned {
            for isHalf in [false, true] {
                var x = Dense.random(Shape(64, 3, 5, 2), &random)
                let positions = (0..<20).map { _ in Int32.random(in: 0..<40, using: &random) }
                let test = GraphUnderTest()
                let source = isHalf ? test.halves(&x) : test.floats(x)
                let place = test.integers(Shape(20), positions)
                let result = test.builder.rope(source, positions: place, parameters)
                let back = test.builder.node("", .ropeBack(parameters), [result, place])
                test.builder.markOutput(back)
                let turned = try test.bytes(of: result, on: given.backend)
                let returned = try test.bytes(of: back, on: given.backend)
                func values(_ bytes: [UInt8]) -> [Float] {
                    if !isHalf { return bytes.asFloats }
                    return bytes.withUnsafeBytes { $0.bindMemory(to: Float16.self).map { Float($0) } }
                }
                let expected = rotatedBySections(x, positions, parameters)
                #expect(largestError(values(turned), expected.values) < (isHalf ? 1e-3 : 2e-5), "\(parameters)")
                #expect(largestError(values(returned), x.values) < (isHalf ? 2e-3 : 1e-5), "\(parameters)")
            }
        }
    }

    private func rotatedBySections(_ x: Dense, _ positions: [Int32], _ p: RopeParameters) -> Dense {
        let tokens = x.shape[2]
        let pairs = p.mode == .vision ? x.shape[0] / 2 : p.dimensions / 2
        let sections = (0..<4).map { Int(p.sections[$0]) }
        let starts = [0, sections[0], sections[0] + sections[1], sections[0] + sections[1] + sections[2]]
        return Dense(x.shape) { i0, i1, i2, i3 in
            let i = i0 - p.offset
            guard i >= 0, i < 2 * pairs else { return x[i0, i1, i2, i3] }
            let pair = i % pairs
            let sector = pair % sections.reduce(0, +)
            var axis = starts.lastIndex { $0 <= sector } ?? 0
            if p.mode == .interleavedMulti { axis = sector < 3 * sections[sector % 3] ? sector % 3 : 3 }
            let power = p.mode == .vision ? sector - starts[axis] : pair
            let turn = pow(Double(p.frequencyBase), -2 * Double(power) / Double(p.dimensions)) * Double(p.frequencyScale)
            let angle = Double(positions[axis * tokens + i2]) * turn
            let other = i < pairs ? i0 + pairs : i0 - pairs
            let (a, b) = (Double(x[i0, i1, i2, i3]), Double(x[other, i1, i2, i3]))
            let sine = i < pairs ? -Foundation.sin(angle) : Foundation.sin(angle)
            return Float(a * Foundation.cos(angle) + b * sine)
        }
    }

    @Test func survivesAnyPositionAndRefusesSenselessParameters() throws {
        let backend = try CPUBackend(threads: 1)
        let x = Dense(Shape(64, 1, 2)) { i0, _, _, _ in Float(i0) }
        for mode in RopeParameters.Mode.allCases {
            let isVision = mode == .vision
            let count = mode == .normal || mode == .neox ? 2 : 8
            let good = RopeParameters(dimensions: 32, mode: mode, sections: SIMD4(4, 4, 4, 4))
            let test = GraphUnderTest()
            let positions = test.integers(Shape(count), (0..<count).map { $0 % 2 == 0 ? .min : .max })
            let result = test.builder.rope(test.floats(x), positions: positions, good)
            #expect(try test.values(of: result, on: backend).allSatisfy(\.isFinite))
            var bad: [RopeParameters] = [0, -2, 3, 66, .max, .min].map {
                var p = good
                p.dimensions = $0
                return p
            }
            for offset in [-1, 48, Int(Int32.max), Int(Int32.min)] {
                bad.append(good)
                bad[bad.count - 1].offset = offset
            }
            if count == 8 {
                for sections in [SIMD4<Int32>.zero, SIMD4(-4, 8, 0, 0), SIMD4(.max, .min, .max, .max)] {
                    bad.append(good)
                    bad[bad.count - 1].sections = sections
                }
            }
            if isVision {
                bad.append(good)
                bad[bad.count - 1].dimensions = 30
            }
            for parameters in bad {
                let other = GraphUnderTest()
                let sources = [other.floats(x), other.integers(Shape(count), [Int32](repeating: 0, count: count))]
                let graph = try other.node(.rope(parameters), sources, .f32, x.shape)
                #expect(throws: BackendError.self, "\(parameters)") { _ = try backend.prepare(graph) }
            }
        }
    }
}
