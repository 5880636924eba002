import Foundation
import GGUF
import Testing

@Suite struct InspectionTests {
    /// JSON parses, and says of metadata and tensors what the file says.
    @Test func json() throws {
        let file = try GGUFFile(path: fixture("every-type.gguf"))
        let data = Data(Inspection(file).json().utf8)
        let object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let metadata = try #require(object["metadata"] as? [String: [String: Any]])
        #expect(metadata.count == file.metadata.entries.count)
        #expect(metadata["test.string"]?["value"] as? String == "naïve — 😀\n\"quoted\"")
        #expect(metadata["test.uint64"]?["value"] as? UInt64 == .max)
        #expect(metadata["test.strings"]?["value"] as? [String] == ["", "a", "zwei", "三", "\u{0}"])
        let tensors = try #require(object["tensors"] as? [[String: Any]])
        #expect(tensors.map { $0["name"] as? String } == file.tensors.map(\.name))
        #expect(tensors.map { $0["bytes"] as? Int } == file.tensors.map(\.byteCount))
    }

    /// Long arrays are cut to their beginning unless asked for whole; numbers that JSON lacks stay strings.
    @Test func longArrays() throws {
        let folder = try TemporaryFolder()
        var writer = try GGUFWriter()
        try writer.add("long", .array(.int32, (0..<1000).map { .int32($0) }))
        try writer.add("not a number", .float32(.nan))
        try writer.add("infinite", .float64(-.infinity))
        try writer.write(to: folder.path("a.gguf"))
        let inspection = Inspection(try GGUFFile(path: folder.path("a.gguf")))
        func value(_ key: String, full: Bool) throws -> [String: Any]? {
            let object = try JSONSerialization.jsonObject(with: Data(inspection.json(fullArrays: full).utf8))
            return ((object as? [String: Any])?["metadata"] as? [String: [String: Any]])?[key]
        }
        #expect(try value("long", full: false)?["head"] as? [Int] == Array(0..<8))
        #expect(try value("long", full: false)?["count"] as? Int == 1000)
        #expect(try value("long", full: true)?["value"] as? [Int] == Array(0..<1000))
        #expect(try value("not a number", full: false)?["value"] as? String == "nan")
        #expect(try value("infinite", full: false)?["value"] as? String == "-inf")
    }

    /// Nothing in a file reaches a terminal as a control sequence.
    @Test func escapes() throws {
        let folder = try TemporaryFolder()
        var writer = try GGUFWriter()
        try writer.add("key\u{1b}[2J", .string("\u{1b}]0;title\u{7}\u{202e}evil\r\n"))
        try writer.add(tensor: "t\u{9b}", .i8, [1], .bytes([0]))
        try writer.write(to: folder.path("a.gguf"))
        let text = Inspection(try GGUFFile(path: folder.path("a.gguf"))).text
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || !($0.value < 32 || (127..<160).contains($0.value)) })
        #expect(!text.unicodeScalars.contains("\u{202e}"))
        #expect(text.contains("\\u{1b}"))
    }

    /// The text names the parts of a split model.
    @Test func splits() throws {
        let text = Inspection(try GGUFFile(path: fixture("split-00001-of-00003.gguf"))).text
        #expect(text.contains("split-00003-of-00003.gguf"))
        #expect(text.contains("bf16.weight"))
    }
}
