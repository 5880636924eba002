import Foundation
import GGUF
import Testing

@Suite struct SplitTests {
    /// A folder with copies of the split fixture's parts.
    static func copy(_ parts: [Int]) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for part in parts {
            let name = "split-0000\(part)-of-00003.gguf"
            try FileManager.default.copyItem(atPath: fixture(name), toPath: folder.path(name))
        }
        return folder
    }

    /// What is missing is named, all of it at once.
    @Test func missingPartsAreNamed() throws {
        let folder = try Self.copy([1])
        let error = #expect(throws: GGUFError.self) { try GGUFFile(path: folder.path("split-00001-of-00003.gguf")) }
        #expect(error?.code == .split)
        #expect(error?.message.contains("split-00002-of-00003.gguf") == true)
        #expect(error?.message.contains("split-00003-of-00003.gguf") == true)
    }

    /// A part that is not the first says which to open.
    @Test func laterPartNamesTheFirst() throws {
        let error = #expect(throws: GGUFError.self) { try GGUFFile(path: fixture("split-00002-of-00003.gguf")) }
        #expect(error?.code == .split)
        #expect(error?.message.contains("split-00001-of-00003.gguf") == true)
    }

    /// A renamed first part cannot find the others, and says how it must be named.
    @Test func renamedFirstPart() throws {
        let folder = try Self.copy([1, 2, 3])
        try FileManager.default.moveItem(
            atPath: folder.path("split-00001-of-00003.gguf"), toPath: folder.path("model.gguf"))
        let error = #expect(throws: GGUFError.self) { try GGUFFile(path: folder.path("model.gguf")) }
        #expect(error?.code == .split)
        #expect(error?.message.contains("-00001-of-00003.gguf") == true)
    }

    /// Parts that were swapped are noticed by their own numbers.
    @Test func swappedParts() throws {
        let folder = try Self.copy([1, 2])
        try FileManager.default.copyItem(
            atPath: folder.path("split-00002-of-00003.gguf"), toPath: folder.path("split-00003-of-00003.gguf"))
        let error = #expect(throws: GGUFError.self) { try GGUFFile(path: folder.path("split-00001-of-00003.gguf")) }
        #expect(error?.code == .split)
        #expect(error?.file.hasSuffix("split-00003-of-00003.gguf") == true)
    }

    /// The total of tensors promised by the first part is held against what is there; names are unique over all parts.
    @Test func totalsAndDuplicates() throws {
        let folder = try TemporaryFolder()
        func write(_ part: Int, tensors: [String], total: Int32) throws {
            var writer = try GGUFWriter()
            try writer.add("split.no", .uint16(UInt16(part)))
            try writer.add("split.count", .uint16(2))
            try writer.add("split.tensors.count", .int32(total))
            for name in tensors { try writer.add(tensor: name, .i8, [3], .bytes([1, 2, 3])) }
            try writer.write(to: folder.path("m-0000\(part + 1)-of-00002.gguf"))
        }
        let path = folder.path("m-00001-of-00002.gguf")
        try write(0, tensors: ["a"], total: 2)
        try write(1, tensors: ["b"], total: 2)
        #expect(try GGUFFile(path: path).tensors.map(\.name) == ["a", "b"])
        try write(0, tensors: ["a"], total: 3)
        #expect(throws: GGUFError.self) { try GGUFFile(path: path) }
        try write(0, tensors: ["b"], total: 2)
        let error = #expect(throws: GGUFError.self) { try GGUFFile(path: path) }
        #expect(error?.code == .duplicate)
    }
}
