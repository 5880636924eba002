/// What the nodes of a network have in common, and nobody else may have: a few random words in the form that EdgeVPN and LocalAI use, so
/// that one token serves both.
///
/// It is base64 of a YAML document (``TokenForm``). Descriptions, dumps and error messages never show what is in it; only ``text`` does.
public struct NetworkToken: Hashable, Sendable {
    /// The key of one of EdgeVPN's one-time passwords.
    package struct OneTimeKey: Hashable, Sendable {
        package var key: String
        /// Seconds that a password holds.
        package var interval: Int
        /// Characters of a password.
        package var length: Int
    }

    package var discovery: OneTimeKey
    package var sealing: OneTimeKey
    package var room: String
    package var rendezvous: String

    /// The name under which EdgeVPN's nodes look for each other by multicast; empty if there is none.
    package var mdns: String
    /// Bytes that a message of EdgeVPN's may have.
    public internal(set) var maximumMessageSize: Int

    /// The version of what is ours in the token; 1 if it does not say.
    public internal(set) var version = 1
    /// Addresses at which a network over the internet can be entered; EdgeVPN does not know them.
    public internal(set) var bootstrap: [String] = []
    /// Addresses of nodes that pass on what cannot go directly; EdgeVPN does not know them.
    public internal(set) var relays: [String] = []

    /// Bytes that a token may have, before it is decoded.
    public static let byteCountLimit = 64 << 10

    /// Reads a token. Line breaks and spaces do not matter, nor whether base64 is padded, nor which of its two alphabets it has.
    public init(parsing text: String) throws(TokenError) {
        self = try TokenForm.token(text)
    }

    init(discovery: OneTimeKey, sealing: OneTimeKey, room: String, rendezvous: String, mdns: String, maximumMessageSize: Int) {
        self.discovery = discovery
        self.sealing = sealing
        self.room = room
        self.rendezvous = rendezvous
        self.mdns = mdns
        self.maximumMessageSize = maximumMessageSize
    }

    /// A token of which there has been none: its words are random, 256 bits each.
    public static func make() -> NetworkToken {
        func key() -> OneTimeKey { OneTimeKey(key: word(), interval: TokenForm.interval, length: TokenForm.length) }
        return NetworkToken(
            discovery: key(), sealing: key(), room: word(), rendezvous: word(), mdns: word(), maximumMessageSize: TokenForm.messageSize)
    }

    /// 43 letters and digits, as EdgeVPN has them, by the system's random numbers.
    private static func word() -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
        var random = SystemRandomNumberGenerator()
        return String((0..<TokenForm.length).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] })
    }

    /// The token itself, one line of base64. Whoever has it can join the network.
    public var text: String { TokenForm.text(self) }

    /// Names and addresses in it by which this network is found over the internet or by EdgeVPN; there is no secret in whether there are.
    public var hasMulticastName: Bool { !mdns.isEmpty }

    /// What makes the network: the same for all spellings of a token, and for no two tokens that differ in a key. Each part comes after
    /// its length (8 bytes, little-endian), so that no two sets of parts run together to the same bytes.
    package var keyMaterial: [UInt8] {
        [discovery.key, sealing.key, room, rendezvous].flatMap { part -> [UInt8] in
            let bytes = Array(part.utf8)
            return withUnsafeBytes(of: UInt64(bytes.count).littleEndian) { Array($0) } + bytes
        }
    }

    /// The secrets of one of this token's networks.
    ///
    /// - Parameter networkID: empty for the one that is meant where none is named.
    package func keys(networkID: String = "") -> NetworkKeys {
        NetworkKeys(material: keyMaterial, networkID: networkID.isEmpty ? NetworkKeys.defaultNetworkID : networkID)
    }

    /// The name, in the clear, of one of this token's networks: ``NetworkKeys/tag``.
    public func tag(networkID: String = "") -> String { keys(networkID: networkID).tag }
}

// Logs, dumps and crash reports print values in these ways.
extension NetworkToken: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "a network's token" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: [:], displayStyle: .struct) }
}

extension NetworkToken.OneTimeKey: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package var description: String { "a key of a network's token" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: [:], displayStyle: .struct) }
}
