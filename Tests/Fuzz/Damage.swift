/// Changes to bytes that know nothing of what they mean.
enum Damage {
    /// One to four changes within `range`, which must not be empty; the length stays, or shrinks from the end.
    static func bytes(_ bytes: inout [UInt8], _ range: Range<Int>, _ random: inout Random) {
        for _ in 0..<(1 + random.below(4)) {
            let place = range.lowerBound + random.below(min(range.upperBound, bytes.count) - range.lowerBound)
            guard place < bytes.count else { return }
            switch random.below(8) {
            case 0, 1: bytes[place] ^= 1 << UInt8(random.below(8))
            case 2: bytes[place] = random.pick([0, 1, 0x7f, 0x80, 0xff])
            case 3: bytes[place] = UInt8(truncatingIfNeeded: random.next())
            case 4, 5, 6:
                // Numbers are mostly at multiples of four from a message's beginning, behind nine bytes.
                let aligned = random.chance(70) ? range.lowerBound + 9 + (place - range.lowerBound) & ~3 : place
                let value = random.hostile()
                for index in 0..<(random.chance(50) ? 8 : 4) where aligned + index < bytes.count {
                    bytes[aligned + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
                }
            default: if random.chance(15) { bytes.removeSubrange(place...) }
            }
        }
    }
}
