import Foundation
import GGUF
import Tensor
import Testing

/// Files that the Python package `gguf` wrote, against what its own reader finds in them.
@Suite struct ReferenceFileTests {
    struct Expectation: Decodable {
        struct Tensor: Decodable {
            var name: String
            var type: UInt32
            var shape: [Int]
            var offset: Int
            var bytes: Int
            var sum: UInt64
        }
        var keys: [String]
        var tensors: [Tensor]
    }

    static func expectation(_ name: String) throws -> Expectation {
        let data = try Data(contentsOf: URL(filePath: fixture(name + ".json")))
        return try JSONDecoder().decode(Expectation.self, from: data)
    }

    /// Names, types, shapes, places and bytes of tensors are where another program put them.
    @Test(arguments: ["every-type", "aligned-256"]) func tensors(name: String) throws {
        let file = try GGUFFile(path: fixture(name + ".gguf"))
        let expected = try Self.expectation(name)
        #expect(file.metadata.entries.map(\.key) == expected.keys)
        #expect(file.tensors.count == expected.tensors.count)
        for wanted in expected.tensors {
            let tensor = try #require(file.tensor(wanted.name))
            #expect(tensor.type.rawValue == wanted.type)
            #expect((0..<tensor.dimensionCount).map { tensor.shape[$0] } == wanted.shape)
            #expect(tensor.byteOffset == wanted.offset)
            #expect(tensor.byteCount == wanted.bytes)
            let sum = file.region(of: tensor).bytes.reduce(UInt64(0)) { $0 + UInt64($1) }
            #expect(sum == wanted.sum)
        }
    }

    /// Every metadata type decodes to the value that was written.
    @Test func metadata() throws {
        let file = try GGUFFile(path: fixture("every-type.gguf"))
        #expect(try file.string("general.architecture") == "test")
        #expect(try file.integer("test.uint8") == UInt8.max)
        #expect(try file.integer("test.int8") == Int8.min)
        #expect(try file.integer("test.uint16") == UInt16.max)
        #expect(try file.integer("test.int16") == Int16.min)
        #expect(try file.uint32("test.uint32") == .max)
        #expect(try file.integer("test.int32") == Int32.min)
        #expect(try file.integer("test.uint64") == UInt64.max)
        #expect(try file.integer("test.int64") == Int64.min)
        #expect(try file.float("test.float32") == 0.15625)
        #expect(try file.double("test.float64") == 1e-300)
        #expect(try file.bool("test.true"))
        #expect(try !file.bool("test.false"))
        #expect(try file.string("test.string") == "naïve — 😀\n\"quoted\"")
        #expect(try file.array("test.strings").decodedStrings() == ["", "a", "zwei", "三", "\u{0}"])
        #expect(try file.array("test.int32s").integers(as: Int.self) == [1, -2, 3])
        #expect(try file.array("test.int32s").integers(as: UInt.self) == nil)
        #expect(try file.array("test.float32s").floats() == [0.5, -1.25])
        #expect(try file.array("test.bools").bools() == [true, false, true])
        #expect(try file.array("test.uint64s").integers() == [0, UInt64.max])
        #expect(try file.array("test.uint8s").integers() == [0, UInt8.max])
        let nested = try file.array("test.nested").values.map { value in
            guard case .array(let array) = value else { return [Int]() }
            return array.integers() ?? []
        }
        #expect(nested == [[1, 2], [3]])
    }

    /// A missing key and a value of another type are told apart, and named.
    @Test func accessErrors() throws {
        let file = try GGUFFile(path: fixture("every-type.gguf"))
        func code(_ body: () throws(GGUFError) -> Void) -> GGUFError.Code? {
            do throws(GGUFError) { try body() } catch { return error.code }
            return nil
        }
        #expect(code { () throws(GGUFError) in _ = try file.string("none") } == .missingKey)
        #expect(try file.stringIfPresent("none") == nil)
        #expect(try file.uint32IfPresent("none") == nil)
        #expect(code { () throws(GGUFError) in _ = try file.string("test.uint8") } == .wrongType)
        #expect(code { () throws(GGUFError) in _ = try file.uint32("test.uint64") } == .wrongType)
        #expect(code { () throws(GGUFError) in _ = try file.uint32("test.int8") } == .wrongType)
        #expect(try file.float("test.uint8") == 255)
        #expect(code { () throws(GGUFError) in _ = try file.array("test.uint8") } == .wrongType)
        #expect(try file.integers("test.uint8", count: 3) == [255, 255, 255])
        #expect(try file.integers("test.int32s", count: 2) == [1, -2])
        #expect(code { () throws(GGUFError) in _ = try file.integers("test.int32s", count: 4, as: Int.self) } == .wrongType)
    }

    /// The byte order is named instead of guessed at.
    @Test func bigEndian() throws {
        let error = #expect(throws: GGUFError.self) { try GGUFFile(path: fixture("big-endian.gguf")) }
        #expect(error?.code == .bigEndian)
        #expect(error?.description.contains("big-endian") == true)
        #expect(error?.byteOffset == 4)
    }

    /// The first part opens all of them, with each tensor's part and bytes.
    @Test func split() throws {
        let file = try GGUFFile(path: fixture("split-00001-of-00003.gguf"))
        #expect(file.parts.count == 3)
        for part in 0..<3 {
            let expected = try Self.expectation("split-0000\(part + 1)-of-00003")
            for wanted in expected.tensors {
                let tensor = try #require(file.tensor(wanted.name))
                #expect(tensor.part == part)
                #expect(tensor.byteOffset == wanted.offset)
                let sum = file.region(of: tensor).bytes.reduce(UInt64(0)) { $0 + UInt64($1) }
                #expect(sum == wanted.sum)
            }
        }
        #expect(file.tensors.count == 5)
        #expect(try file.string("test.string").hasPrefix("naïve"))
    }
}
