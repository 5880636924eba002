package import RPCProto

/// A port of this machine, and the one of the router that leads to it.
package struct MappedPort: Hashable, Sendable {
    package let transport: MappingTransport
    /// Of this machine.
    package let inside: UInt16
    /// Of the router; as a wish, or as it is.
    package let outside: UInt16

    package init(_ transport: MappingTransport, inside: UInt16, outside: UInt16) {
        self.transport = transport
        self.inside = inside
        self.outside = outside
    }
}

/// What a router granted.
package struct PortMapping: Hashable, Sendable {
    /// The router's address outside.
    package let address: NetworkAddress
    /// As many as were asked for, in their order.
    package let ports: [MappedPort]
    /// Seconds until the router forgets it; nil if it never does.
    package let lifetime: UInt32?

    package init(address: NetworkAddress, ports: [MappedPort], lifetime: UInt32?) {
        self.address = address
        self.ports = ports
        self.lifetime = lifetime
    }

    /// Where others reach a port of this machine.
    package func external(_ transport: MappingTransport) -> Endpoint? {
        ports.first { $0.transport == transport }.map { Endpoint(host: address.description, port: Int($0.outside)) }
    }

    /// Whether the address is one that the rest of the world cannot reach: then the router is itself behind another.
    package var isBehindAnotherRouter: Bool { PortMapping.isPrivate(address) }

    /// Private networks (RFC 1918), those that providers have for their customers (RFC 6598), and what is never an address of a router.
    package static func isPrivate(_ address: NetworkAddress) -> Bool {
        guard address.bytes.count == 4 else { return false }
        return switch (address.bytes[0], address.bytes[1]) {
        case (0, _), (10, _), (127, _): true
        case (100, 64...127): true
        case (169, 254): true
        case (172, 16...31): true
        case (192, 168): true
        case (224..., _): true
        default: false
        }
    }
}

/// One way of asking a router, for one thread. Every call blocks for some seconds at most.
package protocol MappingAccess {
    /// Asks for the ports, or for what is there already to stay; another port outside is taken where a wished one is somebody else's.
    ///
    /// - Parameter lifetime: in seconds; the router may grant less.
    mutating func map(_ ports: [MappedPort], lifetime: UInt32) throws(MappingError) -> PortMapping
    /// Whether a router still has what it granted, as far as it can be told; false if it has begun anew, or its address is another.
    mutating func stands(_ mapping: PortMapping) throws(MappingError) -> Bool
    /// Takes it back; that a router does not answer is nothing to be told.
    mutating func release(_ mapping: PortMapping)
}
