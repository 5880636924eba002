import KernelTable
import TestSupport
import Testing

@Suite("Conversions between F32 and stored types")
struct ConversionTests {
    static let pairs = VariantUnderTest.all.flatMap { variant in StoredType.all.map { (variant, $0) } }
    static let stored = ["f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "tq1_0", "tq2_0", "mxfp4"]
    /// Types stored by a search or without one in gguf-py, and how far off (root of the mean square, of the values' own)
    /// what comes back may be.
    static let lossy: [(String, Double)] = [
        ("q2_K", 0.35), ("q3_K", 0.17), ("q4_K", 0.08), ("q5_K", 0.04), ("q6_K", 0.025), ("iq4_nl", 0.1), ("iq4_xs", 0.08),
        ("nvfp4", 0.11), ("q2_0", 0.75), ("q1_0", 0.65),
    ]
    static let quantized = StoredType.all.filter { $0.name != "f32" && $0.hasFixture }

    @Test("every variant converts every type", arguments: VariantUnderTest.all)
    func complete(_ variant: VariantUnderTest) {
        for type in StoredType.all {
            #expect(variant.table.conversions[type.number] != nil, "\(variant.name) lacks \(type.name)")
        }
    }

    @Test("stored values become the bits that gguf-py makes of them", arguments: VariantUnderTest.all, quantized)
    func exactlyAsReference(_ variant: VariantUnderTest, _ type: StoredType) throws {
        let kernel = try #require(variant.table.conversions[type.number])
        let blocks = try DequantizeFixture.bytes("\(type.name).blocks")
        let expected = try DequantizeFixture.floats("\(type.name).f32")
        #expect(expected.count == blocks.count / type.blockBytes * type.blockElements)
        var found = [Float](repeating: -1, count: expected.count)
        found.withUnsafeMutableBufferPointer { out in
            blocks.withUnsafeBytes { kernel.toF32($0.baseAddress!, out.baseAddress!, expected.count) }
        }
        let different = expected.indices.filter { expected[$0].bitPattern != found[$0].bitPattern }
        #expect(different.isEmpty, "first at \(different.first ?? -1)")
    }

    @Test("values are stored as the bytes that gguf-py makes of them", arguments: VariantUnderTest.all, stored)
    func storedAsReference(_ variant: VariantUnderTest, _ name: String) throws {
        let type = try #require(StoredType.all.first { $0.name == name })
        let store = try #require(variant.table.conversions[type.number]?.fromF32)
        let values = try DequantizeFixture.floats("to-\(name).f32")
        let expected = try DequantizeFixture.bytes("to-\(name).bytes")
        var found = [UInt8](repeating: 0xaa, count: expected.count)
        found.withUnsafeMutableBytes { store(values, $0.baseAddress!, values.count) }
        let different = expected.indices.filter { expected[$0] != found[$0] }
        #expect(different.isEmpty, "first at \(different.first ?? -1)")
    }

    @Test("stored values come back about as they were", arguments: VariantUnderTest.all, lossy)
    func thereAndBack(_ variant: VariantUnderTest, _ expected: (name: String, error: Double)) throws {
        let type = try #require(StoredType.all.first { $0.name == expected.name })
        let kernel = try #require(variant.table.conversions[type.number])
        let store = try #require(kernel.fromF32)
        var random = SeededRandom(seed: 3)
        // The sum of a few uniform values, nearly normal; the second block is zeros.
        var values = (0..<2048).map { _ in random.floats(4, -1...1).reduce(0, +) }
        for i in 256..<512 { values[i] = 0 }
        var bytes = [UInt8](repeating: 0, count: type.byteCount(2048))
        var back = [Float](repeating: .nan, count: 2048)
        bytes.withUnsafeMutableBytes { store(values, $0.baseAddress!, 2048) }
        kernel.toF32(bytes, &back, 2048)
        let off = zip(values, back).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
        let own = values.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect((off / own).squareRoot() < expected.error, "\((off / own).squareRoot())")
        #expect(back[256..<512].allSatisfy { $0 == 0 })
        // All variants store the same bytes.
        var others = bytes
        let first = try #require(VariantUnderTest.all[0].table.conversions[type.number]?.fromF32)
        others.withUnsafeMutableBytes { first(values, $0.baseAddress!, 2048) }
        #expect(others == bytes)
    }

    @Test("integers and doubles become floats, and floats integers", arguments: VariantUnderTest.all)
    func integers(_ variant: VariantUnderTest) throws {
        func read<T>(_ number: UInt32, _ values: [T]) throws -> [Float] {
            let kernel = try #require(variant.table.conversions[number])
            var found = [Float](repeating: .nan, count: values.count)
            values.withUnsafeBytes { kernel.toF32($0.baseAddress!, &found, values.count) }
            return found
        }
        #expect(try read(TypeNumber.i8, [-128, 0, 127] as [Int8]) == [-128, 0, 127])
        #expect(try read(TypeNumber.i16, [-32768, 5, 32767] as [Int16]) == [-32768, 5, 32767])
        #expect(try read(TypeNumber.i32, [.min, 7, .max] as [Int32]) == [-0x1p31, 7, 0x1p31])
        #expect(try read(TypeNumber.i64, [.min, -9, 1 << 40] as [Int64]) == [-0x1p63, -9, 0x1p40])
        #expect(try read(TypeNumber.f64, [0.5, -1e300] as [Double]) == [0.5, -.infinity])
        let store = try #require(variant.table.conversions[TypeNumber.i32]?.fromF32)
        let values: [Float] = [1.9, -1.9, 0x1p31, -0x1p31, .nan, .infinity]
        var found = [Int32](repeating: 0, count: values.count)
        found.withUnsafeMutableBytes { store(values, $0.baseAddress!, values.count) }
        #expect(found == [1, -1, .min, .min, .min, .min])
    }

    @Test("random blocks are close to the format's definition, and nothing past the end is written", arguments: pairs)
    func closeToDefinition(_ variant: VariantUnderTest, _ type: StoredType) throws {
        let kernel = try #require(variant.table.conversions[type.number])
        var random = SeededRandom(seed: 7)
        for blockCount in [1, 2, 3, 7, 33] {
            let count = blockCount * type.blockElements
            let bytes = type.randomBytes(count, &random)
            var found = [Float](repeating: 777, count: count + 1)
            bytes.withUnsafeBytes { raw in
                found.withUnsafeMutableBufferPointer { kernel.toF32(raw.baseAddress!, $0.baseAddress!, count) }
                for i in 0..<count {
                    let exact = type.element(raw.baseAddress!, i)
                    // At most four roundings of terms that are no larger than 63 · 31 · 0.02.
                    #expect(abs(Double(found[i]) - exact) <= 1e-5 * max(1, abs(exact)), "element \(i)")
                }
            }
            #expect(found[count] == 777)
        }
    }

    @Test("every half goes to F32 and back unchanged", arguments: VariantUnderTest.all)
    func halvesThereAndBack(_ variant: VariantUnderTest) throws {
        let kernel = try #require(variant.table.conversions[TypeNumber.f16])
        let store = try #require(kernel.fromF32)
        let halves = (0..<UInt32(65536)).map { UInt16($0) }.filter { $0 & 0x7fff <= 0x7c00 }
        var floats = [Float](repeating: 0, count: halves.count)
        var back = [UInt16](repeating: 0, count: halves.count)
        floats.withUnsafeMutableBufferPointer { out in
            halves.withUnsafeBytes { kernel.toF32($0.baseAddress!, out.baseAddress!, halves.count) }
        }
        back.withUnsafeMutableBytes { store(floats, $0.baseAddress!, halves.count) }
        #expect(back == halves)
        #expect(zip(halves, floats).allSatisfy { Float(Float16(bitPattern: $0)).bitPattern == $1.bitPattern })
    }

    @Test("storing infinities, NaNs and huge values does not trap", arguments: VariantUnderTest.all)
    func hostileValues(_ variant: VariantUnderTest) throws {
        let odd: [Float] = [.nan, .infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, -0.0, 1, -1]
        let values = (0..<256).map { odd[($0 * 5 + $0 / 32) % odd.count] }
        for type in StoredType.all {
            guard let store = variant.table.conversions[type.number]?.fromF32 else { continue }
            var bytes = [UInt8](repeating: 0, count: type.byteCount(256))
            bytes.withUnsafeMutableBytes { store(values, $0.baseAddress!, 256) }
        }
        // A NaN stays one in the plain types.
        for number in [TypeNumber.f16, TypeNumber.bf16] {
            let kernel = try #require(variant.table.conversions[number])
            var bits: UInt16 = 0
            var value: Float = 0
            kernel.fromF32?([Float(bitPattern: 0x7f80_0001)], &bits, 1)
            kernel.toF32(&bits, &value, 1)
            #expect(value.isNaN)
        }
    }
}
