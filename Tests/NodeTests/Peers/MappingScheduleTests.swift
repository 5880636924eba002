import NodePeers
import RPCProto
import Testing

/// When a router is asked for ports, and by which method: decided without clock or network.
@Suite struct MappingScheduleTests {
    private static let second: UInt64 = 1_000_000_000
    private static let port = MappedPort(.tcp, inside: 7001, outside: 7001)

    private func mapping(_ address: String = "25.1.2.3", outside: UInt16 = 7001, lifetime: UInt32? = 3600) throws -> PortMapping {
        PortMapping(
            address: try #require(NetworkAddress(address)), ports: [MappedPort(.tcp, inside: 7001, outside: outside)], lifetime: lifetime)
    }

    @Test func methodsAreTriedInTurnAndTheReasonToldOnce() {
        var schedule = MappingSchedule([Self.port])
        #expect(schedule.step(at: 0) == .map(.natPMP, [Self.port]))
        #expect(schedule.failed(.noRouter(.natPMP), at: 1) == nil)
        #expect(schedule.step(at: 1) == .map(.upnp, [Self.port]))
        let all = MappingError.all([.noRouter(.natPMP), .noRouter(.upnp)])
        #expect(schedule.failed(.noRouter(.upnp), at: 2) == .failed(all))
        #expect(schedule.step(at: 3) == nil)
        let later = 3 * Self.second
        #expect(schedule.step(at: later) == .map(.natPMP, [Self.port]))
        _ = schedule.failed(.noRouter(.natPMP), at: later)
        _ = schedule.step(at: later)
        #expect(schedule.failed(.noRouter(.upnp), at: later) == nil, "the same reason again is no news")
    }

    @Test func pausesDoubleUpToTheLongest() {
        var settings = MappingSchedule.Settings()
        settings.methods = [.upnp]
        var schedule = MappingSchedule([Self.port], settings)
        var (now, pauses) = (UInt64(0), [UInt64]())
        for _ in 0..<10 {
            #expect(schedule.step(at: now) == .map(.upnp, [Self.port]))
            _ = schedule.failed(.noRouter(.upnp), at: now)
            pauses.append((schedule.due - now) / Self.second)
            now = schedule.due
        }
        #expect(pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
    }

    @Test func leaseIsRenewedAtHalfOfWhatWasGranted() throws {
        var settings = MappingSchedule.Settings()
        settings.lookInterval = 10_000
        for (granted, renewal) in [(3600, 1800), (600, 300), (7200, 1800), (1, 1)] as [(UInt32, UInt64)] {
            var schedule = MappingSchedule([Self.port], settings)
            _ = schedule.step(at: 0)
            let held = try mapping(lifetime: granted)
            #expect(schedule.granted(held, by: .natPMP, at: 0) == .mapped(held, by: .natPMP))
            #expect(schedule.due == renewal * Self.second)
            #expect(schedule.step(at: schedule.due) == .map(.natPMP, held.ports))
            #expect(schedule.granted(held, by: .natPMP, at: schedule.due) == nil, "the same again is no news")
        }
        var endless = MappingSchedule([Self.port], settings)
        _ = endless.granted(try mapping(lifetime: nil), by: .upnp, at: 0)
        #expect(endless.due == 1800 * Self.second)
    }

    @Test func routerThatForgotIsAskedAtOnceForTheSamePort() throws {
        var schedule = MappingSchedule([Self.port])
        _ = schedule.step(at: 0)
        _ = schedule.failed(.noRouter(.natPMP), at: 0)
        let held = try mapping(outside: 50_000)
        _ = schedule.granted(held, by: .upnp, at: 0)
        #expect(schedule.step(at: 60 * Self.second) == .look(.upnp, held))
        schedule.looked(stands: true, at: 60 * Self.second)
        #expect(schedule.due == 120 * Self.second)
        schedule.looked(stands: false, at: 120 * Self.second)
        // The method that did last comes first, and the port that others were told of is wished for.
        #expect(schedule.step(at: 120 * Self.second) == .map(.upnp, held.ports))
        #expect(schedule.granted(held, by: .upnp, at: 120 * Self.second) == nil)
        schedule.looked(stands: false, at: 180 * Self.second)
        _ = schedule.failed(.noRouter(.upnp), at: 180 * Self.second)
        #expect(schedule.step(at: 180 * Self.second) == .map(.natPMP, held.ports))
        #expect(schedule.failed(.noRouter(.natPMP), at: 180 * Self.second) == .failed(.all([.noRouter(.upnp), .noRouter(.natPMP)])))
        #expect(schedule.held == nil)
    }

    @Test func renewalThatFailsHasTheOtherMethodTried() throws {
        var schedule = MappingSchedule([Self.port])
        let held = try mapping(lifetime: 60)
        _ = schedule.granted(held, by: .natPMP, at: 0)
        #expect(schedule.step(at: 30 * Self.second) == .map(.natPMP, held.ports))
        #expect(schedule.failed(.noRouter(.natPMP), at: 30 * Self.second) == nil)
        #expect(schedule.step(at: 30 * Self.second) == .map(.upnp, held.ports))
        #expect(schedule.granted(held, by: .upnp, at: 31 * Self.second) == .mapped(held, by: .upnp))
    }

    @Test func anotherAddressOrPortIsTold() throws {
        var schedule = MappingSchedule([Self.port])
        _ = schedule.granted(try mapping(), by: .upnp, at: 0)
        let moved = try mapping("25.1.2.4")
        #expect(schedule.granted(moved, by: .upnp, at: 1) == .mapped(moved, by: .upnp))
        let other = try mapping("25.1.2.4", outside: 9)
        #expect(schedule.granted(other, by: .upnp, at: 2) == .mapped(other, by: .upnp))
        #expect(schedule.granted(try mapping("25.1.2.4", outside: 9, lifetime: 7), by: .upnp, at: 3) == nil)
    }

    @Test func routerBehindAnotherIsToldAsSuchAndHeld() throws {
        for address in ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.0.1", "169.254.1.1", "127.0.0.1"]
        {
            var schedule = MappingSchedule([Self.port])
            let told = schedule.granted(try mapping(address), by: .upnp, at: 0)
            #expect(told == .failed(.behindAnotherRouter(.upnp, address: address)))
            #expect(schedule.held?.mapping.address.description == address)
        }
        for address in ["25.1.2.3", "172.15.0.1", "172.32.0.1", "192.167.0.1", "100.63.0.1", "100.128.0.1", "9.255.255.255", "11.0.0.0"] {
            #expect(!PortMapping.isPrivate(try #require(NetworkAddress(address))))
        }
    }
}
