import Foundation
import KernelTable
import TestSupport
import Testing

/// Arithmetic, norms, softmax, rope and F16 conversion over rows of awkward lengths, against F64.
@Suite struct VectorRowTests {
    /// Sum, difference, product and quotient are the exact ones, in place too.
    @Test(arguments: VectorVariant.all)
    func arithmetic(variant: VectorVariant) {
        var random = SeededRandom(seed: 1)
        let table = variant.table
        let kernels: [(RowPairKernel, (Float, Float) -> Float)] = [
            (table.add, { $0 + $1 }), (table.sub, { $0 - $1 }), (table.mul, { $0 * $1 }), (table.div, { $0 / $1 }),
        ]
        for (kernel, reference) in kernels {
            for count in awkwardCounts {
                let a = random.floats(count)
                let b = random.floats(count)
                let expected = zip(a, b).map { reference($0, $1).bitPattern }
                let left = GuardedMemory(a)
                let right = GuardedMemory(b)
                let out = GuardedMemory(byteCount: 4 * count)
                kernel(left.floats, right.floats, out.floats, count)
                #expect(out.floats(count).map(\.bitPattern) == expected)
                kernel(left.floats, right.floats, right.floats, count)
                #expect(right.floats(count).map(\.bitPattern) == expected)
            }
        }
    }

