#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// An IPv4 or IPv6 address, without a port.
public struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    /// 4 or 16 bytes, in the network's order.
    public let bytes: [UInt8]

    /// - Parameter bytes: 4 or 16. IPv4 addresses in IPv6 clothing (`::ffff:10.0.0.7`) become what they are.
    public init?(bytes: [UInt8]) {
        switch bytes.count {
        case 4: self.bytes = bytes
        case 16:
            let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xff && bytes[11] == 0xff
            self.bytes = isMapped ? Array(bytes[12...]) : bytes
        default: return nil
        }
    }

    /// - Parameter text: `10.0.0.7`, `fe80::1`; names are not looked up.
    public init?(_ text: String) {
        var raw = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, text, &raw) == 1 {
            self.init(bytes: Array(raw[..<4]))
        } else if inet_pton(AF_INET6, text, &raw) == 1 {
            self.init(bytes: raw)
        } else {
            return nil
        }
    }

    /// - Parameters:
    ///   - address: as the system gives it.
    ///   - length: bytes of it.
    init?(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) {
        var storage = sockaddr_storage()
        withUnsafeMutableBytes(of: &storage) { target in
            target.copyMemory(from: UnsafeRawBufferPointer(start: address, count: min(target.count, Int(length))))
        }
        self.init(storage)
    }

    init?(_ storage: sockaddr_storage) {
        let family = Int32(storage.ss_family)
        let found: [UInt8]? = withUnsafeBytes(of: storage) { raw in
            switch family {
            case AF_INET:
                let address = raw.loadUnaligned(as: sockaddr_in.self).sin_addr
                return withUnsafeBytes(of: address) { Array($0) }
            case AF_INET6:
                let address = raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr
                return withUnsafeBytes(of: address) { Array($0) }
            default: return nil
            }
        }
        guard let found else { return nil }
        self.init(bytes: found)
    }

    public var description: String {
        var text = [CChar](repeating: 0, count: 64)
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return "?" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Addresses that begin alike: `10.0.0.0/8`, `fd00::/8`, or one address.
public struct AddressRange: Hashable, Sendable, CustomStringConvertible {
    public let address: NetworkAddress
    /// Leading bits that count.
    public let prefix: Int

    /// - Parameter text: an address, or an address, `/` and the number of bits that count.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = NetworkAddress(String(parts[0])) else { return nil }
        self.address = address
        if parts.count == 1 {
            prefix = address.bytes.count * 8
        } else {
            guard let bits = Int(parts[1]), (0...(address.bytes.count * 8)).contains(bits) else { return nil }
            prefix = bits
        }
    }

    public func contains(_ other: NetworkAddress) -> Bool {
        guard other.bytes.count == address.bytes.count else { return false }
        for index in 0..<(prefix / 8) where other.bytes[index] != address.bytes[index] { return false }
        if prefix % 8 == 0 { return true }
        let mask = UInt8(truncatingIfNeeded: 0xff00 >> (prefix % 8))
        return (other.bytes[prefix / 8] ^ address.bytes[prefix / 8]) & mask == 0
    }

    public var description: String {
        prefix == address.bytes.count * 8 ? address.description : "\(address)/\(prefix)"
    }
}
