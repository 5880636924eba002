import NodePeers
import RPCProto
import Testing

/// Whoever is turned away is told of once, and cannot fill a disk or the memory by trying again.
@Suite struct RefusalLogTests {
    private let minute: UInt64 = 60_000_000_000

    @Test("one line for each address and reason, and how many there were when it is said again")
    func once() {
        let kept = KeptLog()
        let log = RefusalLog(kept.logger())
        let (one, two) = (NetworkAddress("10.0.0.1"), NetworkAddress("10.0.0.2"))
        for number in 0..<1000 { log.note("10.0.0.1:\(number)", one, "it does not speak TLS", at: minute + UInt64(number)) }
        #expect(kept.lines == ["warning: 10.0.0.1:0 turned away: it does not speak TLS"])
        log.note("10.0.0.2:5", two, "it does not speak TLS", at: minute)
        log.note("10.0.0.1:6", one, "it is revoked", at: minute)
        #expect(kept.lines.count == 3)
        // Numbers in a reason make it no other.
        for number in 0..<50 { log.note("10.0.0.2:5", two, "\(number) others are being asked", at: minute) }
        #expect(kept.lines.count == 4)
        log.note("10.0.0.1:7", one, "it does not speak TLS", at: 12 * minute)
        #expect(kept.lines.last == "warning: 10.0.0.1:7 turned away: it does not speak TLS (and 999 more like it since the last such line)")
        #expect(log.count == 1053)
    }

    @Test("more addresses than anybody reads are told of in one line, and later ones again by themselves")
    func crowd() {
        let kept = KeptLog()
        let log = RefusalLog(kept.logger())
        for number in 0..<20_000 {
            let address = NetworkAddress(bytes: [10, 0, UInt8(number >> 8), UInt8(number & 255)])
            log.note("\(number)", address, "it does not speak TLS", at: minute)
        }
        #expect(kept.lines.count == RefusalLog.limit + 1)
        #expect(kept.lines.last == "warning: more are turned away, from more addresses, than are listed one by one")
        log.note("later", NetworkAddress("10.9.9.9"), "it does not speak TLS", at: 12 * minute)
        #expect(kept.lines.last == "warning: later turned away: it does not speak TLS")
    }
}
