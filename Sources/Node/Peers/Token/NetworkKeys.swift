internal import Base
internal import Crypto
internal import Foundation

/// What a network's token comes to: every secret of it, each for one purpose, by HKDF (RFC 5869) with SHA-256. Knowing one says nothing of
/// the others, nor of the token.
///
/// A network id (``init(material:networkID:)``) makes another network of the same token, which has nothing in common with it.
package struct NetworkKeys: Hashable, Sendable {
    /// What a secret is for.
    package enum Purpose: String, CaseIterable, Sendable {
        /// The key that signs the certificates of the network's nodes.
        case authority
        /// What a node says first to a door, in the clear: who does not know it is turned away before anything is computed.
        case knock
        /// What shows that an announcement is by somebody who has the token.
        case announcement
        /// The name by which nodes recognise each other's announcements; it is sent in the clear.
        case tag
        /// Under what nodes find each other in a table that is open to all; numbered by time (``RendezvousKeys``).
        case rendezvous
    }

    private let material: [UInt8]

    /// Users of one token that name none are in this network.
    package static let defaultNetworkID = ""

    /// - Parameters:
    ///   - material: the token's own secrets, in a fixed order and form.
    ///   - networkID: any text; separates networks of one token.
    package init(material: [UInt8], networkID: String = NetworkKeys.defaultNetworkID) {
        let key = HKDF<SHA256>.extract(inputKeyMaterial: SymmetricKey(data: material), salt: Data("swiftlet peers 1".utf8))
        let root = HKDF<SHA256>.expand(pseudoRandomKey: key, info: Data("network \(networkID)".utf8), outputByteCount: 32)
        self.material = root.withUnsafeBytes { Array($0) }
    }

    /// - Parameter number: for where one does not do, as when it happens to be no valid key.
    package func secret(for purpose: Purpose, number: Int = 0, byteCount: Int = 32) -> [UInt8] {
        let info = Data("\(purpose.rawValue) \(number)".utf8)
        return HKDF<SHA256>.expand(pseudoRandomKey: SymmetricKey(data: material), info: info, outputByteCount: byteCount)
            .withUnsafeBytes { Array($0) }
    }

    /// The network's name in the clear, sixteen hexadecimal digits: it tells networks apart, and nothing of their tokens.
    package var tag: String { secret(for: .tag, byteCount: 8).map { String(format: "%02x", $0) }.joined() }
}
