/// The ways of asking a router to let connections in.
package enum MappingMethod: String, Hashable, Sendable, CaseIterable, CustomStringConvertible {
    /// A datagram to the gateway, and one back (RFC 6886). First, since a router that has it answers at once.
    case natPMP = "NAT-PMP"
    /// Looking for a gateway by multicast, and then requests by HTTP.
    case upnp = "UPnP"

    package var description: String { rawValue }
}

/// What a port belongs to.
package enum MappingTransport: String, Hashable, Sendable, CustomStringConvertible {
    case tcp = "TCP"
    case udp = "UDP"

    package var description: String { rawValue }
}
