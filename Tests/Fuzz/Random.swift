/// The same numbers for the same seed, everywhere. (Steele, Lea, Flood, "SplitMix", 2014.)
struct Random: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) {
        state = seed
    }

    /// The numbers of one case of a run, whichever cases ran before it.
    init(seed: UInt64, index: Int) {
        state = seed &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(truncatingIfNeeded: index) &* 0xd1b5_4a32_d192_ed03
        _ = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// 0 ..< limit, or 0.
    mutating func below(_ limit: Int) -> Int {
        limit <= 1 ? 0 : Int(truncatingIfNeeded: (next() >> 32).multipliedFullWidth(by: UInt64(limit) << 32).high)
    }

    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    mutating func pick<Element>(_ list: [Element]) -> Element { list[below(list.count)] }

    /// Numbers at which arithmetic on sizes breaks, and their neighbours.
    mutating func hostile() -> UInt64 {
        let powers: [UInt64] = [0, 7, 8, 15, 16, 31, 32, 33, 44, 47, 60, 61, 62, 63]
        switch below(6) {
        case 0: return UInt64(below(5))
        case 1: return UInt64.max &- UInt64(below(300))
        case 2: return next()
        case 3: return UInt64(UInt32.max) &- UInt64(below(3))
        case 4: return (1 << pick(powers)) &+ UInt64(below(3)) &- 1
        default: return UInt64(Int64.max) &- UInt64(below(70))
        }
    }

    mutating func hostileFloat() -> Float {
        pick([
            .nan, .infinity, -.infinity, 0, -0.0, -1, 1e30, -1e30, 1e-30, .greatestFiniteMagnitude, .leastNonzeroMagnitude,
            2_147_483_648, -2_147_483_904, 9.3e18, 0.5, Float(bitPattern: UInt32(truncatingIfNeeded: next())),
        ])
    }
}
