import Base
import NodePeers
import RPCProto
import Testing

/// What the mapper does with a router, by answers that are made up.
@Suite struct PortMapperTests {
    private struct Router: Sendable {
        var isThere = true
        var hasForgotten = false
        var granted: [MappedPort] = []
        var released: [MappedPort] = []
        var requests = 0
    }

    private struct Access: MappingAccess {
        let router: Monitor<Router>

        mutating func map(_ ports: [MappedPort], lifetime: UInt32) throws(MappingError) -> PortMapping {
            let granted = router.change { router -> [MappedPort]? in
                router.requests += 1
                guard router.isThere else { return nil }
                router.hasForgotten = false
                // The wished port is somebody else's.
                router.granted = ports.map { MappedPort($0.transport, inside: $0.inside, outside: 40_000) }
                return router.granted
            }
            guard let granted, let address = NetworkAddress("25.1.2.3") else { throw .noRouter(.natPMP) }
            return PortMapping(address: address, ports: granted, lifetime: lifetime)
        }

        mutating func stands(_ mapping: PortMapping) throws(MappingError) -> Bool {
            let (isThere, hasForgotten) = router.read { ($0.isThere, $0.hasForgotten) }
            guard isThere else { throw .noRouter(.natPMP) }
            return !hasForgotten
        }

        mutating func release(_ mapping: PortMapping) { router.change { $0.released = mapping.ports } }
    }

    private func mapper(
        _ router: Monitor<Router>, _ changes: Monitor<[MappingChange]>, opening: PortMapper.Opening? = nil
    ) throws -> PortMapper {
        var settings = MappingSchedule.Settings()
        settings.methods = [.natPMP]
        settings.lookInterval = 0.02
        settings.pauses = 0.01...0.02
        let port = MappedPort(.tcp, inside: 7001, outside: 7001)
        let made: PortMapper.Opening = { _ throws(MappingError) in Access(router: router) }
        let used: PortMapper.Opening
        if let opening { used = opening } else { used = made }
        return try PortMapper(
            [port], settings, opening: used,
            onChange: { change in changes.change { $0.append(change) } })
    }

    private func wait(_ changes: Monitor<[MappingChange]>, for count: Int) -> [MappingChange]? {
        changes.wait(atMost: .seconds(60)) { $0.count >= count ? $0 : nil }
    }

    @Test(.timeLimit(.minutes(2))) func portIsHeldThroughARouterThatGoesAndComesBackAndGivenUpAtTheEnd() throws {
        let (router, changes) = (Monitor(Router()), Monitor([MappingChange]()))
        let mapper = try mapper(router, changes)
        guard case .mapped(let mapping, .natPMP) = try #require(wait(changes, for: 1))[0] else { return #expect(Bool(false)) }
        #expect(mapping.external(.tcp)?.description == "25.1.2.3:40000")
        #expect(mapping.external(.udp) == nil)
        router.change { $0.hasForgotten = true }
        #expect(router.wait(atMost: .seconds(60)) { $0.hasForgotten ? nil : true } == true, "what was forgotten is asked for again")
        router.change { $0.isThere = false }
        #expect(try #require(wait(changes, for: 2))[1] == .failed(.noRouter(.natPMP)))
        router.change { $0.isThere = true }
        #expect(try #require(wait(changes, for: 3))[2] == .mapped(mapping, by: .natPMP))
        mapper.stop()
        #expect(mapper.join(atMost: .seconds(60)))
        #expect(router.read { $0.released } == mapping.ports)
    }

    @Test(.timeLimit(.minutes(2))) func libraryThatIsMissingIsToldWithWhatToInstallAndLookedForAgain() throws {
        let (router, changes, isInstalled) = (Monitor(Router()), Monitor([MappingChange]()), Monitor(false))
        let mapper = try mapper(router, changes) { _ throws(MappingError) in
            if isInstalled.read({ $0 }) { return Access(router: router) }
            return NATPMPAccess(try NATPMPLibrary(fileName: "libnone-of-this-name.so.1"))
        }
        guard case .failed(let error) = try #require(wait(changes, for: 1))[0] else { return #expect(Bool(false)) }
        #expect(error.description.contains("apt install libnatpmp1"))
        isInstalled.change { $0 = true }
        guard case .mapped = try #require(wait(changes, for: 2))[1] else { return #expect(Bool(false)) }
        mapper.stop()
        #expect(mapper.join(atMost: .seconds(60)))
    }

    /// Who ends the program does not wait for a router for ever.
    @Test(.timeLimit(.minutes(2))) func waitingForARouterThatKeepsTheLibraryHasALimit() throws {
        let (router, changes) = (Monitor(Router()), Monitor([MappingChange]()))
        let (isAsking, goesOn) = (Monitor(false), Monitor(false))
        let mapper = try mapper(router, changes) { _ throws(MappingError) in
            isAsking.change { $0 = true }
            _ = goesOn.wait { $0 ? true : nil }
            return Access(router: router)
        }
        #expect(isAsking.wait(atMost: .seconds(60)) { $0 ? true : nil } == true)
        mapper.stop()
        #expect(!mapper.join(atMost: .milliseconds(20)))
        goesOn.change { $0 = true }
        #expect(mapper.join(atMost: .seconds(60)))
        #expect(changes.read { $0.isEmpty }, "nothing is told after it was stopped")
    }

    @Test func librariesThatAreMissingAreNamed() {
        #expect {
            _ = try UPnPLibrary(files: [(17, "libnone-of-this-name.so.17")])
        } throws: { "\($0)".contains("apt install libminiupnpc17") }
    }

    /// The library is asked to read a description, since only so can be told that the fields of its record are where they are taken to be.
    @Test func recordOfTheRouterIsReadWhereTheLibraryWritesIt() throws {
        guard let library = try? UPnPLibrary() else { return }
        let kind = "urn:schemas-upnp-org:service:WANIPConnection:1"
        func service(_ type: String, _ path: String) -> String {
            "<service><serviceType>\(type)</serviceType><controlURL>\(path)/control</controlURL>"
                + "<eventSubURL>\(path)/events</eventSubURL><SCPDURL>\(path)/scpd</SCPDURL></service>"
        }
        let description =
            "<?xml version=\"1.0\"?><root><URLBase>http://192.0.2.1:5000/</URLBase><device><serviceList>"
            + service("urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1", "/common") + service(kind, "/connection")
            + "</serviceList></device></root>"
        let read = library.connection(in: description)
        #expect(read.controlURL == "/connection/control")
        #expect(read.serviceType == kind)
    }

    /// As above, of the record that the library keeps of a gateway: nothing is sent to it.
    @Test func recordOfTheGatewayIsWhereTheLibraryWritesItAndNoLonger() throws {
        guard let library = try? NATPMPLibrary() else { return }
        let loopback = UInt32(bigEndian: 0x7f00_0001)
        let record = try #require(library.record(gateway: loopback))
        let number = { (offset: Int) in record.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) } }
        #expect(number(NATPMPLibrary.ClientLayout.gateway) == loopback)
        #expect((0..<1_000_000).contains(number(NATPMPLibrary.ClientLayout.socket)))
        #expect(record[NATPMPLibrary.ClientLayout.size...].allSatisfy { $0 == 0xa5 }, "it has written more than it was taken to")
        #expect(record[..<NATPMPLibrary.ClientLayout.size].suffix(16).contains { $0 != 0xa5 }, "it has written less")
    }
}
