import Foundation
import KernelTable
import TestSupport
import Testing

/// One attention problem with everything it needs in guarded memory.
struct AttentionCase {
    var keySize = 64
    var valueSize = 64
    var keyCount = 100
    var queryCount = 5
    var scale: Float = 0.125
    var softcap: Float = 0
    /// Query, key: F16 added to the score, or nil for no mask at all.
    var mask: ((Int, Int) -> Float16)?
    var slope: Float = 1
    var sink: Float = -.infinity
    var seed: UInt64 = 1

    struct Data {
        var queries: [[Float]]
        var keys: [[Float16]]
        var values: [[Float16]]
    }

    func data() -> Data {
        var random = SeededRandom(seed: seed)
        func rows(_ n: Int, _ size: Int) -> [[Float]] { (0..<n).map { _ in random.floats(size, -1.5...1.5) } }
        return Data(
            queries: rows(queryCount, keySize), keys: rows(keyCount, keySize).map { $0.map { Float16($0) } },
            values: rows(keyCount, valueSize).map { $0.map { Float16($0) } })
    }

    /// The definition, in F64.
    func reference(_ data: Data) -> [[Double]] {
        (0..<queryCount).map { q in
            var scores = [(Int, Double)]()
            for k in 0..<keyCount {
                let bias = mask.map { $0(q, k) } ?? 0
                if bias == -.infinity { continue }
                var dot = 0.0
                for i in 0..<keySize { dot += Double(data.queries[q][i]) * Double(data.keys[k][i]) }
                dot *= Double(scale)
                if softcap != 0 { dot = Double(softcap) * tanh(dot / Double(softcap)) }
                scores.append((k, dot + Double(slope) * Double(bias)))
            }
            var out = [Double](repeating: 0, count: valueSize)
            guard !scores.isEmpty else { return out }
            let top = max(scores.map(\.1).max() ?? 0, Double(sink))
            var total = exp(Double(sink) - top)
            for (k, score) in scores {
                let weight = exp(score - top)
                total += weight
                for i in 0..<valueSize { out[i] += weight * Double(data.values[k][i]) }
            }
            return out.map { $0 / total }
        }
    }

    /// What the kernel makes of the queries in `group`, with the keys cut off after `keys` of them if given.
    func run(_ table: VectorTable, _ data: Data, group: Range<Int>, keys: Int? = nil) -> [[Float]] {
        let keyCount = keys ?? self.keyCount
        let k = GuardedMemory(data.keys[..<keyCount].flatMap { $0 })
        let v = GuardedMemory(data.values[..<keyCount].flatMap { $0 })
        let queries = group.map { GuardedMemory(data.queries[$0]) }
        let outputs = group.map { _ in GuardedMemory(byteCount: 4 * valueSize) }
        let masks = mask.map { mask in group.map { q in GuardedMemory((0..<keyCount).map { mask(q, $0) }) } }
        let bytes = table.attentionScratchByteCount(keySize, valueSize)
        let scratch = UnsafeMutableRawPointer.allocate(byteCount: bytes + 64, alignment: 64)
        defer { scratch.deallocate() }
        // Scratch is whatever an earlier call left: NaN is the worst it can be.
        memset(scratch, 0xff, bytes)
        memset(scratch + bytes, 0x5a, 64)
        let queryPointers = queries.map { UnsafePointer($0.floats) }
        let maskPointers = masks?.map { Optional(UnsafeRawPointer($0.pointer)) } ?? group.map { _ in nil }
        let slopes = group.map { _ in slope }
        let sinks = group.map { _ in sink }
        let outputPointers = outputs.map(\.floats)
        queryPointers.withUnsafeBufferPointer { q in
            maskPointers.withUnsafeBufferPointer { m in
                outputPointers.withUnsafeBufferPointer { o in
                    slopes.withUnsafeBufferPointer { slopes in
                        sinks.withUnsafeBufferPointer { sinks in
                            guard let q = q.baseAddress, let m = m.baseAddress, let o = o.baseAddress,
                                let slopes = slopes.baseAddress, let sinks = sinks.baseAddress
                            else { return }
                            var arguments = AttentionArguments(
                                queries: q, masks: m, slopes: slopes, sinks: sinks, outputs: o, queryCount: group.count,
                                keys: k.pointer, keyStride: 2 * keySize, values: v.pointer, valueStride: 2 * valueSize,
                                keyCount: keyCount, keySize: keySize, valueSize: valueSize, scale: scale,
                                softcap: softcap, scratch: scratch)
                            table.attention(&arguments)
                        }
                    }
                }
            }
        }
        let untouched = (0..<64).filter { (scratch + bytes).load(fromByteOffset: $0, as: UInt8.self) == 0x5a }
        #expect(untouched.count == 64, "wrote past its scratch")
        return withExtendedLifetime((k, v, queries, masks)) { outputs.map { $0.floats(valueSize) } }
    }

    func check(_ variant: VectorVariant, sourceLocation: SourceLocation = #_sourceLocation) {
        let data = data()
        let expected = reference(data)
        let step = variant.table.attentionQueries
        for start in stride(from: 0, to: queryCount, by: step) {
            let group = start..<min(start + step, queryCount)
            let result = run(variant.table, data, group: group)
            for (q, row) in zip(group, result) {
                for i in 0..<valueSize {
                    #expect(
                        close(row[i], expected[q][i], relative: 2e-6, absolute: 2e-6),
                        "\(variant) query \(q) value \(i): \(row[i]), not \(expected[q][i])", sourceLocation: sourceLocation)
                }
            }
        }
    }
}

/// Attention against its definition, and the promise that company does not change an answer.
@Suite struct AttentionTests {
    static func causal(_ past: Int) -> @Sendable (Int, Int) -> Float16 {
        { query, key in key <= past + query ? 0 : -.infinity }
    }

