internal import RPCProto

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Asks a gateway of the local network by UPnP.
package struct UPnPAccess: MappingAccess {
    /// A gateway that was found, and this machine's address as it sees it.
    private struct Gateway {
        let controlURL: String
        let serviceType: String
        let ownAddress: String
    }

    /// What routers answer, by UPnP's numbers.
    private enum Code {
        static let noSuchEntry: Int32 = 714
        static let conflict: Int32 = 718
        static let samePortNeeded: Int32 = 724
        static let permanentOnly: Int32 = 725
        static let conflictWithOthers: Int32 = 729
    }

    /// Milliseconds in which gateways may answer.
    private static let discoveryTime: Int32 = 2000
    /// Ports that are tried until one is free.
    private static let attempts = 6
    private static let name = "swiftlet"

    private let library: UPnPLibrary
    private var gateway: Gateway?

    package init(_ library: UPnPLibrary) { self.library = library }

    package mutating func map(_ ports: [MappedPort], lifetime: UInt32) throws(MappingError) -> PortMapping {
        // One that was known may have gone, or moved its port: it is looked for anew then.
        let known = gateway != nil
        do throws(MappingError) {
            return try mapOnce(ports, lifetime: lifetime)
        } catch {
            gateway = nil
            guard known else { throw error }
            return try mapOnce(ports, lifetime: lifetime)
        }
    }

    package mutating func stands(_ mapping: PortMapping) throws(MappingError) -> Bool {
        guard let gateway else { return false }
        guard try address(of: gateway) == mapping.address else { return false }
        // Not every router says whose a port is.
        return mapping.ports.allSatisfy { port in
            switch owner(of: port, at: gateway) {
            case .own, .unknown: true
            case .other, .nobody: false
            }
        }
    }

    package mutating func release(_ mapping: PortMapping) {
        guard let gateway else { return }
        for port in mapping.ports where owner(of: port, at: gateway) != .other {
            _ = library.delete(gateway.controlURL, gateway.serviceType, "\(port.outside)", port.transport.rawValue, nil)
        }
    }

    private mutating func mapOnce(_ ports: [MappedPort], lifetime: UInt32) throws(MappingError) -> PortMapping {
        let gateway: Gateway
        if let known = self.gateway { gateway = known } else { gateway = try find() }
        self.gateway = gateway
        let address = try address(of: gateway)
        var granted: [MappedPort] = []
        var isPermanent = false
        for port in ports {
            do throws(MappingError) {
                let (outside, isEndless) = try add(port, lifetime: lifetime, at: gateway)
                granted.append(MappedPort(port.transport, inside: port.inside, outside: outside))
                isPermanent = isPermanent || isEndless
            } catch {
                // All or nothing.
                release(PortMapping(address: address, ports: granted, lifetime: nil))
                throw error
            }
        }
        return PortMapping(address: address, ports: granted, lifetime: isPermanent ? nil : lifetime)
    }

    private func find() throws(MappingError) -> Gateway {
        var code: Int32 = 0
        guard let devices = library.discover(UPnPAccess.discoveryTime, nil, nil, 0, 0, 2, &code) else { throw .noRouter(.upnp) }
        defer { library.freeDevices(devices) }
        let urls = UPnPLibrary.room(UPnPLibrary.URLsLayout.size)
        let description = UPnPLibrary.room(UPnPLibrary.DescriptionLayout.size)
        defer {
            urls.deallocate()
            description.deallocate()
        }
        var own = [CChar](repeating: 0, count: 64)
        var outside = [CChar](repeating: 0, count: 64)
        let status =
            switch library.choose {
            case .from17(let choose): choose(devices, urls, description, &own, Int32(own.count))
            case .from18(let choose): choose(devices, urls, description, &own, Int32(own.count), &outside, Int32(outside.count))
            }
        guard status != 0 else { throw .noRouter(.upnp) }
        defer { library.freeURLs(urls) }
        // 1: a gateway that is connected. 2: one with a private address, or (before version 18) one that is not connected, as its address
        // will tell. What is none counts for nothing.
        guard status == 1 || status == 2 else {
            throw library.version >= 18 && status == 3 ? .noAddress(.upnp, "") : .noRouter(.upnp)
        }
        guard let url = urls.load(fromByteOffset: UPnPLibrary.URLsLayout.controlURL, as: UnsafePointer<CChar>?.self) else {
            throw .noRouter(.upnp)
        }
        let serviceType = UPnPLibrary.text(description + UPnPLibrary.DescriptionLayout.serviceType, UPnPLibrary.DescriptionLayout.text)
        return Gateway(controlURL: String(cString: url), serviceType: serviceType, ownAddress: UPnPAccess.text(own))
    }

    private func address(of gateway: Gateway) throws(MappingError) -> NetworkAddress {
        var room = [CChar](repeating: 0, count: 128)
        let status = library.externalAddress(gateway.controlURL, gateway.serviceType, &room)
        guard status == 0 else { throw .refused(.upnp, operation: "its address", code: status) }
        let text = UPnPAccess.text(room)
        guard let address = NetworkAddress(text), address.bytes != [0, 0, 0, 0] else { throw .noAddress(.upnp, String(text.prefix(64))) }
        return address
    }

    /// Gives the port outside, and whether the router keeps it for ever.
    private func add(_ port: MappedPort, lifetime: UInt32, at gateway: Gateway) throws(MappingError) -> (UInt16, Bool) {
        var outside = port.outside
        var time = lifetime
        var tried = 0
        var last: Int32 = 0
        while tried < UPnPAccess.attempts {
            tried += 1
            let wished = MappedPort(port.transport, inside: port.inside, outside: outside)
            // Some routers give one machine's port to another that asks: who has it is looked at first.
            if owner(of: wished, at: gateway) == .other {
                last = Code.conflict
            } else {
                last = library.add(
                    gateway.controlURL, gateway.serviceType, "\(outside)", "\(port.inside)", gateway.ownAddress, UPnPAccess.name,
                    port.transport.rawValue, nil, "\(time)")
            }
            switch last {
            case 0: return (outside, time == 0)
            case Code.permanentOnly where time != 0: time = 0
            case Code.samePortNeeded where outside != port.inside: outside = port.inside
            case Code.conflict, Code.conflictWithOthers: outside = UInt16.random(in: 49152...65535)
            default: throw .refused(.upnp, operation: "a \(port.transport) port", code: last)
            }
        }
        throw .portsTaken(.upnp, tried: tried)
    }

    private enum Owner { case own, other, nobody, unknown }

    /// Whose a port of the router is.
    private func owner(of port: MappedPort, at gateway: Gateway) -> Owner {
        var client = [CChar](repeating: 0, count: 128)
        var inside = [CChar](repeating: 0, count: 128)
        var (description, enabled, lease) = ([CChar](repeating: 0, count: 1024), client, client)
        let status = library.entry(
            gateway.controlURL, gateway.serviceType, "\(port.outside)", port.transport.rawValue, nil, &client, &inside, &description,
            &enabled,
            &lease)
        switch status {
        case 0: return UPnPAccess.text(client) == gateway.ownAddress && UPnPAccess.text(inside) == "\(port.inside)" ? .own : .other
        case Code.noSuchEntry: return .nobody
        default: return .unknown
        }
    }

    private static func text(_ room: [CChar]) -> String {
        room.withUnsafeBytes { $0.baseAddress.map { UPnPLibrary.text($0, room.count) } ?? "" }
    }
}
