import Foundation
import Node
import Synchronization
import TestSupport
import Testing

@Suite struct TensorHashesTests {
    /// A folder that goes with the test.
    private final class Folder {
        let path: String

        init() throws {
            path = FileManager.default.temporaryDirectory.appendingPathComponent("hashes-\(UInt64.random(in: 0 ... .max))").path
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        var model: String { path + "/model.gguf" }
        var hashes: String { model + ".hashes" }
        /// A cache folder of its own, so that no test touches the user's.
        var environment: [String: String] { ["XDG_CACHE_HOME": path + "/cache"] }

        func write(_ bytes: [UInt8], to path: String, at time: Int = 1_700_000_000) throws {
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            let date = Date(timeIntervalSince1970: Double(time))
            try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: path)
        }
    }

    /// What came of asking for all tensors.
    private struct Found {
        var byName: [String: UInt64]
        var computedCount: Int
        var computedByteCount: Int
        var path: String?
        var complaint: String?
    }

    private static let content = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }

    /// Tensors of one file, given as their places in it.
    private func load(
        _ folder: Folder, _ ranges: [(String, Range<Int>)], _ bytes: [UInt8] = content, paths: [String]? = nil, threads: Int = 2,
        progress: (@Sendable (Int, Int) -> Void)? = nil
    ) -> Found {
        bytes.withUnsafeBytes { bytes in
            let tensors = ranges.map { name, range in
                TensorHashes.Source(
                    name: name, part: 0, byteOffset: range.lowerBound, bytes: UnsafeRawBufferPointer(rebasing: bytes[range]))
            }
            let hashes = TensorHashes(modelPaths: paths ?? [folder.model], threads: threads, environment: folder.environment)
            let missing = tensors.count { hashes.known($0) == nil }
            let list = hashes.hashes(of: tensors, progress: progress)
            return Found(
                byName: Dictionary(zip(tensors.map(\.name), list)) { first, _ in first }, computedCount: missing,
                computedByteCount: hashes.computedByteCount, path: hashes.path, complaint: hashes.complaint)
        }
    }

    private static func plain(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    @Test("The hash is FNV-1a, by its published examples")
    func examples() throws {
        let folder = try Folder()
        let text = Array("afoobar".utf8)
        try folder.write(text, to: folder.model)
        let hashes = load(folder, [("none", 0..<0), ("a", 0..<1), ("foobar", 1..<7)], text)
        #expect(hashes.byName == ["none": 0xcbf2_9ce4_8422_2325, "a": 0xaf63_dc4c_8601_ec8c, "foobar": 0x8594_4171_f739_67e8])
    }

    @Test("Contents of any number and size are hashed as one by one, on any number of threads")
    func interleaving() throws {
        var generator = SeededRandom(seed: 3)
        for count in [1, 2, 3, 4, 5, 9, 40] {
            let folder = try Folder()
            try folder.write(Self.content, to: folder.model)
            let ranges = (0..<count).map { index in
                let start = Int.random(in: 0..<90_000, using: &generator)
                return ("t\(index)", start..<start + Int.random(in: 0...10_000, using: &generator))
            }
            let told = Mutex((done: 0, total: 0))
            let hashes = load(folder, ranges, threads: count % 3 + 1) { done, total in told.withLock { $0 = (done, total) } }
            for (name, range) in ranges { #expect(hashes.byName[name] == Self.plain(Self.content[range])) }
            let sum = ranges.reduce(0) { $0 + $1.1.count }
            #expect(told.withLock { $0.done == sum && $0.total == sum })
            #expect(hashes.computedByteCount == sum)
        }
    }

    @Test("A second load computes nothing, another tensor only itself, and both stay")
    func secondLoad() throws {
        let folder = try Folder()
        try folder.write(Self.content, to: folder.model)
        let first = load(folder, [("a b", 0..<70_000), ("c", 70_000..<99_000)])
        #expect(first.computedCount == 2)
        #expect(first.path == folder.hashes)
        let second = load(folder, [("a b", 0..<70_000), ("c", 70_000..<99_000)])
        #expect(second.computedCount == 0)
        #expect(second.byName == first.byName)
        #expect(second.path == folder.hashes)
        #expect(load(folder, [("d", 5..<50)]).computedCount == 1)
        #expect(load(folder, [("a b", 0..<70_000), ("d", 5..<50)]).computedCount == 0)
        // A tensor is known by its place, not by its name alone.
        #expect(load(folder, [("d", 6..<51)]).computedCount == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["model.gguf", "model.gguf.hashes"])
    }

    @Test("A changed file is hashed again, whether size or time tells")
    func change() throws {
        let folder = try Folder()
        try folder.write(Self.content, to: folder.model)
        let first = load(folder, [("a", 0..<50_000)])
        var other = Self.content
        other[7] ^= 1
        try folder.write(other, to: folder.model, at: 1_700_000_001)
        let second = load(folder, [("a", 0..<50_000)], other)
        #expect(second.computedCount == 1)
        #expect(second.byName != first.byName)
        try folder.write(other + [0], to: folder.model, at: 1_700_000_001)
        #expect(load(folder, [("a", 0..<50_000)], other).computedCount == 1)
    }

    @Test("All parts of a split model must be as they were; one that is not there makes nothing be kept")
    func parts() throws {
        let folder = try Folder()
        let second = folder.path + "/second.gguf"
        try folder.write(Self.content, to: folder.model)
        try folder.write(Self.content, to: second)
        let paths = [folder.model, second]
        #expect(load(folder, [("a", 0..<50)], paths: paths).computedCount == 1)
        #expect(load(folder, [("a", 0..<50)], paths: paths).computedCount == 0)
        try folder.write(Self.content, to: second, at: 1_700_000_002)
        #expect(load(folder, [("a", 0..<50)], paths: paths).computedCount == 1)
        let missing = load(folder, [("a", 0..<50)], paths: [folder.model, folder.path + "/none"])
        #expect(missing.byName["a"] == Self.plain(Self.content[0..<50]))
        #expect(missing.path == nil)
        #expect(missing.complaint != nil)
    }

    @Test("A file that changes while it is hashed is not remembered")
    func changeMeanwhile() throws {
        let folder = try Folder()
        try folder.write(Self.content, to: folder.model)
        let model = folder.model
        let hashes = load(folder, [("a", 0..<50_000)]) { _, _ in
            try? FileManager.default.setAttributes([.modificationDate: Date(timeIntervalSince1970: 5)], ofItemAtPath: model)
        }
        #expect(hashes.path == nil)
        #expect(!FileManager.default.fileExists(atPath: folder.hashes))
    }

    @Test("A damaged or hostile file of hashes is ignored as a whole")
    func damage() throws {
        let folder = try Folder()
        try folder.write(Self.content, to: folder.model)
        let good = load(folder, [("a", 0..<500), ("b", 500..<900)])
        let text = try String(contentsOfFile: folder.hashes, encoding: .utf8)
        let lines = text.split(separator: "\n").map(String.init)
        var bad = [
            "", "\n", "swiftlet tensor hashes 1", text + "x\n", text + "\n", String(text.dropLast()),
            text.replacingOccurrences(of: " 1\n", with: " 2\n"),
            text.replacingOccurrences(of: lines[1], with: "file 5 5"), text.replacingOccurrences(of: lines[1] + "\n", with: ""),
            lines[0] + "\n" + lines[1] + "\n" + lines[1] + "\n" + lines[2] + "\n",
            text + "0123456789abcdef 1 0 5 c\n", text + "0123456789abcdef 0 -1 5 c\n", text + "0123456789abcdeg 0 1 5 c\n",
            text + "123 0 1 5 c\n", text + "0123456789abcdef 0 99999999999999999999999 5 c\n", text + "0123456789abcdef 0 1 5\n",
            text.replacingOccurrences(of: "\n", with: "\r\n"), String(repeating: "file ", count: 100_000) + "\n",
        ].map { Array($0.utf8) }
        bad.append(Array(text.utf8) + [0xff, 0x0a])
        bad.append([UInt8](repeating: 0x20, count: (16 << 20) + 1))
        for content in bad {
            try folder.write(content, to: folder.hashes)
            let again = load(folder, [("a", 0..<500), ("b", 500..<900)])
            #expect(again.byName == good.byName)
            #expect(again.computedCount == 2, "\(String(decoding: content.prefix(200), as: UTF8.self))")
            #expect(try String(contentsOfFile: folder.hashes, encoding: .utf8) == text)
        }
        // A pipe is not waited for.
        try FileManager.default.removeItem(atPath: folder.hashes)
        #expect(mkfifo(folder.hashes, 0o600) == 0)
        #expect(load(folder, [("a", 0..<500)]).computedCount == 1)
    }

    @Test("Names that would break a line are hashed and not kept")
    func names() throws {
        let folder = try Folder()
        try folder.write(Self.content, to: folder.model)
        let ranges = [("a\nb", 0..<9), ("é ü", 9..<20), ("", 20..<30)]
        #expect(load(folder, ranges).byName.count == 3)
        let again = load(folder, ranges)
        #expect(again.computedCount == 1)
        #expect(again.byName["a\nb"] == Self.plain(Self.content[0..<9]))
    }

    @Test("Where nothing can be written beside the model, hashes go to the user's cache folder, else nowhere")
    func fallback() throws {
        let folder = try Folder()
        try folder.write(Self.content, to: folder.model)
        // A folder in the file's place stops every user.
        try FileManager.default.createDirectory(atPath: folder.hashes + "/x", withIntermediateDirectories: true)
        let first = load(folder, [("a", 0..<500)])
        #expect(first.path?.hasPrefix(folder.path + "/cache/swiftlet/hashes/") == true)
        #expect(first.complaint == nil)
        #expect(load(folder, [("a", 0..<500)]).computedCount == 0)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == ["cache", "model.gguf", "model.gguf.hashes"])

        try FileManager.default.removeItem(atPath: folder.path + "/cache")
        try folder.write([], to: folder.path + "/cache")
        let nowhere = load(folder, [("a", 0..<500)])
        #expect(nowhere.byName == first.byName)
        #expect(nowhere.path == nil)
        #expect(nowhere.complaint?.contains("model.gguf.hashes") == true)
    }
}
