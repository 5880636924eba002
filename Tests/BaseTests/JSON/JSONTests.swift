import Base
import TestSupport
import Testing

@Suite struct JSONTests {
    @Test(
        "Valid texts become the values they spell",
        arguments: [
            ("null", .null), (" true ", .bool(true)), ("[]", .array([])), ("{}", .object([:])), ("-0", .integer(0)), ("12", .integer(12)),
            ("1.5", .number(1.5)), ("1e3", .number(1000)), ("9223372036854775807", .integer(.max)),
            ("9223372036854775808", .number(9.223372036854775807e18)),
            ("[1,[{\"a\":[]}]]", .array([1, .array([.object(["a": .array([])])])])),
            ("\"a\\u00e9\\ud83d\\ude00\\n\"", .string("aé😀\n")), ("\"é\"", .string("é")),
        ] as [(String, JSONValue)])
    func valid(text: String, value: JSONValue) throws {
        #expect(try JSONValue(parsing: text.utf8) == value)
    }

    @Test(
        "Anything else is refused, with the place",
        arguments: [
            "", " ", "nul", "tru", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "01", "1.", ".5", "+1", "1e", "1e400",
            "-1e999",
            "NaN", "Infinity", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\t\"", "[1]x", "]",
            "{\"a\":1,\"a\":2}",
            "// c", "'a'",
        ])
    func invalid(text: String) {
        let error = #expect(throws: JSONError.self) { try JSONValue(parsing: text.utf8) }
        #expect((0...text.utf8.count).contains(error?.offset ?? -1))
    }

    @Test("Invalid UTF-8 in strings is refused")
    func invalidUTF8() {
        #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0xff, 0x22]) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22, 0x5c, 0x6e, 0xc3, 0x22]) }
    }

    @Test("Nesting and numbers of values are bounded, so no text overflows the stack or fills the memory")
    func limits() throws {
        let deep = String(repeating: "[", count: 100_000)
        #expect(throws: JSONError.self) { try JSONValue(parsing: deep.utf8) }
        let nested = String(repeating: "[", count: 64) + String(repeating: "]", count: 64)
        #expect(throws: Never.self) { try JSONValue(parsing: nested.utf8) }
        #expect(throws: JSONError.self) { try JSONValue(parsing: "[\(nested)]".utf8) }
        let wide = "[" + String(repeating: "1,", count: 100) + "1]"
        #expect(throws: JSONError.self) { try JSONValue(parsing: wide.utf8, limits: JSONLimits(values: 100)) }
    }

    @Test("What is written parses back to the same value")
    func roundTrip() throws {
        var generator = SeededRandom(seed: 1)
        for _ in 0..<500 {
            let value = randomValue(depth: 0, &generator)
            #expect(try JSONValue(parsing: value.utf8) == value)
            #expect(try JSONValue(parsing: value.indented.utf8) == value)
        }
    }

    @Test("Damaged texts never end the process")
    func damage() {
        var generator = SeededRandom(seed: 2)
        for _ in 0..<3000 {
            var bytes = randomValue(depth: 0, &generator).utf8
            for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.removeSubrange(index...)
                default: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: index)
                }
            }
            _ = try? JSONValue(parsing: bytes)
        }
    }

    private func randomValue(depth: Int, _ generator: inout SeededRandom) -> JSONValue {
        switch Int.random(in: 0..<(depth > 4 ? 5 : 7), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .integer(Int.random(in: Int.min...Int.max, using: &generator))
        case 3: return .number(Double.random(in: -1e10...1e10, using: &generator) + 0.123)
        case 4:
            let scalars = (0..<8).compactMap { _ in Unicode.Scalar(UInt32.random(in: 0..<0x11000, using: &generator)) }
            return .string(String(String.UnicodeScalarView(scalars)))
        case 5: return .array((0..<3).map { _ in randomValue(depth: depth + 1, &generator) })
        default:
            var object = JSONObject()
            for index in 0..<3 { object["k\(index)\"\\"] = randomValue(depth: depth + 1, &generator) }
            return .object(object)
        }
    }
}
