internal import Base
package import Foundation
internal import NIOSSL
package import RPCProto
internal import Synchronization

/// What a node shows and asks for at either end of a tunnel: mutual TLS 1.3 (RFC 8446) with certificates of its network.
package final class TunnelCredentials: Sendable {
    package let node: NodeKey
    package let tag: String
    private let authority: Authority
    private let knock: String
    private let current: Mutex<Contexts?>
    private let now: @Sendable () -> Date
    private let protocols: [String]

    /// What is spoken inside, as TLS names it (ALPN).
    package static let protocolName = "swiftlet/1"
    /// After so long a node signs itself a new certificate.
    private static let renewal: TimeInterval = 86400

    private struct Contexts {
        let issued: Date
        let server: NIOSSLContext
        let client: NIOSSLContext
    }

    /// - Parameters:
    ///   - protocols: what this node offers to speak inside.
    ///   - now: the clock by which certificates are good.
    package init(
        _ keys: NetworkKeys, _ node: NodeKey, protocols: [String] = [TunnelCredentials.protocolName],
        now: @escaping @Sendable () -> Date = { Date() }
    ) throws(TunnelError) {
        self.now = now
        self.protocols = protocols
        do {
            authority = try Authority(keys)
        } catch {
            throw TunnelError("the network's certificates cannot be made: \(error)")
        }
        self.node = node
        tag = keys.tag
        // As long as a label of a host name may be.
        knock = keys.secret(for: .knock, byteCount: 16).map { String(format: "%02x", $0) }.joined()
        current = Mutex(nil)
        _ = try contexts()
    }

    /// What a client names as the host that it wants to, for ``ClientHello``.
    package var hostName: String { knock }

    private func contexts() throws(TunnelError) -> Contexts {
        let now = now()
        // Also where a clock was set back.
        if let contexts = current.withLock({ $0 }), abs(now.timeIntervalSince(contexts.issued)) < TunnelCredentials.renewal {
            return contexts
        }
        do {
            let contexts = try makeContexts(
                try NIOSSLCertificate(bytes: authority.certify(node, at: now), format: .der), issued: now)
            current.withLock { $0 = contexts }
            return contexts
        } catch {
            throw TunnelError("this node's certificate cannot be made: \(error)")
        }
    }

    private func makeContexts(_ leaf: NIOSSLCertificate, issued: Date) throws -> Contexts {
        let key = NIOSSLPrivateKeySource.privateKey(try NIOSSLPrivateKey(bytes: Array(node.key.derRepresentation), format: .der))
        var server = TLSConfiguration.makeServerConfigurationWithMTLS(
            certificateChain: [.certificate(leaf)], privateKey: key, trustRoots: .certificates([authority.certificate]))
        server.minimumTLSVersion = .tlsv13
        server.applicationProtocols = protocols
        var client = TLSConfiguration.makeClientConfiguration()
        client.minimumTLSVersion = .tlsv13
        client.trustRoots = .certificates([authority.certificate])
        client.certificateChain = [.certificate(leaf)]
        client.privateKey = key
        client.certificateVerification = .noHostnameVerification
        client.applicationProtocols = protocols
        return Contexts(issued: issued, server: try NIOSSLContext(configuration: server), client: try NIOSSLContext(configuration: client))
    }

    /// The side that is connected to.
    package func serverSeal() throws(TunnelError) -> JudgedSeal {
        let contexts = try contexts()
        return try judged { NIOSSLServerHandler(context: contexts.server, customVerificationCallback: $0) }
    }

    /// The side that connects.
    package func clientSeal() throws(TunnelError) -> JudgedSeal {
        let contexts = try contexts()
        return try judged { try NIOSSLClientHandler(context: contexts.client, serverHostname: knock, customVerificationCallback: $0) }
    }

    private func judged(
        _ make: (@escaping NIOSSLCustomVerificationCallback) throws -> NIOSSLHandler
    ) throws(TunnelError) -> JudgedSeal {
        let verdict = Verdict()
        do {
            let handler = try make { [authority, now] chain, promise in
                let result = authority.judge(chain, at: now())
                verdict.set(result)
                switch result {
                case .success: promise.succeed(.certificateVerified)
                case .failure: promise.succeed(.failed)
                }
            }
            return JudgedSeal(seal: try TLSSeal(handler), verdict: verdict)
        } catch {
            throw TunnelError("\(error)")
        }
    }

    /// What was found of the peer's certificates.
    package final class Verdict: Sendable {
        private let result = Mutex<Result<String, CertificateFault>?>(nil)

        func set(_ new: Result<String, CertificateFault>) { result.withLock { $0 = new } }

        /// Nil before it showed any.
        var value: Result<String, CertificateFault>? { result.withLock { $0 } }
    }

    /// One side of a tunnel, and who turned out to be on the other.
    package struct JudgedSeal {
        let seal: TLSSeal
        package let verdict: Verdict

        package var stream: any StreamSeal { seal }
        package var isEstablished: Bool { seal.isEstablished }
        /// The id of whoever is there, or why that is nobody; nil before it showed certificates.
        package var peer: Result<String, CertificateFault>? { verdict.value }
    }
}
