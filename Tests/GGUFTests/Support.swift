import Foundation
import GGUF
import Testing

/// A folder that goes away with the last reference to it.
final class TemporaryFolder {
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "gguf-tests-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    func path(_ name: String) -> String { url.appending(path: name).path }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: url.appending(path: name))
        return path(name)
    }
}

/// A file of the repository's `Fixtures/gguf`.
func fixture(_ name: String) -> String {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    return tests.deletingLastPathComponent().appending(path: "Fixtures/gguf/\(name)").path
}

/// A small generator whose sequence depends on the seed alone.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Opens bytes as a file and returns what that throws; nil if it opens.
func refusal(of bytes: [UInt8], in folder: TemporaryFolder) throws -> GGUFError? {
    let path = try folder.write("case.gguf", bytes)
    do throws(GGUFError) {
        _ = try GGUFFile(path: path)
        return nil
    } catch {
        return error
    }
}

/// A file put together by hand, without the writer's checks.
struct RawFile {
    var bytes = [UInt8]()

    init(version: UInt32 = 3, tensors: UInt64, keys: UInt64) {
        bytes = [UInt8]("GGUF".utf8)
        self += version
        self += tensors
        self += keys
    }

    static func += <T: FixedWidthInteger>(file: inout RawFile, value: T) {
        withUnsafeBytes(of: value.littleEndian) { file.bytes.append(contentsOf: $0) }
    }

    static func += (file: inout RawFile, string: String) {
        file += UInt64(string.utf8.count)
        file.bytes.append(contentsOf: string.utf8)
    }

    mutating func tensor(_ name: String, _ extents: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
        self += name
        self += UInt32(extents.count)
        for extent in extents { self += extent }
        self += type
        self += offset
    }

    mutating func data(_ count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: (32 - bytes.count % 32) % 32 + count))
    }
}
