import Foundation
import NodePeers
import Testing

/// Nodes whose clocks differ use a key in common, and no key says what the next one is.
@Suite struct RendezvousKeysTests {
    private static let keys = NetworkKeys(material: Array("a token's secrets".utf8))
    private static let interval = 9000

    @Test("whoever looks finds whoever is there, with clocks up to ten minutes apart, at every time of a slot")
    func meeting() {
        let rendezvous = RendezvousKeys(RendezvousKeysTests.keys, interval: RendezvousKeysTests.interval)
        let start = 1_800_000_000.0
        for second in stride(from: 0.0, to: 2 * Double(RendezvousKeysTests.interval), by: 13) {
            let now = start + second
            let sought = Set(rendezvous.sought(at: Date(timeIntervalSince1970: now)))
            for difference in stride(from: -590.0, through: 590, by: 59) {
                let announced = rendezvous.announced(at: Date(timeIntervalSince1970: now + difference))
                #expect(!sought.isDisjoint(with: announced), "\(second) s, \(difference) s apart")
            }
            #expect((1...2).contains(sought.count))
        }
    }

    @Test("keys are of twenty bytes, change with the slot, and differ between networks of one token")
    func keys() {
        let rendezvous = RendezvousKeys(RendezvousKeysTests.keys, interval: RendezvousKeysTests.interval)
        let other = RendezvousKeys(
            NetworkKeys(material: Array("a token's secrets".utf8), networkID: "b"), interval: RendezvousKeysTests.interval)
        var seen: Set<[UInt8]> = []
        for slot in 0..<200 {
            let now = Date(timeIntervalSince1970: Double(slot * RendezvousKeysTests.interval) + 4000)
            for rendezvous in [rendezvous, other] {
                let keys = rendezvous.announced(at: now)
                #expect(keys.count == 1 && keys[0].count == RendezvousKeys.keyByteCount)
                seen.formUnion(keys)
            }
        }
        #expect(seen.count == 400)
    }

    @Test("clocks that make no sense give a key all the same")
    func clocks() {
        let rendezvous = RendezvousKeys(RendezvousKeysTests.keys, interval: 1)
        for time in [-1e300, -1, 0, 1e300, .infinity] { #expect(!rendezvous.announced(at: Date(timeIntervalSince1970: time)).isEmpty) }
    }
}
