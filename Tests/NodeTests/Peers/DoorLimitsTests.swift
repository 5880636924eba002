import NodePeers
import RPCProto
import Testing

/// Whatever strangers do, in whatever order: what a door keeps of them is bounded, and there is room for those who speak.
@Suite(.timeLimit(.minutes(2))) struct DoorLimitsTests {
    private static let second: DoorLimits.Time = 1_000_000_000

    private func address(_ number: Int) -> NetworkAddress? {
        NetworkAddress(bytes: [10, UInt8(number >> 16 & 255), UInt8(number >> 8 & 255), UInt8(number & 255)])
    }

    /// What a door does, held against what it was told.
    private struct Door {
        var limits = DoorLimits()
        var now: DoorLimits.Time = 1_000_000_000_000
        var open: [DoorLimits.Talk: NetworkAddress?] = [:]
        private var counts: [NetworkAddress?: Int] = [:]
        var faults: [String] = []

        mutating func begin(_ address: NetworkAddress?) -> DoorLimits.Talk? {
            defer { check() }
            switch limits.begin(address, at: now) {
            case .refuse: return nil
            case .talk(let talk, let instead):
                if let instead, !close(instead) { faults.append("\(instead) was not open, and made room") }
                if open.updateValue(address, forKey: talk) != nil { faults.append("\(talk) began twice") }
                counts[address, default: 0] += 1
                if counts[address, default: 0] > DoorLimits.talksPerAddress { faults.append("more talks with one address") }
                return talk
            }
        }

        private mutating func close(_ talk: DoorLimits.Talk) -> Bool {
            guard let address = open.removeValue(forKey: talk) else { return false }
            counts[address, default: 0] -= 1
            return true
        }

        mutating func end(_ talk: DoorLimits.Talk, isWelcome: Bool) {
            let isThere = close(talk)
            if limits.end(talk, isWelcome: isWelcome, at: now) != isThere { faults.append("\(talk) ended, and was \(isThere)") }
            check()
        }

        private mutating func check() {
            if limits.talkCount != open.count { faults.append("\(limits.talkCount) talks, and \(open.count) are open") }
            if open.count > DoorLimits.talks { faults.append("\(open.count) talks") }
            if limits.addressCount > DoorLimits.addresses + DoorLimits.talks { faults.append("\(limits.addressCount) addresses") }
        }
    }

    @Test("in thousands of random histories counts are true and bounded, and in the end everybody is talked to", arguments: 1...8)
    func histories(seed: Int) {
        for history in 0..<250 {
            var random = Draws(UInt64(seed * 1000 + history))
            var door = Door()
            let addresses = [2, 20, 400, 4000][random.below(4)]
            for _ in 0..<(history % 125 == 0 ? 4000 : 200) {
                door.now += UInt64(random.below(20)) * 1_000_000
                if random.below(100) == 0 { door.now += UInt64(random.below(60)) * DoorLimitsTests.second }
                // Clocks do not go back, but threads come late.
                if random.below(100) == 0 { door.now -= 1_000_000 }
                if random.below(3) > 0 || door.open.isEmpty {
                    _ = door.begin(random.below(50) == 0 ? nil : address(random.below(addresses)))
                } else {
                    let talk = door.open.keys.sorted()[random.below(door.open.count)]
                    door.end(talk, isWelcome: random.below(10) == 0)
                    if random.below(20) == 0 { door.end(talk, isWelcome: true) }
                }
            }
            // Who was refused most of all is talked to again when it has been quiet for a while.
            for talk in door.open.keys.sorted() { door.end(talk, isWelcome: false) }
            door.now += UInt64(DoorLimits.failures + 1) * DoorLimits.failureTime
            for number in 0..<min(addresses, 40) {
                guard let talk = door.begin(address(number)) else {
                    Issue.record("\(number) is locked out, seed \(seed), history \(history)")
                    break
                }
                door.end(talk, isWelcome: true)
            }
            #expect(door.faults.isEmpty, "seed \(seed), history \(history): \(door.faults.prefix(3))")
            if !door.faults.isEmpty { return }
        }
    }

    @Test("one address that knocks all the time has few talks a second, and none of another's")
    func oneAddress() {
        var door = Door()
        var talks = 0
        for _ in 0..<10_000 {
            door.now += 1_000_000
            guard let talk = door.begin(address(1)) else { continue }
            talks += 1
            door.end(talk, isWelcome: false)
        }
        // Ten seconds: a burst, and ten a second.
        #expect(talks <= 32 + 101)
        for number in 2..<60 {
            let talk = door.begin(address(number))
            #expect(talk != nil)
        }
        #expect(door.faults.isEmpty)
    }

    @Test("many addresses that say nothing keep out neither newcomers nor nodes that are known")
    func crowds() {
        var door = Door()
        let known = address(5_000_000)
        if let talk = door.begin(known) { door.end(talk, isWelcome: true) }
        // Each as often as it may, and none ever ends its talks by itself.
        for round in 0..<200 {
            door.now += DoorLimitsTests.second / 10
            for number in 0..<40 { for _ in 0..<16 { _ = door.begin(address(number)) } }
            #expect(door.limits.talkCount <= DoorLimits.talksWithUnknown)
            guard let newcomer = door.begin(address(1000 + round)), let old = door.begin(known) else {
                Issue.record("kept out in round \(round)")
                return
            }
            // Others come while they speak.
            for number in 0..<40 { _ = door.begin(address(number)) }
            #expect(door.open[newcomer] != nil && door.open[old] != nil, "round \(round)")
            door.end(newcomer, isWelcome: false)
            door.end(old, isWelcome: true)
        }
        #expect(door.faults.isEmpty)
    }

    @Test("a talk that made room is over, and its address has had a failure for it")
    func displaced() {
        var door = Door()
        var first: DoorLimits.Talk?
        for number in 0..<DoorLimits.talksWithUnknown {
            let talk = door.begin(address(number))
            first = first ?? talk
        }
        guard let first, case .talk(_, let instead) = door.limits.begin(address(999), at: door.now) else {
            Issue.record("refused")
            return
        }
        #expect(instead == first)
        let wasOpen = door.limits.end(first, isWelcome: true, at: door.now)
        #expect(!wasOpen)
    }
}
