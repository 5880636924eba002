/// Where a server listens: a name or an address, and a port.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    /// The port that ggml's servers listen on unless told otherwise.
    public static let defaultPort = 50052

    /// A name, or an IPv4 or IPv6 address without brackets.
    public let host: String
    public let port: Int

    /// - Parameter port: 1 to 65535.
    public init(host: String, port: Int = Endpoint.defaultPort) {
        self.host = host
        self.port = port
    }

    /// `10.0.0.7:50052`, `node-b`, `[fe80::1%eth0]:50052`, `::1`. Names are not looked up.
    public init(parsing text: String) throws(EndpointError) {
        func fail(_ why: String) -> EndpointError { EndpointError(text: text, message: why) }
        var host = Substring(text)
        var port: Substring?
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { throw fail("the bracket is not closed") }
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw fail("only ':' and a port can follow the bracket") }
            port = rest.isEmpty ? nil : rest.dropFirst()
            guard host.contains(":") else { throw fail("brackets are for IPv6 addresses") }
        } else if let colon = text.firstIndex(of: ":") {
            if text[text.index(after: colon)...].contains(":") {
                guard NetworkAddress(text) != nil else {
                    throw fail("it has several colons; an IPv6 address with a port is written [address]:port")
                }
            } else {
                host = text[..<colon]
                port = text[text.index(after: colon)...]
            }
        }
        guard !host.isEmpty else { throw fail("there is no host") }
        if let wrong = host.unicodeScalars.first(where: { !Endpoint.isAllowed($0) }) {
            throw fail("a host cannot have '\(wrong.escaped(asASCII: true))'")
        }
        self.host = String(host)
        guard let port else {
            self.port = Endpoint.defaultPort
            return
        }
        guard !port.isEmpty, port.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let number = Int(port),
            (1...65535).contains(number)
        else { throw fail("the port is a number from 1 to 65535") }
        self.port = number
    }

    /// `host:port`, with brackets where the host has colons.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isAlphabetic || (scalar.value >= 0x30 && scalar.value <= 0x39) || "-_.:%".unicodeScalars.contains(scalar)
    }
}

/// Why a text names no endpoint.
public struct EndpointError: Error, Hashable, CustomStringConvertible {
    /// What was given.
    public var text: String
    /// What is wrong with it.
    public var message: String

    public init(text: String, message: String) {
        self.text = text
        self.message = message
    }

    public var description: String { "'\(text)' is no host:port: \(message)" }
}
