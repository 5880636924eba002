internal import Crypto
internal import Foundation

/// A node's own key, by which it is known: its id is the digest of the public half, so nobody can take another's.
package struct NodeKey: Sendable {
    let key: P256.Signing.PrivateKey
    /// 32 hexadecimal digits.
    package let id: String

    /// Digits of an id.
    package static let idLength = 32

    /// A new one.
    package init() { self.init(P256.Signing.PrivateKey()) }

    private init(_ key: P256.Signing.PrivateKey) {
        self.key = key
        id = NodeKey.id(of: key.publicKey)
    }

    /// - Parameter pem: as ``pem`` gives it; nil is given for anything else.
    package init?(pem: String) {
        guard let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) else { return nil }
        self.init(key)
    }

    /// In the form that files have.
    package var pem: String { key.pemRepresentation }

    static func id(of key: P256.Signing.PublicKey) -> String {
        SHA256.hash(data: key.derRepresentation).prefix(idLength / 2).map { String(format: "%02x", $0) }.joined()
    }

    /// Whether a text has the form of an id.
    package static func isID(_ text: some StringProtocol) -> Bool {
        text.utf8.count == idLength
            && text.utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }
}
