import Foundation
import NodePeers
import RPCProto
import Testing

/// Which of several tokens counts, and that two are never chosen between in silence.
@Suite struct TokenSourceTests {
    private let text = NetworkTokenTests.text

    @Test(
        arguments: [
            ("t", nil, ["P2P_TOKEN": "e"], .option), (nil, "f", ["P2P_TOKEN": "e"], .file("f")), (nil, "-", [:], .file("-")),
            (nil, nil, ["TOKEN": "c", "LOCALAI_P2P_TOKEN": "b", "P2P_TOKEN": "a"], .variable("P2P_TOKEN")),
            (nil, nil, ["TOKEN": "c", "LOCALAI_P2P_TOKEN": "b"], .variable("LOCALAI_P2P_TOKEN")),
            (nil, nil, ["TOKEN": "c", "LOCALAI_TOKEN": "b"], .variable("LOCALAI_TOKEN")),
            (nil, nil, ["TOKEN": "c", "P2P_TOKEN": ""], .variable("TOKEN")), (nil, nil, ["SWIFTLET_P2P_TOKEN_FILE": "g"], .file("g")),
            // An option is given for this one start, so it does not matter what the environment has.
            ("t", nil, ["TOKEN": "c", "SWIFTLET_P2P_TOKEN_FILE": "g"], .option),
        ] as [(String?, String?, [String: String], TokenSource.Place)])
    func order(text: String?, file: String?, environment: [String: String], place: TokenSource.Place) throws {
        #expect(try TokenSource(text: text, file: file, environment: environment).place() == place)
    }

    @Test func refusals() {
        #expect(throws: TokenSourceError.none) { try TokenSource(environment: ["TOKEN": ""]).place() }
        #expect(throws: TokenSourceError.twice("--p2p-token", "--p2p-token-file")) {
            try TokenSource(text: "a", file: "b", environment: [:]).place()
        }
        #expect(throws: TokenSourceError.twice("TOKEN", "SWIFTLET_P2P_TOKEN_FILE")) {
            try TokenSource(environment: ["TOKEN": "a", "SWIFTLET_P2P_TOKEN_FILE": "b"]).place()
        }
        #expect(throws: TokenSourceError.token(.option, .empty)) { try TokenSource(text: "", environment: ["TOKEN": text]).found() }
        let wrong = #expect(throws: TokenSourceError.self) { try TokenSource(environment: ["P2P_TOKEN": "c2VjcmV0IHdvcmRz"]).found() }
        #expect(wrong?.description.contains("P2P_TOKEN") == true && wrong?.description.contains("c2Vj") == false)
    }

    @Test(arguments: [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o777, true), (nil, false)] as [(UInt32?, Bool)])
    func permissions(mode: UInt32?, warns: Bool) throws {
        let found = try TokenSource(file: "f", environment: [:]).found { [text] _ in TokenFile(text: text, permissions: mode) }
        #expect(!found.warnings.isEmpty == warns)
        #expect(found.token == (try NetworkToken(parsing: text)))
    }

    @Test func networkIDs() throws {
        let source = TokenSource(environment: ["LOCALAI_P2P_NETWORK_ID": "b", "P2P_NETWORK_ID": "a"])
        #expect(try source.networkID(nil) == "a" && source.networkID("c") == "c" && source.networkID("") == "")
        #expect(try TokenSource(environment: [:]).networkID(nil) == "")
        #expect(throws: TokenSourceError.networkID) { try source.networkID(String(repeating: "x", count: 257)) }
    }

    @Test func files() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "token-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let path = folder + "/t"
        let token = NetworkToken.make()
        try TokenFile.write(token, to: path)
        #expect(try TokenFile.read(path) == TokenFile(text: token.text + "\n", permissions: 0o600))
        #expect(try TokenSource(environment: ["SWIFTLET_P2P_TOKEN_FILE": path]).found().token == token)
        // A token that is written over is lost.
        #expect(throws: TokenFileError.self) { try TokenFile.write(NetworkToken.make(), to: path) }
        #expect(try TokenSource(file: path, environment: [:]).found().token == token)
        for wrong in [folder, folder + "/none", "/dev/zero"] {
            #expect(throws: TokenFileError.self) { try TokenFile.read(wrong) }
        }
    }

    @Test func settings() throws {
        #expect(PeersSettings.isSwitchedOn(by: ["P2P": "true"]) && PeersSettings.isSwitchedOn(by: ["LOCALAI_P2P": "1", "P2P": "false"]))
        #expect(!PeersSettings.isSwitchedOn(by: ["LOCALAI_P2P": "false", "P2P": "true"]) && !PeersSettings.isSwitchedOn(by: [:]))
        #expect(try PeersSettings.peer("[fe80::1%eth0]:70") == Endpoint(host: "fe80::1%eth0", port: 70))
        for wrong in ["a", "::1", "[::1]", "a:", "a:0", ":7"] { #expect(throws: EndpointError.self) { try PeersSettings.peer(wrong) } }
        #expect(PeersSettings.announced(name: "ka\u{7}fe\n") == "kafe" && PeersSettings.announced(name: "\n") == nil)
        #expect(PeersSettings.announced(name: String(repeating: "é", count: 40))?.utf8.count == 62)
    }
}
