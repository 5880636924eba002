import Foundation
import GGUF
import Tensor
import Testing

@Suite struct RoundTripTests {
    /// Random metadata and tensors come back as they went in, through memory and through a file.
    @Test(arguments: 0..<40) func random(seed: UInt64) throws {
        var random = SplitMix64(seed)
        let folder = try TemporaryFolder()
        let alignment = [1, 8, 32, 64, 4096].randomElement(using: &random) ?? 32
        var writer = try GGUFWriter(alignment: alignment)
        var values = [GGUFWriter.Value]()
        for index in 0..<Int.random(in: 0...20, using: &random) {
            let value = Self.value(depth: 0, &random)
            values.append(value)
            try writer.add("key.\(index)", value)
        }
        var contents = [[UInt8]]()
        for index in 0..<Int.random(in: 0...12, using: &random) {
            let type = ElementType.allCases.randomElement(using: &random) ?? .f32
            let extents = [type.elementsPerBlock * Int.random(in: 0...3, using: &random), Int.random(in: 1...3, using: &random)]
            let size = try #require(type.byteCount(elements: extents[0] * extents[1]))
            let content = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
            contents.append(content)
            try writer.add(tensor: "tensor.\(index)", type, extents, .bytes(content))
        }
        let path = folder.path("a.gguf")
        try writer.write(to: path)
        let bytes = try writer.bytes()
        #expect(try Data(contentsOf: URL(filePath: path)) == Data(bytes))

        let file = try GGUFFile(path: path)
        #expect(file.parts[0].alignment == alignment)
        for (index, value) in values.enumerated() {
            let found = try #require(file.metadata["key.\(index)"])
            #expect(Self.same(found, value))
        }
        for (index, content) in contents.enumerated() {
            let tensor = try #require(file.tensor("tensor.\(index)"))
            #expect(file.region(of: tensor).bytes.elementsEqual(content))
            #expect(tensor.byteCount == 0 || tensor.byteOffset % alignment == 0)
        }

        // Copied value by value, the file comes out the same.
        var copier = try GGUFWriter(alignment: alignment)
        for entry in file.metadata.entries where entry.key != "general.alignment" {
            try copier.add(entry.key, .copy(entry.value))
        }
        for tensor in file.tensors {
            let extents = (0..<tensor.dimensionCount).map { tensor.shape[$0] }
            try copier.add(tensor: tensor.name, tensor.type, extents, .region(file.region(of: tensor)))
        }
        #expect(try copier.bytes() == bytes)
    }

    /// What would be no valid file is refused where it is added.
    @Test func writerRefusals() throws {
        #expect(throws: GGUFError.self) { try GGUFWriter(alignment: 3) }
        #expect(throws: GGUFError.self) { try GGUFWriter(alignment: 0) }
        var writer = try GGUFWriter()
        try writer.add("a", .bool(true))
        #expect(throws: GGUFError.self) { try writer.add("a", .bool(true)) }
        #expect(throws: GGUFError.self) { try writer.add("", .bool(true)) }
        #expect(throws: GGUFError.self) { try writer.add(tensor: "t", .f32, [2], .bytes([1, 2, 3])) }
        #expect(throws: GGUFError.self) { try writer.add(tensor: "t", .q8_0, [31], .bytes([])) }
        #expect(throws: GGUFError.self) { try writer.add(tensor: "t", .f32, [1, 1, 1, 1, 1], .bytes([0, 0, 0, 0])) }
        try writer.add("mixed", .array(.int8, [.int8(1), .uint8(1)]))
        #expect(throws: GGUFError.self) { try writer.bytes() }
    }

    static func value(depth: Int, _ random: inout SplitMix64) -> GGUFWriter.Value {
        let type = GGUFValueType.allCases.randomElement(using: &random) ?? .bool
        return value(depth >= 3 && type == .array ? .string : type, depth: depth, &random)
    }

    static func value(_ type: GGUFValueType, depth: Int, _ random: inout SplitMix64) -> GGUFWriter.Value {
        let bits = random.next()
        switch type {
        case .uint8: return .uint8(UInt8(truncatingIfNeeded: bits))
        case .int8: return .int8(Int8(truncatingIfNeeded: bits))
        case .uint16: return .uint16(UInt16(truncatingIfNeeded: bits))
        case .int16: return .int16(Int16(truncatingIfNeeded: bits))
        case .uint32: return .uint32(UInt32(truncatingIfNeeded: bits))
        case .int32: return .int32(Int32(truncatingIfNeeded: bits))
        case .uint64: return .uint64(bits)
        case .int64: return .int64(Int64(truncatingIfNeeded: bits))
        case .float32: return .float32(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
        case .float64: return .float64(Double(bitPattern: bits))
        case .bool: return .bool(bits & 1 == 1)
        case .string: return .bytes((0..<Int(bits % 40)).map { _ in UInt8.random(in: 0...255, using: &random) })
        case .array:
            var element = GGUFValueType.allCases.randomElement(using: &random) ?? .bool
            if element == .array, depth >= 3 { element = .bool }
            return .array(element, (0..<Int(bits % 6)).map { _ in value(element, depth: depth + 1, &random) })
        }
    }

    static func same(_ found: GGUFValue, _ wanted: GGUFWriter.Value) -> Bool {
        switch (found, wanted) {
        case (.float32(let a), .float32(let b)): a.bitPattern == b.bitPattern
        case (.float64(let a), .float64(let b)): a.bitPattern == b.bitPattern
        case (.bool(let a), .bool(let b)): a == b
        case (.string(let a), .bytes(let b)): a.withUnsafeBytes { $0.elementsEqual(b) }
        case (.array(let a), .array(let type, let b)):
            a.elementType == type && a.count == b.count && Array(a.values).count == b.count
                && zip(a.values, b).allSatisfy { same($0, $1) }
        case (.uint64(let a), .uint64(let b)): a == b
        default: found.type == wanted.type && found.integer(as: Int128.self) == integer(wanted)
        }
    }

    static func integer(_ value: GGUFWriter.Value) -> Int128? {
        switch value {
        case .uint8(let number): Int128(number)
        case .int8(let number): Int128(number)
        case .uint16(let number): Int128(number)
        case .int16(let number): Int128(number)
        case .uint32(let number): Int128(number)
        case .int32(let number): Int128(number)
        case .uint64(let number): Int128(number)
        case .int64(let number): Int128(number)
        default: nil
        }
    }
}
