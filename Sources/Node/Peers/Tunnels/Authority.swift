internal import Crypto
package import Foundation
internal import NIOSSL
internal import SwiftASN1
internal import X509

/// Who signs the certificates of a network's nodes: a key that everybody derives who has the token, so that a certificate says no more,
/// and no less, than that its holder has the token (RFC 5280 for the form).
package struct Authority: Sendable {
    private let key: P256.Signing.PrivateKey
    private let name: DistinguishedName
    private let keyIdentifier: SubjectKeyIdentifier
    /// As others see it.
    let certificate: NIOSSLCertificate

    /// Days for which a node's certificate is good, and how far a clock may be behind the signer's.
    package static let validDays = 30.0
    package static let toleratedDays = 2.0

    package init(_ keys: NetworkKeys) throws {
        key = try Authority.key(keys)
        // Whoever is let as far as the certificates is not to read there which network it is.
        name = try DistinguishedName { CommonName("swiftlet") }
        let identifier = SubjectKeyIdentifier(
            keyIdentifier: ArraySlice(SHA256.hash(data: key.publicKey.x963Representation).prefix(20)))
        keyIdentifier = identifier
        let own = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(bytes: [1]), publicKey: Certificate.PublicKey(key.publicKey),
            notValidBefore: Date(timeIntervalSince1970: 1_600_000_000), notValidAfter: Date(timeIntervalSince1970: 4_000_000_000),
            issuer: name, subject: name,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true))
                identifier
            }, issuerPrivateKey: Certificate.PrivateKey(key))
        certificate = try NIOSSLCertificate(bytes: Authority.encoded(own), format: .der)
    }

    /// One in 2³² secrets is no key of the curve.
    private static func key(_ keys: NetworkKeys) throws -> P256.Signing.PrivateKey {
        var number = 0
        while true {
            do {
                return try P256.Signing.PrivateKey(rawRepresentation: keys.secret(for: .authority, number: number))
            } catch {
                number += 1
                if number > 8 { throw error }
            }
        }
    }

    private static func encoded(_ certificate: Certificate) throws -> [UInt8] {
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        return serializer.serializedBytes
    }

    /// A certificate for a node's key, which is good from now on, in DER.
    package func certify(_ node: NodeKey, at now: Date = Date(), days: Double = Authority.validDays) throws -> [UInt8] {
        let day = 86400.0
        return try Authority.encoded(
            try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: Certificate.PublicKey(node.key.publicKey),
                notValidBefore: now - Authority.toleratedDays * day, notValidAfter: now + days * day,
                issuer: name, subject: try DistinguishedName { CommonName(node.id) },
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    Critical(KeyUsage(digitalSignature: true))
                    try ExtendedKeyUsage([.serverAuth, .clientAuth])
                    AuthorityKeyIdentifier(keyIdentifier: keyIdentifier.keyIdentifier)
                    SubjectAlternativeNames([.dnsName(node.id)])
                }, issuerPrivateKey: Certificate.PrivateKey(key)))
    }

    /// Who a node is by the certificates that it shows.
    ///
    /// - Returns: the node's id, or why the certificates are not good.
    func judge(_ chain: [NIOSSLCertificate], at now: Date = Date()) -> Result<String, CertificateFault> {
        guard let first = chain.first, let bytes = try? first.toDERBytes() else { return .failure(.none) }
        return judge(bytes, at: now)
    }

    /// The same of a node's own certificate, in DER.
    package func judge(_ bytes: [UInt8], at now: Date) -> Result<String, CertificateFault> {
        guard let leaf = try? Certificate(derEncoded: bytes) else { return .failure(.unreadable) }
        guard leaf.issuer == name, Certificate.PublicKey(key.publicKey).isValidSignature(leaf.signature, for: leaf) else {
            return .failure(.foreign)
        }
        // Whoever has the token can sign what it likes; what is not a node's certificate is refused all the same.
        guard case .notCertificateAuthority? = try? leaf.extensions.basicConstraints,
            (try? leaf.extensions.keyUsage)?.digitalSignature == true,
            let key = P256.Signing.PublicKey(leaf.publicKey)
        else { return .failure(.unreadable) }
        guard now >= leaf.notValidBefore else { return .failure(.notYetValid(leaf.notValidBefore)) }
        guard now <= leaf.notValidAfter else { return .failure(.expired(leaf.notValidAfter)) }
        return .success(NodeKey.id(of: key))
    }
}

/// What is wrong with the certificates that a node shows.
package enum CertificateFault: Error, Hashable, CustomStringConvertible {
    case none
    case unreadable
    /// Signed by others.
    case foreign
    case expired(Date)
    case notYetValid(Date)

    package var description: String {
        switch self {
        case .none: "it shows no certificate"
        case .unreadable: "its certificate is none of a node"
        case .foreign: "its certificate is of another network (another token, or another network id)"
        case .expired(let date): "its certificate expired on \(date.formatted(.iso8601)): is its clock, or this one, wrong?"
        case .notYetValid(let date): "its certificate is not good before \(date.formatted(.iso8601)): is its clock, or this one, wrong?"
        }
    }
}
