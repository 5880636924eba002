import Foundation
import NodePeers
import TestSupport
import Testing

/// Tokens come from chats, files and variables of other programs: what EdgeVPN makes is read, what is damaged is refused in words, and no
/// secret shows where values are printed.
@Suite struct NetworkTokenTests {
    /// In the form that EdgeVPN 0.30 makes them, with words of our own.
    static let yaml = """
        otp:
          dht:
            interval: 9000
            key: 5URYX45jqRO25g3uK5kbAAegiuE8LCAnmuO6RvvBfOH
            length: 43
          crypto:
            interval: 9000
            key: Z1FzfnKpcmgfmqSWstSqkNh5brTo21oKpdaZPNtriSP
            length: 43
        room: vMUC6j7OrJ1Bkkz7T3hSiXLBwoh6MdHmBll1fhY4saZ
        rendezvous: PZuRUz8DHWWUd1Qkh8DJvaeKVgfvqPf9QXtQcYbmoGG
        mdns: Sakb7QVH5i5t3iArgygnpm2ogtiJy4iPfCFalm0Otz8
        max_message_size: 20971520

        """
    static let text = encoded(yaml)
    static let secrets = [
        "5URYX45jqRO25g3uK5kbAAegiuE8LCAnmuO6RvvBfOH", "Z1FzfnKpcmgfmqSWstSqkNh5brTo21oKpdaZPNtriSP",
        "vMUC6j7OrJ1Bkkz7T3hSiXLBwoh6MdHmBll1fhY4saZ", "PZuRUz8DHWWUd1Qkh8DJvaeKVgfvqPf9QXtQcYbmoGG",
    ]

    static func encoded(_ yaml: String) -> String { Data(yaml.utf8).base64EncodedString() }
    static func token(_ yaml: String) throws -> NetworkToken { try NetworkToken(parsing: encoded(yaml)) }

    @Test func readsEdgeVPNs() throws {
        let token = try NetworkToken(parsing: Self.text)
        #expect([token.discovery.key, token.sealing.key, token.room, token.rendezvous] == Self.secrets)
        #expect(token.discovery.interval == 9000 && token.sealing.length == 43 && token.hasMulticastName)
        #expect(token.maximumMessageSize == 20_971_520 && token.version == 1 && token.bootstrap.isEmpty && token.relays.isEmpty)
        // The same bytes that EdgeVPN would write.
        #expect(token.text == Self.text)
    }

    /// The network of a token must never change: nodes of several versions would not find each other.
    @Test func networkIsFixed() throws {
        let token = try NetworkToken(parsing: Self.text)
        #expect(token.keyMaterial.count == 4 * (8 + 43))
        #expect(token.keyMaterial.prefix(9) == [43, 0, 0, 0, 0, 0, 0, 0, UInt8(ascii: "5")])
        #expect(token.tag() == "e37519632778553c")
        #expect(token.tag(networkID: "kitchen") == "26eb13279bd4ba85")
    }

    @Test func spellingDoesNotMatter() throws {
        let token = try NetworkToken(parsing: Self.text)
        let bare = Self.text.replacing("=", with: "")
        let wrapped = Self.text.enumerated().map { $0.offset % 64 == 63 ? "\($0.element)\r\n" : "\($0.element)" }.joined()
        for text in [bare, wrapped, "  \(Self.text)\n\n", Self.text.replacing("+", with: "-").replacing("/", with: "_")] {
            #expect(try NetworkToken(parsing: text) == token)
        }
        let other = """
            # by hand
            rendezvous: "\(Self.secrets[3])"
            room: '\(Self.secrets[2])'
            unknown: [1, {a: b}]
            otp: {crypto: {key: \(Self.secrets[1])}, dht: {key: \(Self.secrets[0]), interval: 360}, later: ~}
            """
        let sparse = try Self.token(other)
        #expect(sparse.keyMaterial == token.keyMaterial && sparse.tag() == token.tag())
        #expect(sparse.discovery.interval == 360 && !sparse.hasMulticastName && sparse.maximumMessageSize == 20_971_520)
    }

    /// URL-safe digits only matter where there are any.
    @Test func urlSafe() throws {
        let yaml = Self.yaml + "bootstrap: [\"~~~???>>>\", \"\u{ff}\u{fe}?~\"]\n"
        let text = Self.encoded(yaml)
        #expect(text.contains("+") || text.contains("/"))
        let token = try NetworkToken(parsing: text)
        #expect(try NetworkToken(parsing: text.replacing("+", with: "-").replacing("/", with: "_")) == token)
        #expect(token.bootstrap == ["~~~???>>>", "\u{ff}\u{fe}?~"])
    }

