import Foundation
import KernelTable
import Tensor
import TestSupport
import Testing

/// The functions of one variable and the gated units against their definitions in F64.
@Suite struct VectorUnaryTests {
    static func reference(_ kind: UnaryKind) -> (@Sendable (Double) -> Double)? {
        switch kind {
        case .abs: { Swift.abs($0) }
        case .sgn: { $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }
        case .neg: { -$0 }
        case .step: { $0 > 0 ? 1 : 0 }
        case .tanh: { Foundation.tanh($0) }
        case .elu: { $0 > 0 ? $0 : Foundation.expm1($0) }
        case .relu: { $0 > 0 ? $0 : 0 }
        case .sigmoid: { 1 / (1 + Foundation.exp(-$0)) }
        case .gelu:
            { x in
                if x <= -10 { return 0 }
                if x >= 10 { return x }
                // 0.5 x (1 + tanh(u)) without its loss of digits far below zero.
                return x / (1 + Foundation.exp(-2 * 0.79788456080286535588 * x * (1 + 0.044715 * x * x)))
            }
        case .geluQuick: { $0 / (1 + Foundation.exp(-1.702 * $0)) }
        case .silu: { $0 / (1 + Foundation.exp(-$0)) }
        case .hardSwish: { $0 * Swift.min(1, Swift.max(0, ($0 + 3) / 6)) }
        case .hardSigmoid: { $0.isNaN ? 0 : Swift.min(1, Swift.max(0, ($0 + 3) / 6)) }
        case .exp: { Foundation.exp($0) }
        case .expm1: { Foundation.expm1($0) }
        case .softplus: { $0 > 20 ? $0 : Foundation.log1p(Foundation.exp($0)) }
        case .geluErf: { 0.5 * $0 * Foundation.erfc(-$0 * 0.5.squareRoot()) }
        case .xielu: nil
        case .floor: { $0.rounded(.down) }
        case .ceil: { $0.rounded(.up) }
        case .round: { $0.rounded(.toNearestOrAwayFromZero) }
        case .trunc: { $0.rounded(.towardZero) }
        }
    }

    static let special: [Float] = [
        0, -0.0, .nan, .infinity, -.infinity, .leastNonzeroMagnitude, -.leastNonzeroMagnitude, 1e-40, -1e-40, 1e-20,
        .greatestFiniteMagnitude, -.greatestFiniteMagnitude, 88.7, 88.8, 89.5, -87.5, -88, -95, -103.9, -104.5, 20, 20.1,
        9.99, 10, -9.99, -10, 0.5, -0.5, 0.49999997, 1.5, 2.5, 8_388_607.5, 8_388_609, 3, -3, 1e-7, 1e-3, 0.34, 0.35,
    ]

    /// Every function, densely over its interesting range and at the values where formulas break.
    @Test(arguments: VectorVariant.all, UnaryKind.allCases)
    func followsItsDefinition(variant: VectorVariant, kind: UnaryKind) throws {
        let index = Int(kind.rawValue)
        try #require(variant.table.unary.count == UnaryKind.allCases.count)
        guard let reference = Self.reference(kind) else {
            #expect(variant.table.unary[index] == nil)
            return
        }
        let kernel = try #require(variant.table.unary[index])
        let inputs = Self.special + (-4000...4000).map { Float($0) * 0.005 } + (-400...400).map { Float($0) * 0.27 }
        var outputs = [Float](repeating: .nan, count: inputs.count)
        kernel(inputs, &outputs, inputs.count)
        for (x, y) in zip(inputs, outputs) {
            var expected = reference(Double(x))
            if kind == .relu || kind == .step || kind == .sgn, x.isNaN { expected = 0 }
            // Far below zero the exponent is large, and its own rounding shows in the result's digits.
            let curved = kind == .gelu || kind == .geluQuick || kind == .geluErf
            let relative = curved && x < -3 ? 3e-5 : 1.5e-6
            #expect(close(y, expected, relative: relative, absolute: 1e-36), "\(variant) \(kind)(\(x)) = \(y), not \(expected)")
        }
    }

    /// Rows of any length: every element is computed, with the same bytes wherever in a row it stands, and nothing
    /// past the row is read or written.
    @Test(arguments: VectorVariant.all)
    func rowsOfAnyLength(variant: VectorVariant) throws {
        var random = SeededRandom(seed: 7)
        for kernel in variant.table.unary.compactMap({ $0 }) {
            for count in awkwardCounts {
                let values = random.floats(count)
                let source = GuardedMemory(values)
                let target = GuardedMemory(byteCount: 4 * count)
                kernel(source.floats, target.floats, count)
                for i in 0..<count {
                    var alone: Float = 0
                    kernel(source.floats + i, &alone, 1)
                    #expect(target.floats[i].bitPattern == alone.bitPattern)
                }
                kernel(source.floats, source.floats, count)
                #expect(source.floats(count).map(\.bitPattern) == target.floats(count).map(\.bitPattern))
            }
        }
    }

    /// Gate and value: the gate's function times the value, and nil where a unit takes parameters.
    @Test(arguments: VectorVariant.all)
    func gatedUnits(variant: VectorVariant) throws {
        let table = variant.table
        let functions: [(GLUKind, UnaryKind)] = [
            (.reglu, .relu), (.geglu, .gelu), (.swiglu, .silu), (.gegluErf, .geluErf), (.gegluQuick, .geluQuick),
        ]
        #expect(table.glu.count == GLUKind.allCases.count)
        #expect(table.glu[Int(GLUKind.swigluOAI.rawValue)] == nil)
        #expect(table.glu[Int(GLUKind.swigluClamp.rawValue)] == nil)
        var random = SeededRandom(seed: 8)
        for (unit, function) in functions {
            let kernel = try #require(table.glu[Int(unit.rawValue)])
            let reference = try #require(Self.reference(function))
            for count in awkwardCounts {
                let a = GuardedMemory(random.floats(count))
                let b = GuardedMemory(random.floats(count))
                let out = GuardedMemory(byteCount: 4 * count)
                kernel(a.floats, b.floats, out.floats, count)
                for i in 0..<count {
                    #expect(close(out.floats[i], reference(Double(a.floats[i])) * Double(b.floats[i]), relative: 2e-6))
                }
            }
        }
    }
}
