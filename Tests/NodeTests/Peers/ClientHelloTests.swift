import NodePeers
import RPCProto
import Testing

/// What a door reads before it computes anything: bytes of anybody's, of which some are a true client's.
@Suite struct ClientHelloTests {
    private let keys = NetworkKeys(material: Array("a token's secrets".utf8))

    private func flight() throws -> (bytes: [UInt8], host: String) {
        let credentials = try TunnelCredentials(keys, NodeKey())
        return (try credentials.clientSeal().stream.withWrapped { Array($0) }, credentials.hostName)
    }

    private func look(_ bytes: some Collection<UInt8>) -> ClientHello.Outcome { Array(bytes).withUnsafeBytes { ClientHello.look(at: $0) } }

    @Test("a true client's first message names the network's host, and is incomplete wherever it is cut")
    func whole() throws {
        let (bytes, host) = try flight()
        #expect(look(bytes) == .names(host))
        #expect(look(bytes + [1, 2, 3]) == .names(host))
        for count in bytes.indices { #expect(look(bytes.prefix(count)) == .incomplete, "\(count) bytes") }
    }

    @Test("any byte changed to anything: it is read as something, and names the host only where that is untouched")
    func changed() throws {
        let (bytes, host) = try flight()
        let text = Array(host.utf8)
        let place = try #require(bytes.indices.first { bytes[$0...].starts(with: text) })
        for index in bytes.indices {
            var changed = bytes
            for value in UInt8.min...UInt8.max where value != bytes[index] {
                changed[index] = value
                let outcome = look(changed)
                if (place..<(place + text.count)).contains(index) { #expect(outcome != .names(host)) }
            }
        }
    }

    @Test("what is no first message of TLS is told from it, if possible by its first byte")
    func others() {
        #expect(look([]) == .incomplete)
        #expect(look(Array("GET / HTTP/1.1\r\n\r\n".utf8)) == .isNotTLS)
        #expect(look([14]) == .isNotTLS)
        #expect(look([22]) == .incomplete)
        #expect(look([22, 3, 1, 0xff, 0xff]) == .isNotTLS)
        #expect(look([22, 3, 1, 0, 3]) == .isNotTLS)
        // Another message of the handshake.
        #expect(look([22, 3, 1, 0, 40, 2]) == .isNotTLS)
        // Sizes that lead out of what encloses them.
        let empty: [UInt8] = [22, 3, 1, 0, 4, 1, 0, 0, 0]
        #expect(look(empty) == .isNotTLS)
        let noExtensions: [UInt8] = [22, 3, 1, 0, 45, 1, 0, 0, 41] + [UInt8](repeating: 7, count: 34) + [0, 0, 2, 19, 1, 1, 0]
        #expect(look(noExtensions) == .names(nil))
    }
}
