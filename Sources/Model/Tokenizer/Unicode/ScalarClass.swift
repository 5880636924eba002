/// What kind of character a Unicode scalar is, as the patterns that split texts into words ask for it.
///
/// Every scalar has one general category (Unicode Standard Annex 44), of which the first letter counts here; some are white
/// space besides. The table is of Unicode 15.1, wherever the program runs: a model was trained on words as they were split
/// then, and a system that learns of new letters must not split them otherwise.
struct ScalarClass: OptionSet, Sendable {
    let rawValue: UInt8

    /// L, M, N, P, S, Z; C is what is none of them, unassigned scalars among it.
    static let letter = ScalarClass(rawValue: 1)
    static let mark = ScalarClass(rawValue: 2)
    static let number = ScalarClass(rawValue: 4)
    static let punctuation = ScalarClass(rawValue: 8)
    static let symbol = ScalarClass(rawValue: 16)
    static let separator = ScalarClass(rawValue: 32)
    static let other = ScalarClass(rawValue: 64)
    /// The property White_Space.
    static let space = ScalarClass(rawValue: 128)

    /// The class of a scalar; that of unassigned ones for what is none. O(1).
    static func of(_ scalar: UInt32) -> ScalarClass {
        scalar < 0x110000 ? ScalarClass(rawValue: classes[Int(scalar)]) : .other
    }

    /// By scalar: a byte each, since every character of every prompt is looked up.
    private static let classes: [UInt8] = {
        var classes = [UInt8](repeating: other.rawValue, count: 0x110000)
        for (index, run) in runs.enumerated() {
            let end = index + 1 < runs.count ? Int(runs[index + 1] >> 8) : classes.count
            for scalar in Int(run >> 8)..<end { classes[scalar] = UInt8(truncatingIfNeeded: run) }
        }
        for range in spaces {
            for scalar in range { classes[scalar] |= space.rawValue }
        }
        return classes
    }()

    private static let spaces: [ClosedRange<Int>] = [
        0x09...0x0D, 0x20...0x20, 0x85...0x85, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029, 0x202F...0x202F,
        0x205F...0x205F, 0x3000...0x3000,
    ]
}
