import GGUF
import Testing

/// Each lie that a file can tell about itself, one at a time, and the code and place its refusal names.
@Suite struct RefusalTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    func code(_ bytes: [UInt8]) throws -> GGUFError.Code? { try refusal(of: bytes, in: folder)?.code }

    @Test func header() throws {
        #expect(try code([]) == .notGGUF)
        #expect(try code([UInt8]("GG".utf8)) == .truncated)
        #expect(try code([UInt8]("PK\u{3}\u{4}xxxxxxxxxxxxxxxxxxxxxxxx".utf8)) == .notGGUF)
        #expect(try code([UInt8]("tjggxxxxxxxxxxxxxxxxxxxxxxxx".utf8)) == .notGGUF)
        let old = try refusal(of: RawFile(version: 1, tensors: 0, keys: 0).bytes, in: folder)
        #expect(old?.code == .unsupportedVersion)
        #expect(old?.message.contains("version 1") == true)
        #expect(try code(RawFile(version: 0, tensors: 0, keys: 0).bytes) == .unsupportedVersion)
        #expect(try code(RawFile(version: 4, tensors: 0, keys: 0).bytes) == .unsupportedVersion)
        #expect(try code(RawFile(version: UInt32(3).byteSwapped, tensors: 0, keys: 0).bytes) == .bigEndian)
        #expect(try code(RawFile(version: 2, tensors: 0, keys: 0).bytes) == nil)
    }

    @Test func counts() throws {
        for count in [UInt64(1), 1 << 20, 1 << 40, 1 << 62] {
            #expect(try code(RawFile(tensors: count, keys: 0).bytes) == .truncated)
            #expect(try code(RawFile(tensors: 0, keys: count).bytes) == .truncated)
        }
        #expect(try code(RawFile(tensors: .max, keys: 0).bytes) == .malformed)
        #expect(try code(RawFile(tensors: 0, keys: 1 << 63).bytes) == .malformed)
    }

    func withValue(type: UInt32, _ build: (inout RawFile) -> Void) -> [UInt8] {
        var file = RawFile(tensors: 0, keys: 1)
        file += "key"
        file += type
        build(&file)
        return file.bytes
    }

    @Test func values() throws {
        #expect(try code(withValue(type: 13) { $0 += UInt64(0) }) == .malformed)
        #expect(try code(withValue(type: 7) { $0 += UInt8(2) }) == .malformed)
        #expect(try code(withValue(type: 7) { $0 += UInt8(1) }) == nil)
        #expect(try code(withValue(type: 10) { $0 += UInt32(1) }) == .truncated)
        #expect(try code(withValue(type: 8) { $0 += UInt64.max }) == .malformed)
        #expect(try code(withValue(type: 8) { $0 += UInt64(1) << 62 }) == .truncated)
        #expect(try code(withValue(type: 8) { $0 += UInt64(1) }) == .truncated)
    }

    func withArray(type: UInt32, count: UInt64, _ build: (inout RawFile) -> Void = { _ in }) -> [UInt8] {
        withValue(type: 9) {
            $0 += type
            $0 += count
            build(&$0)
        }
    }

    @Test func arrays() throws {
        #expect(try code(withArray(type: 4, count: 0)) == nil)
        #expect(try code(withArray(type: 99, count: 0)) == .malformed)
        #expect(try code(withArray(type: 4, count: 1 << 62)) == .truncated)
        #expect(try code(withArray(type: 12, count: 1 << 61)) == .truncated)
        #expect(try code(withArray(type: 8, count: 1 << 60)) == .truncated)
        #expect(try code(withArray(type: 9, count: 1 << 60)) == .truncated)
        #expect(try code(withArray(type: 4, count: .max)) == .malformed)
        #expect(try code(withArray(type: 8, count: 1) { $0 += UInt64(5) }) == .truncated)
        #expect(try code(withArray(type: 7, count: 3) { $0.bytes += [0, 1, 7] }) == .malformed)
    }

    @Test func nesting() throws {
        func nested(_ depth: Int) -> [UInt8] {
            withValue(type: 9) {
                for _ in 1..<depth {
                    $0 += UInt32(9)
                    $0 += UInt64(1)
                }
                $0 += UInt32(4)
                $0 += UInt64(0)
            }
        }
        #expect(try code(nested(GGUFFile.Limits.nesting)) == nil)
        #expect(try code(nested(GGUFFile.Limits.nesting + 1)) == .limit)
        #expect(try code(nested(100_000)) == .limit)
    }

    @Test func names() throws {
        #expect(try code(RawFile.keys([""])) == .malformed)
        #expect(try code(RawFile.keys(["a", "b", "a"])) == .duplicate)
        #expect(try code(RawFile.keys([String(repeating: "k", count: 65535)])) == nil)
        #expect(try code(RawFile.keys([String(repeating: "k", count: 65536)])) == .limit)
        var invalid = RawFile(tensors: 0, keys: 1)
        invalid += UInt64(2)
        invalid.bytes += [0xc3, 0x28]
        invalid += UInt32(0)
        invalid += UInt8(0)
        #expect(try code(invalid.bytes) == .malformed)
        #expect(try code(RawFile.tensor(String(repeating: "n", count: 63), [1], data: 4)) == nil)
        #expect(try code(RawFile.tensor(String(repeating: "n", count: 64), [1], data: 4)) == .limit)
    }

    @Test func alignment() throws {
        func aligned(_ build: (inout RawFile) -> Void) throws -> GGUFError.Code? {
            var file = RawFile(tensors: 0, keys: 1)
            file += "general.alignment"
            build(&file)
            return try code(file.bytes)
        }
        func number(_ value: UInt32) throws -> GGUFError.Code? {
            try aligned {
                $0 += UInt32(4)
                $0 += value
            }
        }
        for good in [1, 8, 32, 4096, 1 << 31] as [UInt32] { #expect(try number(good) == nil) }
        for bad in [0, 3, 48, .max] as [UInt32] { #expect(try number(bad) == .malformed) }
        #expect(
            try aligned {
                $0 += UInt32(10)
                $0 += UInt64(32)
            } == .malformed)
    }

    @Test func shapes() throws {
        #expect(try code(RawFile.tensor("t", [], data: 4)) == nil)
        #expect(try code(RawFile.tensor("t", [1, 1, 1, 1], data: 4)) == nil)
        #expect(try code(RawFile.tensor("t", [1, 1, 1, 1, 1], data: 4)) == .malformed)
        #expect(try code(RawFile.tensor("t", [.max], data: 4)) == .malformed)
        #expect(try code(RawFile.tensor("t", [1 << 32, 1 << 32], data: 4)) == .malformed)
        #expect(try code(RawFile.tensor("t", [1 << 62], data: 4)) == .malformed)
        #expect(try code(RawFile.tensor("t", [1 << 60], data: 4)) == .extent)
        #expect(try code(RawFile.tensor("t", [0, 5], data: 0)) == nil)
        #expect(try code(RawFile.tensor("t", [33], type: 8, data: 68)) == .malformed)
        #expect(try code(RawFile.tensor("t", [64], type: 8, data: 68)) == nil)
    }

    @Test func types() throws {
        for withdrawn in [4, 5, 31, 32, 33, 36, 37, 38] as [UInt32] {
            let error = try refusal(of: RawFile.tensor("old", [256], type: withdrawn, data: 1024), in: folder)
            #expect(error?.code == .withdrawnElementType)
            #expect(error?.message.contains("\"old\"") == true)
            #expect(error?.message.contains("\(withdrawn)") == true)
        }
        for unknown in [43, 1000, .max] as [UInt32] {
            let error = try refusal(of: RawFile.tensor("new", [256], type: unknown, data: 1024), in: folder)
            #expect(error?.code == .unknownElementType)
            #expect(error?.message.contains("\"new\"") == true)
            #expect(error?.message.contains("\(unknown)") == true)
        }
    }

    @Test func places() throws {
        #expect(try code(RawFile.tensor("t", [8], data: 31)) == .extent)
        #expect(try code(RawFile.tensor("t", [8], data: 32)) == nil)
        #expect(try code(RawFile.tensor("t", [8], offset: 4, data: 64)) == .extent)
        #expect(try code(RawFile.tensor("t", [8], offset: 32, data: 64)) == nil)
        #expect(try code(RawFile.tensor("t", [8], offset: 1 << 62, data: 64)) == .extent)
        #expect(try code(RawFile.tensor("t", [8], offset: .max - 31, data: 64)) == .extent)
        var overlapping = RawFile(tensors: 2, keys: 0)
        overlapping.tensor("a", [16])
        overlapping.tensor("b", [8], offset: 32)
        overlapping.data(64)
        let error = try refusal(of: overlapping.bytes, in: folder)
        #expect(error?.code == .extent)
        #expect(error?.message.contains("overlap") == true)
        var twice = RawFile(tensors: 2, keys: 0)
        twice.tensor("a", [8])
        twice.tensor("a", [8], offset: 32)
        twice.data(64)
        #expect(try code(twice.bytes) == .duplicate)
    }

    /// What is no file at all is refused by the system's own words.
    @Test func notAFile() throws {
        for path in [folder.path("absent.gguf"), folder.url.path, "/dev/null"] {
            let error = #expect(throws: GGUFError.self) { try GGUFFile(path: path) }
            #expect(error?.code == .system)
            #expect(error?.file == path)
        }
    }
}

extension RawFile {
    static func keys(_ keys: [String]) -> [UInt8] {
        var file = RawFile(tensors: 0, keys: UInt64(keys.count))
        for key in keys {
            file += key
            file += UInt32(0)
            file += UInt8(0)
        }
        return file.bytes
    }

    static func tensor(
        _ name: String, _ extents: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, data: Int
    ) -> [UInt8] {
        var file = RawFile(tensors: 1, keys: 0)
        file.tensor(name, extents, type: type, offset: offset)
        file.data(data)
        return file.bytes
    }
}