    @Test func ours() throws {
        let token = try Self.token(Self.yaml + "v: 1\nbootstrap:\n- \"[2001:db8::1]:7000\"\n- b.example:7000\nrelay: [r.example:1]\n")
        #expect(token.bootstrap == ["[2001:db8::1]:7000", "b.example:7000"] && token.relays == ["r.example:1"])
        #expect(try NetworkToken(parsing: token.text) == token)
    }

    /// Two sets of keys never run together to the same bytes.
    @Test func materialIsUnambiguous() throws {
        func material(_ parts: [String]) throws -> [UInt8] {
            try Self.token(
                "otp: {dht: {key: \"\(parts[0])\"}, crypto: {key: \"\(parts[1])\"}}\nroom: \"\(parts[2])\"\nrendezvous: \"\(parts[3])\"\n"
            ).keyMaterial
        }
        let sets = [
            ["aaaaaaaaaaaaaaaab", "b", "c", "d"], ["aaaaaaaaaaaaaaaa", "bb", "c", "d"], ["aaaaaaaaaaaaaaaa", "bbc", "c", "d"],
            ["aaaaaaaaaaaaaaaa", "bb", "cc", "d"], ["aaaaaaaaaaaaaaaa", "bb", "d", "c"], ["bb", "aaaaaaaaaaaaaaaa", "c", "d"],
        ]
        #expect(Set(try sets.map(material)).count == sets.count)
    }

