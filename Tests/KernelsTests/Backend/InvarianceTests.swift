import KernelTable
import Kernels
import Tensor
import TestSupport
import Testing

/// One answer whatever the company: bytes must not depend on threads, on other columns, or on how work is split.
@Suite struct InvarianceTests {
    static let variants = KernelVariant.allCases.filter { $0.obstacle() == nil }

    /// A transformer layer in small: norm, products, rope, cache, attention, gate, over quantized weights.
    private struct Layer {
        var seed: UInt64
        var width = 512
        var heads = 4
        var cells = 128

        /// The output rows for `tokens` of a sequence that begins at position `first`, the cache filled before.
        func run(_ tokens: Range<Int>, cache: Cache, on backend: CPUBackend) throws -> [Float] {
            var random = SeededRandom(seed: seed)
            let test = GraphUnderTest()
            let builder = test.builder
            let types = StoredType.all.filter { ["q8_0", "q5_0", "q4_K", "q6_K", "f16"].contains($0.name) }
            func weight(_ k: Int, _ m: Int, _ index: Int) throws -> TensorID {
                let type = types[index % types.count]
                let element = try #require(ElementType(rawValue: type.number))
                return test.input(element, Shape(k, m), type.randomBytes(k * m, &random))
            }
            let all = Dense.random(Shape(width, 64), &random)
            let size = width / heads
            let count = tokens.count
            let x = test.floats(Dense(Shape(width, count)) { i0, i1, _, _ in all[i0, tokens.lowerBound + i1, 0, 0] })
            let positions = test.integers(Shape(count), tokens.map(Int32.init))
            let places = test.wideIntegers(Shape(count), tokens.map(Int64.init))
            var hidden = x
            hidden = builder.mul(
                builder.rmsNorm(hidden, epsilon: 1e-6), test.floats(Dense.random(Shape(width), &random)))
            func projected(_ index: Int) throws -> TensorID {
                builder.reshape(builder.matMul(try weight(width, width, index), hidden), Shape(size, heads, count))
            }
            let rope = RopeParameters(dimensions: size, mode: .neox)
            let q = builder.rope(try projected(0), positions: positions, rope)
            let k = builder.rope(try projected(1), positions: positions, rope)
            let v = try projected(2)
            let shape = Shape(width, cells)
            let flat = Shape(width, count)
            let keys = builder.placed("keys", .f16, shape, in: cache.keys, at: 0)
            let values = builder.placed("values", .f16, shape, in: cache.values, at: 0)
            let keysNow = builder.setRows(builder.reshape(k, flat), at: places, of: keys)
            let valuesNow = builder.setRows(builder.reshape(v, flat), at: places, of: values)
            var mask = Dense(Shape(cells, count)) { key, token, _, _ in
                key > tokens.lowerBound + token ? -.infinity : 0
            }
            let three = Shape(size, heads, cells)
            let attention = builder.flashAttention(
                q: builder.permute(q, (0, 2, 1, 3)),
                k: builder.permute(builder.reshape(keysNow, three), (0, 2, 1, 3)),
                v: builder.permute(builder.reshape(valuesNow, three), (0, 2, 1, 3)), mask: test.halves(&mask),
                FlashAttentionParameters(scale: 0.08))
            let out = builder.matMul(try weight(width, width, 3), builder.reshape(attention, flat))
            let sum = builder.add(out, x)
            let gate = builder.matMul(try weight(width, 3 * width, 4), sum)
            let up = builder.matMul(try weight(width, 3 * width, 1), sum)
            let down = builder.matMul(try weight(3 * width, width, 2), builder.glu(.geglu, gate: gate, value: up))
            return try test.values(of: builder.add(down, sum), on: backend)
        }
    }

    private struct Cache {
        var keys: any TensorBuffer
        var values: any TensorBuffer

        init(on backend: CPUBackend) throws {
            keys = try backend.allocate(byteCount: 512 * 128 * 2)
            values = try backend.allocate(byteCount: 512 * 128 * 2)
        }
    }

    private func answer(_ layer: Layer, chunks: [Range<Int>], threads: Int, _ variant: KernelVariant) throws -> [Float] {
        let backend = try CPUBackend(variant: variant, threads: threads)
        let cache = try Cache(on: backend)
        return try chunks.flatMap { try layer.run($0, cache: cache, on: backend) }
    }

    @Test(arguments: variants)
    func givesTheSameBytesForAnyChunksAndThreads(_ variant: KernelVariant) throws {
        let layer = Layer(seed: 51)
        let whole = try answer(layer, chunks: [0..<64], threads: 1, variant)
        #expect(!whole.contains { !$0.isFinite })
        let splits: [[Range<Int>]] = [
            [0..<64], (0..<64).map { $0..<($0 + 1) }, [0..<7, 7..<14, 14..<21, 21..<64], [0..<1, 1..<33, 33..<64],
        ]
        for chunks in splits {
            for threads in [1, 2, 5] {
                let found = try answer(layer, chunks: chunks, threads: threads, variant)
                let same = zip(found, whole).allSatisfy { $0.bitPattern == $1.bitPattern }
                #expect(same && found.count == whole.count, "\(chunks.count) chunks, \(threads) threads")
            }
        }
    }

    /// A column of experts is as it would be in a product of its own.
    @Test(arguments: variants)
    func multipliesByExpertsAsByMatrices(_ variant: KernelVariant) throws {
        var random = SeededRandom(seed: 52)
        let backend = try CPUBackend(variant: variant, threads: 3)
        for type in StoredType.all {
            let element = try #require(ElementType(rawValue: type.number))
            let bytes = type.randomBytes(512 * 48 * 4, &random)
            let x = Dense.random(Shape(512, 1, 23), &random)
            let ids = (0..<46).map { _ in Int32.random(in: 0..<4, using: &random) }
            let test = GraphUnderTest()
            let result = test.builder.matMulID(
                test.input(element, Shape(512, 48, 4), bytes), test.floats(x), ids: test.integers(Shape(2, 23), ids))
            let found = try test.values(of: result, on: backend)
            for column in 0..<46 {
                let one = GraphUnderTest()
                let size = type.byteCount(512 * 48)
                let start = Int(ids[column]) * size
                let product = one.builder.matMul(
                    one.input(element, Shape(512, 48), Array(bytes[start..<(start + size)])),
                    one.floats(Dense(Shape(512), x.row(0, column / 2, 0))))
                let alone = try one.values(of: product, on: backend)
                #expect(Array(found[(column * 48)..<(column * 48 + 48)]) == alone, "\(type.name), column \(column)")
            }
        }
    }

    /// A plan run again gives what it gave, whatever ran between.
    @Test(arguments: variants)
    func runsAgainAfterOtherPlans(_ variant: KernelVariant) throws {
        let backend = try CPUBackend(variant: variant, threads: 2)
        let cache = try Cache(on: backend)
        let layer = Layer(seed: 53)
        let first = try layer.run(0..<5, cache: cache, on: backend)
        _ = try layer.run(5..<40, cache: cache, on: backend)
        let again = try layer.run(0..<5, cache: cache, on: backend)
        #expect(first == again)
    }
}
