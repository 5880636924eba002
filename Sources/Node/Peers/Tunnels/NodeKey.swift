internal import Crypto
internal import Foundation

/// A node's own key, by which it is known: its id is the digest of the public half, so nobody can take another's.
package struct NodeKey: Sendable {
    let key: P256.Signing.PrivateKey
    /// 32 hexadecimal digits.
    package let id: String

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
        SHA256.hash(data: key.derRepresentation).prefix(NodeCard.idLength / 2).map { String(format: "%02x", $0) }.joined()
    }
}