    @Test(arguments: VectorVariant.all)
    func scaleClampAndSum(variant: VectorVariant) {
        var random = SeededRandom(seed: 2)
        for count in awkwardCounts {
            let values = random.floats(count)
            let a = GuardedMemory(values)
            let out = GuardedMemory(byteCount: 4 * count)
            variant.table.scale(a.floats, out.floats, count, 1.7, -0.3)
            for i in 0..<count { #expect(close(out.floats[i], Double(values[i]) * Double(Float(1.7)) - Double(Float(0.3)))) }
            variant.table.clamp(a.floats, out.floats, count, -1, 0.5)
            for i in 0..<count { #expect(out.floats[i] == min(max(values[i], -1), 0.5)) }
            let size = values.reduce(0.0) { $0 + abs(Double($1)) }
            let sum = Double(variant.table.sum(a.floats, count))
            #expect(abs(sum - values.reduce(0.0) { $0 + Double($1) }) <= 2e-7 * size)
        }
        let odd: [Float] = [.nan, .infinity, -.infinity]
        var out = [Float](repeating: 0, count: 3)
        variant.table.clamp(odd, &out, 3, -1, 1)
        #expect(out[0].isNaN && out[1] == 1 && out[2] == -1)
    }

    /// With and without weights; a row of zeros stays one, a huge one does not trap.
    @Test(arguments: VectorVariant.all)
    func rmsNorm(variant: VectorVariant) {
        var random = SeededRandom(seed: 3)
        for count in awkwardCounts {
            let a = GuardedMemory(random.floats(count))
            let weight = GuardedMemory(random.floats(count))
            let out = GuardedMemory(byteCount: 4 * count)
            var squares = 0.0
            for i in 0..<count { squares += Double(a.floats[i]) * Double(a.floats[i]) }
            let factor = 1 / (squares / Double(count) + 1e-6).squareRoot()
            variant.table.rmsNorm(a.floats, nil, out.floats, count, 1e-6)
            for i in 0..<count { #expect(close(out.floats[i], Double(a.floats[i]) * factor)) }
            variant.table.rmsNorm(a.floats, weight.floats, out.floats, count, 1e-6)
            for i in 0..<count {
                #expect(close(out.floats[i], Double(a.floats[i]) * factor * Double(weight.floats[i])))
            }
        }
        var out = [Float](repeating: 1, count: 40)
        variant.table.rmsNorm([Float](repeating: 0, count: 40), nil, &out, 40, 1e-6)
        #expect(out == [Float](repeating: 0, count: 40))
        variant.table.rmsNorm([Float](repeating: 1e30, count: 40), nil, &out, 40, 1e-6)
        variant.table.rmsNorm([Float](repeating: .nan, count: 40), nil, &out, 40, 1e-6)
        #expect(out.filter(\.isNaN).count == 40)
    }

    /// Scale, mask, slope and sink, and a row that is hidden whole.
    @Test(arguments: VectorVariant.all)
    func softMax(variant: VectorVariant) {
        var random = SeededRandom(seed: 4)
        for count in awkwardCounts {
            for (masked, sink) in [(false, -Float.infinity), (true, -.infinity), (true, 1.5), (false, 40)] {
                let a = GuardedMemory(random.floats(count, -20...20))
                let bias = (0..<count).map { i -> Float in
                    i % 3 == 1 ? -.infinity : Float.random(in: -2...0, using: &random)
                }
                let mask = GuardedMemory(bias)
                let out = GuardedMemory(byteCount: 4 * count)
                variant.table.softMax(a.floats, masked ? UnsafePointer(mask.floats) : nil, 0.5, sink, out.floats, count, 0.7)
                let x = (0..<count).map { Double(a.floats[$0]) * Double(Float(0.7)) + (masked ? 0.5 * Double(bias[$0]) : 0) }
                let top = max(x.max() ?? 0, Double(sink))
                let weights = x.map { exp($0 - top) }
                let sum = weights.reduce(0, +) + exp(Double(sink) - top)
                for i in 0..<count { #expect(close(out.floats[i], weights[i] / sum, relative: 4e-6)) }
            }
        }
        var out = [Float](repeating: 1, count: 20)
        let hidden = [Float](repeating: -.infinity, count: 20)
        variant.table.softMax([Float](repeating: .nan, count: 20), hidden, 1, -.infinity, &out, 20, 1)
        #expect(out == [Float](repeating: 0, count: 20))
    }

    /// Both ways of pairing, whole and partial rotation, in place and not.
    @Test(arguments: VectorVariant.all, [true, false])
    func rope(variant: VectorVariant, neox: Bool) {
        var random = SeededRandom(seed: 5)
        for pairs in Array(1...20) + [32, 64, 128] {
            for extra in [0, 1, 7, 64] {
                let count = 2 * pairs + extra
                let values = random.floats(count)
                let angles = random.floats(pairs)
                let cosSin = GuardedMemory(angles.flatMap { [cos($0), sin($0)] })
                let a = GuardedMemory(values)
                let out = GuardedMemory(byteCount: 4 * count)
                variant.table.rope(a.floats, out.floats, count, pairs, neox, cosSin.floats)
                for i in 0..<pairs {
                    let (first, second) = neox ? (i, i + pairs) : (2 * i, 2 * i + 1)
                    let (x, y) = (Double(values[first]), Double(values[second]))
                    let (c, s) = (Double(cosSin.floats[2 * i]), Double(cosSin.floats[2 * i + 1]))
                    #expect(close(out.floats[first], x * c - y * s, absolute: 1e-6))
                    #expect(close(out.floats[second], x * s + y * c, absolute: 1e-6))
                }
                for i in (2 * pairs)..<count { #expect(out.floats[i] == values[i]) }
                variant.table.rope(a.floats, a.floats, count, pairs, neox, cosSin.floats)
                #expect(a.floats(count) == out.floats(count))
            }
        }
    }

    /// All 65536 F16 values widen exactly and narrow back; F32 values round to nearest even.
    @Test(arguments: VectorVariant.all)
    func halves(variant: VectorVariant) {
        let all = (0...UInt16.max).map { $0 }
        var wide = [Float](repeating: 0, count: all.count)
        variant.table.f16ToF32(all, &wide, all.count)
        for (bits, value) in zip(all, wide) {
            let expected = Float(Float16(bitPattern: bits))
            #expect(expected.isNaN ? value.isNaN : value.bitPattern == expected.bitPattern)
        }
        var random = SeededRandom(seed: 6)
        for count in awkwardCounts {
            let values = random.floats(count, -70000...70000) + [1e-7, 65519, 65520, .infinity, .nan]
            let source = GuardedMemory(values)
            let narrow = GuardedMemory(byteCount: 2 * values.count)
            variant.table.f32ToF16(source.floats, narrow.pointer, values.count)
            for i in values.indices {
                let half = narrow.pointer.loadUnaligned(fromByteOffset: 2 * i, as: Float16.self)
                #expect(values[i].isNaN ? half.isNaN : half == Float16(values[i]))
            }
            variant.table.f16ToF32(narrow.pointer, source.floats, values.count)
        }
    }
}
