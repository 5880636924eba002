/// A number of bytes as people write it: `512M`, `6G`, `1.5G`, `4096`. K, M, G and T are powers of 1024.
public struct ByteSize: Hashable, Sendable, CustomStringConvertible {
    public let count: Int
    /// Whether it was written with a unit.
    public let hasUnit: Bool

    public init(_ count: Int) {
        self.count = count
        hasUnit = true
    }

    /// Nil for what is no size.
    public init?(_ text: String) {
        var digits = Substring(text.uppercased())
        var hasUnit = false
        for suffix in ["IB", "B"] where digits.hasSuffix(suffix) && digits.count > suffix.count {
            digits = digits.dropLast(suffix.count)
            hasUnit = true
            break
        }
        let powers: [Character: Int] = ["K": 10, "M": 20, "G": 30, "T": 40]
        var shift = 0
        if let last = digits.last, let power = powers[last] {
            shift = power
            hasUnit = true
            digits = digits.dropLast()
        }
        guard digits.allSatisfy({ "0123456789.".contains($0) }), let value = Double(digits), value >= 0,
            let bytes = Int(exactly: (value * Double(1 << shift)).rounded())
        else { return nil }
        count = bytes
        self.hasUnit = hasUnit
    }

    /// Why it is too little, as a sentence; nil if it is not.
    ///
    /// Programs differ in the unit that a number without one has, so one that is too small to be meant gets the likely one offered.
    ///
    /// - Parameter least: bytes below which nothing sensible can be done.
    public func complaint(below least: Int) -> String? {
        if count >= least { return nil }
        if hasUnit || count == 0 { return "\(self) is too little; at least \(ByteSize(least)) is needed." }
        return "\(count) bytes: did you mean \(count)M?"
    }

    public var description: String {
        for (shift, letter) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] where count >= 1 << shift && count % (1 << shift) == 0 {
            return "\(count >> shift)\(letter)"
        }
        return "\(count)"
    }
}
