import Foundation
import Node
import Testing

@Suite struct InputFormTests {
    @Test("Lists of tokens are separated by commas or white space")
    func tokens() throws {
        #expect(try TokenList.parse("1,2, 3\n4") == [1, 2, 3, 4])
        #expect(try TokenList.parse("") == [])
        #expect(throws: EngineError.self) { try TokenList.parse("1,x") }
        #expect(throws: EngineError.self) { try TokenList.parse("99999999999") }
    }

    @Test("Batches of strings hold any bytes, and broken ones are refused")
    func batch() throws {
        #expect(try StringBatch.parse([]) == [])
        #expect(try StringBatch.parse([2, 0, 0, 0, 65, 255, 0, 0, 0, 0]) == [[65, 255], []])
        #expect(throws: EngineError.self) { try StringBatch.parse([1, 0]) }
        #expect(throws: EngineError.self) { try StringBatch.parse([255, 255, 255, 255, 1]) }
    }

    @Test("Logits are written as little-endian rows, from the first position asked for")
    func logits() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("logits-\(UInt64.random(in: 0 ... .max))").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = try Output(path: path)
        try LogitsFile.write([5, 6, 7], from: MockEvaluator(), .init(first: 1), to: file)
        try file.close()
        let bytes = try Input.bytes(ofFile: path)
        #expect(bytes.count == 2 * 260 * 4)
        #expect(Array(bytes[7 * 4..<8 * 4]) == [0, 0, 0, 0x40])
        #expect(Array(bytes[(260 + 8) * 4..<(260 + 9) * 4]) == [0, 0, 0, 0x40])
    }

    @Test("Files that cannot be read or written are named")
    func absent() {
        #expect(throws: InputError.self) { try Input.bytes(ofFile: "/nonexistent/file") }
        #expect(throws: OutputError.self) { try Output(path: "/nonexistent/file") }
        #expect(throws: InputError.self) { try Input.bytes(ofFile: "/dev/zero", limit: 1000) }
    }
}
