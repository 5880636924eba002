/// Names and addresses of machines as people and programs write them.
public enum HostName {
    /// Whether a name or address can only mean this machine: an address of 127.0.0.0/8 (as one of IPv6 too, `::ffff:127.0.0.1`), `::1`,
    /// `localhost` and names below it.
    ///
    /// Read as an address, not by how it begins: `127.example.org` is a name that may lead anywhere.
    public static func isLoopback(_ host: String) -> Bool {
        var name = host.lowercased()
        // The dot at the end of a full name.
        if name.hasSuffix(".") { name.removeLast() }
        if name == "localhost" || name.hasSuffix(".localhost") || name == "::1" { return true }
        return fourBytes(name.hasPrefix("::ffff:") ? String(name.dropFirst(7)) : name)?.first == 127
    }

    /// The bytes of an address of IPv4 in four decimal numbers; nil for everything else.
    private static func fourBytes(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        let bytes = parts.compactMap { part in part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt8(part) : nil }
        return bytes.count == 4 ? bytes : nil
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
