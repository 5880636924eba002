import Crypto
import Foundation
import NodePeers
import SwiftASN1
import Testing
import X509

/// A certificate says that its holder has the token, and nothing else passes for one.
@Suite struct CertificateTests {
    private let keys = NetworkKeys(material: Array("a token's secrets".utf8))
    private let node = NodeKey()
    private let now = Date(timeIntervalSince1970: 1_800_000_000)
    private let day = 86400.0

    private func fault(_ certificate: [UInt8], at time: Date? = nil) throws -> CertificateFault? {
        switch try Authority(keys).judge(certificate, at: time ?? now) {
        case .success: nil
        case .failure(let fault): fault
        }
    }

    @Test("a node's certificate names it by its key, while it is good")
    func good() throws {
        let certificate = try Authority(keys).certify(node, at: now)
        for time in [now, now - day, now + 29 * day] { #expect(try Authority(keys).judge(certificate, at: time) == .success(node.id)) }
        guard case .expired? = try fault(certificate, at: now + 31 * day) else { throw Unexpected() }
        guard case .notYetValid? = try fault(certificate, at: now - 3 * day) else { throw Unexpected() }
    }

    @Test("one of another token or network id is foreign, also with the names of this network's")
    func foreign() throws {
        let others = [NetworkKeys(material: [1, 2, 3]), NetworkKeys(material: Array("a token's secrets".utf8), networkID: "b")]
        for other in others { #expect(try fault(Authority(other).certify(node, at: now)) == .foreign) }
        let own = P256.Signing.PrivateKey()
        #expect(try fault(certificate(own.publicKey, signedBy: own)) == .foreign)
    }

    @Test("the authority's own, shown as a node's, is none, nor is one that is not for signing")
    func others() throws {
        let authority = try P256.Signing.PrivateKey(rawRepresentation: keys.secret(for: .authority))
        let key = P256.Signing.PrivateKey()
        // That these are made as they should be: nothing else about them is wrong.
        #expect(try fault(certificate(key.publicKey, signedBy: authority)) == nil)
        #expect(try fault(certificate(authority.publicKey, signedBy: authority, isAuthority: true)) == .unreadable)
        #expect(try fault(certificate(key.publicKey, signedBy: authority, signs: false)) == .unreadable)
        #expect(try fault([]) == .unreadable)
        #expect(try fault([UInt8](repeating: 0x30, count: 300)) == .unreadable)
    }

    @Test("one bit changed anywhere, or cut anywhere, never makes another node of it")
    func damaged() throws {
        let certificate = try Authority(keys).certify(node, at: now)
        let authority = try Authority(keys)
        for index in certificate.indices {
            var changed = certificate
            changed[index] ^= 1 << UInt8(index & 7)
            if case .success(let id) = authority.judge(changed, at: now) { #expect(id == node.id) }
            if case .success = authority.judge(Array(certificate[..<index]), at: now) { Issue.record("cut at \(index)") }
        }
    }

    private struct Unexpected: Error {}

    private func certificate(
        _ key: P256.Signing.PublicKey, signedBy signer: P256.Signing.PrivateKey, isAuthority: Bool = false, signs: Bool = true
    ) throws -> [UInt8] {
        let made = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(bytes: [7]), publicKey: Certificate.PublicKey(key),
            notValidBefore: now - day, notValidAfter: now + day, issuer: try DistinguishedName { CommonName("swiftlet") },
            subject: try DistinguishedName { CommonName(node.id) },
            extensions: try Certificate.Extensions {
                if isAuthority {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                } else {
                    Critical(BasicConstraints.notCertificateAuthority)
                }
                Critical(KeyUsage(digitalSignature: signs, keyCertSign: !signs))
            }, issuerPrivateKey: Certificate.PrivateKey(signer))
        var serializer = DER.Serializer()
        try serializer.serialize(made)
        return serializer.serializedBytes
    }
}
