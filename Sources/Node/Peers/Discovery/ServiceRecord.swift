package import RPCProto

/// A service instance as one interface of this machine sees it.
package struct ServiceKey: Hashable, Sendable {
    /// Bytes of an instance's name.
    package static let nameLimit = 63
    /// Bytes of a host's name or a domain, as text.
    package static let hostNameLimit = 255

    package var name: String
    package var domain: String
    /// The interface's index.
    package var interface: UInt32

    package init(name: String, domain: String = "local.", interface: UInt32) {
        self.name = name
        self.domain = domain
        self.interface = interface
    }

    /// A name without the number that the daemon puts behind one which another has, as ` #2`. Of more than one digit it is part of the name:
    /// who repeats others' names has so many fewer to choose from.
    static func withoutNumber(_ name: String) -> Substring {
        let tail = name.utf8.suffix(3)
        guard tail.starts(with: " #".utf8), let digit = tail.last, (UInt8(ascii: "2")...UInt8(ascii: "9")).contains(digit) else {
            return name[...]
        }
        return name[..<tail.startIndex]
    }
}

/// What an instance says of itself. All of it is hearsay: anybody on the network can announce anything.
package struct ServiceRecord: Hashable, Sendable {
    package var key: ServiceKey
    /// The interface's name; "" where the system does not know it any more.
    package var interface: String
    package var hostName: String
    /// 1 to 65535.
    package var port: Int
    package var text: [String: String]
    /// Where it can be reached, in a fixed order; at least one. Link-local IPv6 addresses come with their scope, as `fe80::1%eth0`.
    package var endpoints: [Endpoint]

    package init(key: ServiceKey, interface: String, hostName: String, port: Int, text: [String: String], endpoints: [Endpoint]) {
        self.key = key
        self.interface = interface
        self.hostName = hostName
        self.port = port
        self.text = text
        self.endpoints = endpoints
    }
}

/// What there is to tell of a network's services.
package enum ServiceChange: Hashable, Sendable {
    /// It has appeared, or is not as it was.
    case found(ServiceRecord)
    /// It has said goodbye or run out, or nobody knows whether it is still there.
    case gone(ServiceKey)
}
