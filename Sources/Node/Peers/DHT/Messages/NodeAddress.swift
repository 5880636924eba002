/// Where a node of the table is: an IP address with a port, IPv4 or IPv6.
package struct NodeAddress: Hashable, Sendable, CustomStringConvertible {
    /// 4 or 16, in the order of the wire.
    package let host: [UInt8]
    package let port: UInt16

    /// - Returns: nil for what is neither IPv4 nor IPv6, and for port 0, at which nobody is.
    package init?(host: [UInt8], port: Int) {
        guard host.count == 4 || host.count == 16, (1...65535).contains(port) else { return nil }
        self.host = host
        self.port = UInt16(port)
    }

    package var isIPv6: Bool { host.count == 16 }

    package var description: String {
        if !isIPv6 { return host.map(String.init).joined(separator: ".") + ":\(port)" }
        let groups = stride(from: 0, to: 16, by: 2).map { String(Int(host[$0]) << 8 | Int(host[$0 + 1]), radix: 16) }
        return "[\(groups.joined(separator: ":"))]:\(port)"
    }

    // MARK: On the wire

    /// The address and the port, big-endian (BEP 5, BEP 32).
    package var compact: [UInt8] { host + [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)] }

    /// - Parameter compact: 6 or 18 bytes; nil is given for anything else.
    package init?(compact: some Collection<UInt8>) {
        let bytes = Array(compact)
        guard bytes.count == 6 || bytes.count == 18 else { return nil }
        self.init(host: Array(bytes.dropLast(2)), port: Int(bytes[bytes.count - 2]) << 8 | Int(bytes[bytes.count - 1]))
    }

    // MARK: What kind of place it is

    /// Whether it belongs to a network of somebody's own, where anybody can have any address (RFC 1918, 4193, 6598; loopback, link-local).
    package var isLocal: Bool {
        if !isIPv6 {
            switch (host[0], host[1]) {
            case (10, _), (127, _), (192, 168), (169, 254): return true
            case (172, 16...31), (100, 64...127): return true
            default: return false
            }
        }
        if host[0] & 0xfe == 0xfc || (host[0] == 0xfe && host[1] & 0xc0 == 0x80) { return true }
        return host.dropLast().allSatisfy { $0 == 0 } && host[15] == 1
    }

    /// Whether a node can be there at all: not where many are, or nobody.
    package var isUsable: Bool {
        if !isIPv6 { return host[0] != 0 && host[0] < 224 }
        if host[0] == 0xff || host.allSatisfy({ $0 == 0 }) { return false }
        // IPv4 in the clothing of IPv6 belongs to the other table.
        return !(host[..<10].allSatisfy { $0 == 0 } && host[10] == 0xff && host[11] == 0xff)
    }

    /// What one holder of addresses has of them at least: 24 bits of IPv4, 64 of IPv6.
    package var neighbourhood: [UInt8] { Array(isIPv6 ? host[..<8] : host[..<3]) }
}
