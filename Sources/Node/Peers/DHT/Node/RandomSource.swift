/// Numbers that nobody can foresee; or, for tests, the same for the same seed (SplitMix64; Steele, Lea and Flood, 2014).
struct RandomSource: RandomNumberGenerator, Sendable {
    private var state: UInt64?
    private var system = SystemRandomNumberGenerator()

    init(seed: UInt64?) { state = seed }

    mutating func next() -> UInt64 {
        guard let last = state else { return system.next() }
        let next = last &+ 0x9e37_79b9_7f4a_7c15
        state = next
        var word = (next ^ next >> 30) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
        return word ^ word >> 31
    }
}