    static func window(_ past: Int, _ width: Int) -> @Sendable (Int, Int) -> Float16 {
        { query, key in key <= past + query && key > past + query - width ? 0 : -.infinity }
    }

    /// Head sizes of tiny and of real models, by key counts around the block's.
    @Test(arguments: VectorVariant.all, [1, 7, 8, 16, 20, 32, 64, 80, 96, 128, 200, 256])
    func headSizes(variant: VectorVariant, size: Int) {
        for keyCount in [1, 2, 3, 5, 63, 64, 65, 130] {
            for queryCount in [1, 3, 6] {
                AttentionCase(
                    keySize: size, valueSize: size, keyCount: keyCount, queryCount: queryCount,
                    scale: 1 / Float(size).squareRoot(), mask: Self.causal(keyCount), seed: UInt64(size)
                ).check(variant)
            }
        }
        AttentionCase(keySize: size, valueSize: 48, keyCount: 70, queryCount: 9).check(variant)
    }

    /// Masks that hide the future, all but a window, everything; ALiBi's slopes; a cap; sinks.
    @Test(arguments: VectorVariant.all)
    func masks(variant: VectorVariant) {
        var base = AttentionCase(keySize: 64, valueSize: 64, keyCount: 300, queryCount: 32)
        base.mask = Self.causal(200)
        base.check(variant)
        base.mask = Self.causal(0)
        base.check(variant)
        base.mask = Self.window(250, 100)
        base.check(variant)
        base.mask = Self.window(250, 3)
        base.check(variant)
        base.mask = { _, _ in -.infinity }
        base.check(variant)
        base.mask = { query, key in (query + key) % 5 == 0 ? -.infinity : Float16(key - 250) / 16 }
        base.slope = 0.25
        base.check(variant)
        base.softcap = 2
        base.check(variant)
        base.sink = 0.75
        base.check(variant)
        base.mask = { query, _ in query % 2 == 0 ? -.infinity : 0 }
        base.check(variant)
        base.mask = nil
        base.check(variant)
    }

    /// Bytes are the same alone, in pairs, in odd groups and all together, and whether the cache ends after the last
    /// visible key or goes on hidden.
    @Test(arguments: VectorVariant.all, [(64, 64), (256, 256), (80, 80), (20, 12), (96, 128)])
    func companyChangesNothing(variant: VectorVariant, sizes: (Int, Int)) {
        let masks = [Self.causal(150), Self.window(150, 40), Self.causal(0)]
        for (index, mask) in masks.enumerated() {
            var problem = AttentionCase(keySize: sizes.0, valueSize: sizes.1, keyCount: 333, queryCount: 32)
            problem.mask = mask
            problem.seed = UInt64(index)
            let data = problem.data()
            let together = problem.run(variant.table, data, group: 0..<32).map { $0.map(\.bitPattern) }
            for step in [1, 2, 3, 4, 5, 7, 13, 31] {
                for start in stride(from: 0, to: 32, by: step) {
                    let group = start..<min(start + step, 32)
                    let part = problem.run(variant.table, data, group: group).map { $0.map(\.bitPattern) }
                    #expect(part == Array(together[group]))
                }
            }
            for keys in [182, 183, 191, 192, 193, 200, 256, 257] {
                let cut = problem.run(variant.table, data, group: 0..<32, keys: keys).map { $0.map(\.bitPattern) }
                #expect(cut == together, "cut after \(keys)")
            }
        }
    }

    /// A hidden key may hold anything: NaN and infinities there reach no result, in whatever company, and a visible
    /// NaN reaches only those who see it.
    @Test(arguments: VectorVariant.all)
    func hiddenKeysMayHoldAnything(variant: VectorVariant) {
        var problem = AttentionCase(keySize: 64, valueSize: 64, keyCount: 140, queryCount: 16)
        problem.mask = Self.causal(80)
        var data = problem.data()
        let clean = problem.run(variant.table, data, group: 0..<16)
        for key in 96..<140 {
            data.keys[key] = data.keys[key].map { _ in .nan }
            data.values[key] = data.values[key].map { _ in key % 2 == 0 ? .nan : .infinity }
        }
        #expect(problem.run(variant.table, data, group: 0..<16) == clean)
        // Key 90 is seen by queries 10 ... 15.
        data.values[90][3] = .infinity
        data.values[90][5] = .nan
        let dirty = problem.run(variant.table, data, group: 0..<16)
        #expect(Array(dirty[..<10]) == Array(clean[..<10]))
        for q in 10..<16 {
            #expect(dirty[q][3] == .infinity && dirty[q][5].isNaN && dirty[q][4] == clean[q][4])
            #expect(problem.run(variant.table, data, group: q..<(q + 1))[0].map(\.bitPattern) == dirty[q].map(\.bitPattern))
        }
    }

    /// Scores too large for exp, and queries of NaN and infinity, neither trap nor spread.
    @Test(arguments: VectorVariant.all)
    func extremeScores(variant: VectorVariant) {
        var problem = AttentionCase(keySize: 32, valueSize: 32, keyCount: 100, queryCount: 8)
        problem.scale = 1000
        problem.check(variant)
        var data = problem.data()
        let clean = problem.run(variant.table, data, group: 0..<8)
        data.queries[2][0] = .nan
        data.queries[3][0] = .infinity
        data.queries[5] = data.queries[5].map { _ in 3e38 }
        let dirty = problem.run(variant.table, data, group: 0..<8)
        #expect(dirty[2].filter(\.isNaN).count == 32)
        for q in [0, 1, 4, 6, 7] { #expect(dirty[q] == clean[q]) }
    }
}