    @Test func made() throws {
        var tags: Set<String> = []
        for _ in 0..<200 {
            let token = NetworkToken.make()
            #expect(try NetworkToken(parsing: token.text) == token)
            for word in [token.discovery.key, token.sealing.key, token.room, token.rendezvous, token.mdns] {
                #expect(
                    word.utf8.count == 43
                        && word.utf8.allSatisfy { UnicodeScalar($0).properties.isAlphabetic || (0x30...0x39).contains($0) })
            }
            #expect(!token.text.contains { $0.isWhitespace })
            tags.insert(token.tag())
        }
        #expect(tags.count == 200)
    }

    /// What a token holds survives being written, whatever it is.
    @Test func writesWhatItReads() throws {
        for word in ["true", "null", "~", "1234567", "0x10", "a: b", "- x", "\"quoted\" \\", "R\\u0026D", "ключ", "a b", "\u{1F511}"] {
            let quoted = word == "R\\u0026D" ? word : word.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            let token = try Self.token(Self.yaml.replacing(Self.secrets[2], with: "\"\(quoted)\""))
            if word != "R\\u0026D" { #expect(token.room == word) }
            #expect(try NetworkToken(parsing: token.text) == token)
        }
    }

    // MARK: refusals

    @Test(
        arguments: [
            ("", .empty), ("\n  \n", .empty), ("====", .notBase64), ("a", .notBase64), ("abc=d", .notBase64), ("ab===", .notBase64),
            ("кл", .notBase64), ("!!!!", .notBase64), (String(repeating: "A", count: (64 << 10) + 1), .tooLong(limit: 64 << 10)),
            (Data([0xff, 0xfe, 0x80]).base64EncodedString(), .notUTF8), (encoded("a: [b"), .notYAML), (encoded("just words"), .notMapping),
            (encoded("- a\n- b"), .notMapping), (encoded("# nothing"), .notYAML), (encoded("a: b\na: c"), .notYAML),
            (encoded("a: b\n---\nc: d"), .notYAML), (encoded("a: &x b\nc: *x"), .hasAliases), (encoded("a: b"), .missing(key: "otp")),
            (encoded("otp: x"), .wrongKind(key: "otp", expected: "a mapping")), (encoded(yaml + "v: 2"), .tooNew(version: 2)),
            (encoded(yaml.replacing("room:", with: "rooms:")), .missing(key: "room")),
            (encoded(yaml.replacing("rendezvous: ", with: "rendezvous: # ")), .missing(key: "rendezvous")),
            (encoded(yaml.replacing("crypto:", with: "cripto:")), .missing(key: "otp.crypto")),
            (encoded(yaml.replacing("key: Z", with: "kez: Z")), .missing(key: "otp.crypto.key")),
            (encoded(yaml.replacing("key: 5", with: "key: ~ # 5")), .missing(key: "otp.dht.key")),
            (
                encoded(yaml.replacing("interval: 9000", with: "interval: soon")),
                .wrongKind(key: "otp.dht.interval", expected: "a whole number")
            ),
            (
                encoded(yaml.replacing("interval: 9000", with: "interval: 0")),
                .outOfRange(key: "otp.dht.interval", range: 1...Int(Int32.max))
            ),
            (
                encoded(yaml.replacing("20971520", with: "99999999999999999999")),
                .wrongKind(key: "max_message_size", expected: "a whole number")
            ),
            (
                encoded(yaml.replacing("room: ", with: "room: [").replacing("\nrendezvous", with: "]\nrendezvous")),
                .wrongKind(key: "room", expected: "a text")
            ),
            (encoded(yaml + "relay: here"), .wrongKind(key: "relay", expected: "a list of at most 64 texts")),
            (encoded("otp: {dht: {key: abc}, crypto: {key: def}}\nroom: r\nrendezvous: s"), .guessable(leastByteCount: 16)),
        ] as [(String, TokenError)])
    func refuses(text: String, error: TokenError) {
        #expect(throws: error) { try NetworkToken(parsing: text) }
    }

    /// A parser that goes into itself must not be led deep, nor be kept busy by aliases of aliases.
    private static let hostileYAML = [
        String(repeating: "[", count: 40_000), String(repeating: "{a: ", count: 10_000), String(repeating: "- ", count: 20_000) + "x",
        String(repeating: "? ", count: 20_000) + "x", (0..<300).map { String(repeating: " ", count: $0) + "a:\n" }.joined(),
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + (1..<30).map { "? &b\($0) [\(Array(repeating: $0 == 1 ? "*a" : "*b\($0 - 1)", count: 9).joined(separator: ","))]\n: x\n" }
            .joined(),
        String(repeating: "a: b\n", count: 9000), String(repeating: "]", count: 9000) + String(repeating: "[", count: 9000),
        (0..<4000).map { "a\($0): b\n" }.joined(),
    ]

    @Test(arguments: hostileYAML.indices) func hostile(index: Int) {
        #expect(throws: TokenError.self) { try Self.token(Self.hostileYAML[index]) }
    }

    @Test func randomBytes() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<50_000 {
            let bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(throws: TokenError.self) { try NetworkToken(parsing: String(decoding: bytes, as: UTF8.self)) }
            #expect(throws: TokenError.self) { try NetworkToken(parsing: Data(bytes).base64EncodedString()) }
        }
    }

    /// A changed token is another token or none; one that is taken can be written and read again, and what is said of one that is not shows
    /// nothing of it.
    @Test func mutatedTokens() throws {
        var random = SeededRandom(seed: 2)
        let original = Array(Self.yaml.utf8)
        let pieces = [
            "{", "}", "[", "]", ":", " ", "\n", "-", "?", "!", "|", ">", "%", "\"", "'", "#", ",", "\t", "\u{0}", "\u{85}", "~", "---\n",
            "...\n", "!!binary ",
        ]
        var taken = 0
        for round in 0..<50_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(contentsOf: pieces.randomElement(using: &random)?.utf8.map { $0 } ?? [], at: place)
                default: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1..<60, using: &random)))
                }
            }
            var text = Data(bytes).base64EncodedString()
            if round % 4 == 0 { text = String(text.prefix(Int.random(in: 0...text.count, using: &random))) }
            do throws(TokenError) {
                let token = try NetworkToken(parsing: text)
                taken += 1
                let again = try NetworkToken(parsing: token.text)
                if again != token { Issue.record("round \(round): not the same when read again: \(text)") }
            } catch {
                let message = "\(error)"
                if Self.secrets.contains(where: { message.contains($0.prefix(6)) }) { Issue.record("round \(round): \(message)") }
            }
        }
        #expect(taken > 1000)
    }

    // MARK: what is printed

    @Test func secretsDoNotShow() throws {
        let token = try NetworkToken(parsing: Self.text)
        var dumped = ""
        dump(token, to: &dumped)
        dump(token.discovery, to: &dumped)
        dump([token], to: &dumped)
        let settings = PeersSettings(token: token, name: "a")
        dump(settings, to: &dumped)
        let printed = [
            "\(token)", String(describing: token), String(reflecting: token), "\(token.sealing)", String(reflecting: token.sealing),
            "\([token])", "\(Optional(token) as Any)", "\(settings)", String(reflecting: settings), dumped,
            TokenListing.text(token, networkID: "", json: false), TokenListing.text(token, networkID: "x", json: true),
        ]
        for text in printed {
            for secret in Self.secrets + [token.mdns, String(Self.text.prefix(40))] { #expect(!text.contains(secret.prefix(8))) }
        }
    }

    /// A terminal obeys some characters, and a token's lists come from whoever made it.
    @Test func listing() throws {
        let token = try Self.token(Self.yaml + "relay: [\"\\e[2Jx\"]\n")
        let text = TokenListing.text(token, networkID: "kitchen", json: false)
        #expect(!text.contains("\u{1b}") && text.contains("kitchen") && text.contains(token.tag(networkID: "kitchen")))
        #expect(text.split(separator: "\n").count == 8)
    }
}
