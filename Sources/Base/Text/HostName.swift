#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Names and addresses of machines as people and programs write them.
public enum HostName {
    /// What this machine calls itself, without looking anything up; empty if it has no name.
    public static var current: String {
        var buffer = [CChar](repeating: 0, count: 256)
        guard gethostname(&buffer, buffer.count - 1) == 0 else { return "" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether a name or address can only mean this machine: an address of 127.0.0.0/8 (as one of IPv6 too, `::ffff:127.0.0.1`), `::1`,
    /// `localhost` and names below it.
    ///
    /// Read as an address, not by how it begins: `127.example.org` is a name that may lead anywhere.
    public static func isLoopback(_ host: String) -> Bool {
        var name = host.lowercased()
        // The dot at the end of a full name.
        if name.hasSuffix(".") { name.removeLast() }
        if name == "localhost" || name.hasSuffix(".localhost") { return true }
        return address(name).map(isLoopback) ?? false
    }

    /// Whether an address of 4 or 16 bytes is this machine's own.
    private static func isLoopback(_ address: [UInt8]) -> Bool {
        if address.count == 4 { return address[0] == 127 }
        let isMapped = address[..<10].allSatisfy { $0 == 0 } && address[10] == 0xff && address[11] == 0xff
        return isMapped ? address[12] == 127 : address.dropLast().allSatisfy { $0 == 0 } && address.last == 1
    }

    /// The bytes of an address in any of the spellings that the system takes (`127.0.0.1`, `127.1`, `::1`, `0:0:0:0:0:0:0:1`), in the
    /// network's order; nil for names, which are not looked up.
    private static func address(_ text: String) -> [UInt8]? {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(text, nil, &hints, &list) == 0, let first = list else { return nil }
        defer { freeaddrinfo(first) }
        guard let address = first.pointee.ai_addr else { return nil }
        switch first.pointee.ai_family {
        case AF_INET:
            return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin_addr) { Array($0) }
            }
        case AF_INET6:
            return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin6_addr) { Array($0) }
            }
        default: return nil
        }
    }

    /// The host of a URL's authority (`[::1]:8080`, `localhost:8080`), without brackets; nil where it is none.
    public static func ofAuthority(_ authority: String) -> String? {
        let host: Substring
        let rest: Substring
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { return nil }
            host = authority[authority.index(after: authority.startIndex)..<end]
            rest = authority[authority.index(after: end)...]
        } else {
            let end = authority.firstIndex(of: ":") ?? authority.endIndex
            host = authority[..<end]
            rest = authority[end...]
        }
        guard !host.isEmpty, rest.isEmpty || rest.hasPrefix(":") else { return nil }
        guard rest.dropFirst().utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return String(host)
    }
}
