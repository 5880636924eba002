import ArgumentParser

/// A number of bytes as people write it: `512M`, `6G`, `1.5G`, `4096`. K, M, G and T are powers of 1024.
struct ByteSize: ExpressibleByArgument, CustomStringConvertible {
    let count: Int

    init(_ count: Int) {
        self.count = count
    }

    init?(argument: String) {
        var digits = Substring(argument.uppercased())
        for suffix in ["IB", "B"] where digits.hasSuffix(suffix) && digits.count > suffix.count {
            digits = digits.dropLast(suffix.count)
            break
        }
        let powers: [Character: Int] = ["K": 10, "M": 20, "G": 30, "T": 40]
        var shift = 0
        if let last = digits.last, let power = powers[last] {
            shift = power
            digits = digits.dropLast()
        }
        guard let value = Double(digits), value >= 0, let bytes = Int(exactly: (value * Double(1 << shift)).rounded()) else { return nil }
        count = bytes
    }

    var description: String {
        for (shift, letter) in [(40, "T"), (30, "G"), (20, "M"), (10, "K")] where count >= 1 << shift && count % (1 << shift) == 0 {
            return "\(count >> shift)\(letter)"
        }
        return "\(count)"
    }

    var defaultValueDescription: String { description }
}
