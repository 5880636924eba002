internal import Base
internal import RPCProto

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Asks the default gateway by NAT-PMP.
package struct NATPMPAccess: MappingAccess {
    /// Seconds within which an answer has to be there: the library asks again after 0.25, 0.75 and 1.75.
    private static let patience = 3.0
    private typealias Layout = NATPMPLibrary.ResponseLayout

    private let library: NATPMPLibrary
    /// The router's count of seconds when it was last heard, and when that was: one that counts behind has begun anew.
    private var heard: (epoch: UInt32, at: UInt64)?

    package init(_ library: NATPMPLibrary) { self.library = library }

    package mutating func map(_ ports: [MappedPort], lifetime: UInt32) throws(MappingError) -> PortMapping {
        let address = try askAddress()
        var granted: [MappedPort] = []
        var shortest = lifetime
        for port in ports {
            do throws(MappingError) {
                let (outside, time) = try ask(port, lifetime: lifetime)
                guard outside != 0, time != 0 else { throw .refused(.natPMP, operation: "a \(port.transport) port", code: 0) }
                granted.append(MappedPort(port.transport, inside: port.inside, outside: outside))
                shortest = min(shortest, time)
            } catch {
                // All or nothing.
                release(PortMapping(address: address, ports: granted, lifetime: nil))
                throw error
            }
        }
        return PortMapping(address: address, ports: granted, lifetime: shortest)
    }

    package mutating func stands(_ mapping: PortMapping) throws(MappingError) -> Bool {
        let before = heard
        let address = try askAddress()
        guard address == mapping.address, let before, let after = heard else { return false }
        // A router that has begun anew counts from nothing. Its clock may be slower than ours by an eighth, as RFC 6886 says.
        let passed = Double(after.at &- before.at) / 1e9
        return Double(after.epoch) + 2 >= Double(before.epoch) + passed * 7 / 8
    }

    package mutating func release(_ mapping: PortMapping) {
        for port in mapping.ports {
            _ = try? ask(MappedPort(port.transport, inside: port.inside, outside: 0), lifetime: 0)
        }
    }

    private mutating func askAddress() throws(MappingError) -> NetworkAddress {
        let response = try exchange("its address", type: 0, isAnswer: { _ in true }) { $0.sendAddressRequest($1) }
        let bytes = Array(response[Layout.address..<Layout.address + 4])
        guard let address = NetworkAddress(bytes: bytes), bytes != [0, 0, 0, 0] else { throw .noAddress(.natPMP, "") }
        return address
    }

    /// Gives the port outside and for how many seconds.
    private mutating func ask(_ port: MappedPort, lifetime: UInt32) throws(MappingError) -> (UInt16, UInt32) {
        let number: UInt16 = port.transport == .udp ? 1 : 2
        let response = try exchange(
            "a \(port.transport) port", type: number, isAnswer: { $0.load(UInt16.self, Layout.inside) == port.inside }
        ) {
            $0.sendMappingRequest($1, Int32(number), port.inside, port.outside, lifetime)
        }
        return (response.load(UInt16.self, Layout.outside), response.load(UInt32.self, Layout.lifetime))
    }

    /// A request, and the answer to it: others that come in its place, such as late ones to earlier requests, are passed over.
    private mutating func exchange(
        _ operation: String, type: UInt16, isAnswer: ([UInt8]) -> Bool, _ send: (NATPMPLibrary, NATPMPLibrary.Client) -> Int32
    ) throws(MappingError) -> [UInt8] {
        let client = NATPMPLibrary.clean()
        defer { client.deallocate() }
        guard library.open(client, 0, 0) == 0 else { throw .noRouter(.natPMP) }
        defer { _ = library.close(client) }
        let socket = client.load(fromByteOffset: NATPMPLibrary.ClientLayout.socket, as: Int32.self)
        guard send(library, client) >= 0 else { throw .noRouter(.natPMP) }
        let end = MonotonicClock.moment(in: NATPMPAccess.patience)
        var response = [UInt8](repeating: 0, count: Layout.size * 4)
        let library = library
        while true {
            var entry = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            // Often enough for the library to ask again in time.
            _ = poll(&entry, 1, 50)
            let status = response.withUnsafeMutableBytes { bytes in bytes.baseAddress.map { library.read(client, $0) } ?? 0 }
            let now = MonotonicClock.nanoseconds()
            switch status {
            case 0:
                heard = (response.load(UInt32.self, Layout.epoch), now)
                if response.load(UInt16.self, Layout.type) == type, isAnswer(response) { return response }
                guard now < end, send(library, client) >= 0 else { throw .noRouter(.natPMP) }
            case NATPMPLibrary.tryAgain: if now >= end { throw .noRouter(.natPMP) }
            case NATPMPLibrary.local: throw .noRouter(.natPMP)
            default: throw .refused(.natPMP, operation: operation, code: status)
            }
        }
    }
}

extension [UInt8] {
    /// A number in this machine's order, anywhere in the record.
    fileprivate func load<Number: FixedWidthInteger>(_ type: Number.Type, _ offset: Int) -> Number {
        withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
    }
}
