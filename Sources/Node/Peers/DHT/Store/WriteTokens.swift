internal import Crypto
internal import Foundation

/// What a node must have been told here before it can put something here: it shows that messages to its address reach it, so that nobody
/// puts things here in another's name (BEP 5, "announce_peer"). A token is good for five to ten minutes, and at one address.
package struct WriteTokens: Sendable {
    /// Since some moment in the past.
    package typealias Time = Duration

    private var secret: [UInt8]
    private var lastSecret: [UInt8]
    private var changed: Time = .zero

    package static let period = Duration.seconds(300)
    private static let byteCount = 8

    package init(_ random: inout some RandomNumberGenerator) {
        secret = WriteTokens.draw(&random)
        lastSecret = WriteTokens.draw(&random)
    }

    private static func draw(_ random: inout some RandomNumberGenerator) -> [UInt8] {
        (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    package mutating func refresh(at now: Time, _ random: inout some RandomNumberGenerator) {
        guard now - changed >= WriteTokens.period else { return }
        // After a long pause the last one is old as well.
        lastSecret = now - changed >= WriteTokens.period * 2 ? WriteTokens.draw(&random) : secret
        secret = WriteTokens.draw(&random)
        changed = now
    }

    package func token(for address: NodeAddress) -> [UInt8] { WriteTokens.token(secret, address) }

    package func isGood(_ token: [UInt8], for address: NodeAddress) -> Bool {
        token == WriteTokens.token(secret, address) || token == WriteTokens.token(lastSecret, address)
    }

    private static func token(_ secret: [UInt8], _ address: NodeAddress) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Data(address.host), using: SymmetricKey(data: secret)).prefix(byteCount))
    }
}
