import Foundation
import NodePeers
import RPCProto
import TestSupport
import Testing

/// A true client talks to a door's side of TLS, and what it says is damaged on the way: nobody is taken for it.
@Suite(.timeLimit(.minutes(3))) struct DamagedHandshakeTests {
    private func take(_ stream: any StreamSeal) -> [UInt8] {
        let bytes = stream.withWrapped { Array($0) }
        stream.dropWrapped(bytes.count)
        return bytes
    }

    /// In pieces of any size.
    private func give(_ bytes: [UInt8], to stream: any StreamSeal, _ random: inout SystemRandomNumberGenerator) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...(Bool.random(using: &random) ? 40 : 40_000), using: &random))
            var given = 0
            _ = try stream.unwrap { target in
                given = min(target.count, piece.count)
                target.copyBytes(from: piece.prefix(given))
                return given
            }
            rest = rest.dropFirst(given)
        }
    }

    private func damage(_ bytes: inout [UInt8], _ random: inout SystemRandomNumberGenerator) {
        guard let place = bytes.indices.randomElement(using: &random) else { return }
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 2: bytes.removeSubrange(place...)
        default: bytes += (0..<Int.random(in: 1...20_000, using: &random)).map { _ in UInt8.random(in: 0...255) }
        }
    }

    /// Whether anything counts that was changed: the version in the head of a record is ignored (RFC 8446, section 5.1).
    private func hasChanged(_ sent: [UInt8], _ bytes: [UInt8]) -> Bool {
        var bytes = bytes
        if bytes.count == sent.count, bytes.count > 2 { bytes[1...2] = sent[1...2] }
        return bytes != sent
    }

    @Test("nobody comes in whose bytes were changed, and nothing traps")
    func damaged() throws {
        var random = SystemRandomNumberGenerator()
        let side = try TunnelTests.Side()
        var whole = 0
        for round in 0..<600 {
            let (client, server) = (try side.credentials.clientSeal(), try side.credentials.serverSeal())
            let damaged = round % 4
            var isChanged = false
            do {
                for flight in 0..<3 {
                    var bytes = take(client.stream)
                    if flight == damaged {
                        let sent = bytes
                        damage(&bytes, &random)
                        isChanged = hasChanged(sent, bytes)
                    }
                    try give(bytes, to: server.stream, &random)
                    try give(take(server.stream), to: client.stream, &random)
                }
            } catch {}
            guard server.isEstablished, case .success(let id)? = server.peer else { continue }
            whole += 1
            #expect(id == side.node.id)
            // What was added behind the handshake's end is no part of it.
            #expect(!isChanged || damaged > 0)
        }
        #expect(whole >= 150)
    }
}
