package import RPCProto

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The addresses that this machine has at present.
package struct OwnAddresses: Hashable, Sendable {
    private let addresses: Set<NetworkAddress>

    package init(_ addresses: Set<NetworkAddress>) { self.addresses = addresses }

    /// What the system says; none if it says nothing.
    package static func current() -> OwnAddresses {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return OwnAddresses([]) }
        defer { freeifaddrs(first) }
        var addresses: Set<NetworkAddress> = []
        var next = first
        while let entry = next?.pointee {
            if let address = entry.ifa_addr.flatMap(address(of:)) { addresses.insert(address) }
            next = entry.ifa_next
        }
        return OwnAddresses(addresses)
    }

    private static func address(of pointer: UnsafeMutablePointer<sockaddr>) -> NetworkAddress? {
        switch Int32(pointer.pointee.sa_family) {
        case AF_INET:
            pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                withUnsafeBytes(of: $0.pointee.sin_addr) { NetworkAddress(bytes: Array($0)) }
            }
        case AF_INET6:
            pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                withUnsafeBytes(of: $0.pointee.sin6_addr) { NetworkAddress(bytes: Array($0)) }
            }
        default: nil
        }
    }

    /// Whether a place is on this machine. Names of hosts are not looked up.
    package func contains(_ place: Endpoint) -> Bool {
        let host = place.host.prefix { $0 != "%" }
        return NetworkAddress(String(host)).map(addresses.contains) ?? false
    }
}
