/// The tokens that may still be chosen, with their logits.
///
/// Starts dense (a logit per token of the vocabulary, in order) and becomes sparse (few tokens, the likeliest first) as
/// stages take candidates away. A token whose logit is minus infinity cannot be chosen. No logit is ever a NaN or plus
/// infinity: whatever comes in so is mended at once.
public struct Candidates: Sendable {
    public struct Entry: Sendable, Equatable {
        public var token: Int32
        public var logit: Float

        public init(token: Int32, logit: Float) {
            self.token = token
            self.logit = logit
        }

        /// The likelier first, among equals the lower token.
        @inline(__always)
        func precedes(_ other: Entry) -> Bool {
            logit > other.logit || (logit == other.logit && token < other.token)
        }
    }

    /// A logit per token, where `isDense`.
    private(set) var dense: [Float] = []
    /// In order of `Entry.precedes`, where not `isDense`.
    private(set) var entries: [Entry] = []
    private(set) var isDense = true

    init() {}

    /// Starts again with a row of logits; keeps its memory.
    mutating func load(_ logits: UnsafeBufferPointer<Float>) {
        isDense = true
        entries.removeAll(keepingCapacity: true)
        if dense.count != logits.count { dense = [Float](repeating: 0, count: logits.count) }
        dense.withUnsafeMutableBufferPointer { LogitScan.copyMended(logits, to: $0) }
    }

    /// Starts again with the likeliest, the likelier first.
    mutating func load(sorted likeliest: ArraySlice<Entry>) {
        isDense = false
        entries.removeAll(keepingCapacity: true)
        entries.append(contentsOf: likeliest)
    }

    /// The number of candidates, excluded ones included while dense.
    public var count: Int { isDense ? dense.count : entries.count }

    /// The candidates that are left, for stages of other modules. While dense, tokens are in order; then the likeliest is first.
    public func forEach(_ body: (Entry) -> Void) {
        if isDense {
            for index in dense.indices { body(Entry(token: Int32(truncatingIfNeeded: index), logit: dense[index])) }
        } else {
            entries.forEach(body)
        }
    }

    /// Changes one token's logit, if it is still a candidate. O(1) while dense.
    public mutating func update(_ token: Int32, _ change: (Float) -> Float) {
        if isDense {
            guard dense.indices.contains(Int(token)) else { return }
            dense[Int(token)] = Self.mended(change(dense[Int(token)]))
        } else if let index = entries.firstIndex(where: { $0.token == token }) {
            entries[index].logit = Self.mended(change(entries[index].logit))
            entries.sort { $0.precedes($1) }
        }
    }

    /// Excludes every token for which the condition does not hold.
    public mutating func keep(where isAllowed: (Int32) -> Bool) {
        if isDense {
            for index in dense.indices where dense[index] > -.infinity && !isAllowed(Int32(truncatingIfNeeded: index)) {
                dense[index] = -.infinity
            }
        } else {
            entries.removeAll { !isAllowed($0.token) }
        }
    }

    /// Keeps the `k` likeliest; afterwards sparse. Complexity: one pass, and O(k log k).
    public mutating func keepLargest(_ k: Int) {
        if isDense {
            entries = dense.withUnsafeBufferPointer { LogitScan.largest(k, of: $0) }
            isDense = false
        } else if entries.count > max(k, 0) {
            entries.removeSubrange(max(k, 0)...)
        }
    }

    /// Keeps the likeliest that together have the probability `p`, at least one.
    mutating func keepNucleus(_ p: Float) {
        if !isDense {
            let total = mass(of: entries, below: entries.first?.logit ?? 0)
            truncateToNucleus(p, total: total)
            return
        }
        // The nucleus is usually small: look among a few of the likeliest, then among more.
        let (top, total) = dense.withUnsafeBufferPointer { logits in
            let top = LogitScan.maximum(of: logits).value
            return (top, LogitScan.sumOfExponentials(of: logits, below: top))
        }
        let all = dense.count
        var k = 128
        while true {
            let likeliest = dense.withUnsafeBufferPointer { LogitScan.largest(min(k, all), of: $0) }
            if k >= all || likeliest.count < k || mass(of: likeliest, below: top) >= Double(p) * total {
                entries = likeliest
                isDense = false
                truncateToNucleus(p, total: total)
                return
            }
            k *= 8
        }
    }

    private mutating func truncateToNucleus(_ p: Float, total: Double) {
        guard let top = entries.first?.logit else { return }
        var sum = 0.0
        for index in entries.indices {
            sum += Double(LogitScan.exponential(entries[index].logit - top))
            if sum >= Double(p) * total {
                entries.removeSubrange((index + 1)...)
                return
            }
        }
    }

    private func mass(of entries: [Entry], below top: Float) -> Double {
        entries.reduce(0) { $0 + Double(LogitScan.exponential($1.logit - top)) }
    }

    /// Keeps those at least `p` times as likely as the likeliest; afterwards sparse.
    mutating func keepRelative(to p: Float) {
        if isDense {
            let top = dense.withUnsafeBufferPointer { LogitScan.maximum(of: $0).value }
            guard top > -.infinity else { return }
            entries.removeAll(keepingCapacity: true)
            for index in dense.indices where LogitScan.exponential(dense[index] - top) >= p {
                entries.append(Entry(token: Int32(truncatingIfNeeded: index), logit: dense[index]))
            }
            entries.sort { $0.precedes($1) }
            isDense = false
        } else if let top = entries.first?.logit {
            let kept = entries.firstIndex { LogitScan.exponential($0.logit - top) < p } ?? entries.count
            entries.removeSubrange(kept...)
        }
    }

    /// Divides all logits by a positive number, having made the largest 0, so that no division overflows.
    mutating func divide(by divisor: Float) {
        let factor = 1 / divisor
        if isDense {
            let top = dense.withUnsafeBufferPointer { LogitScan.maximum(of: $0).value }
            guard top > -.infinity else { return }
            for index in dense.indices { dense[index] = Self.scaled(dense[index] - top, by: factor) }
        } else if let top = entries.first?.logit, top > -.infinity {
            for index in entries.indices { entries[index].logit = Self.scaled(entries[index].logit - top, by: factor) }
        }
    }

    /// A difference to the largest logit, times a factor that may be infinite.
    private static func scaled(_ difference: Float, by factor: Float) -> Float {
        difference == 0 ? 0 : difference * factor
    }

    /// The likeliest candidate; nil if none can be chosen.
    func likeliest() -> Int32? {
        if isDense {
            let (value, index) = dense.withUnsafeBufferPointer { LogitScan.maximum(of: $0) }
            return value > -.infinity ? Int32(truncatingIfNeeded: index) : nil
        }
        guard let first = entries.first, first.logit > -.infinity else { return nil }
        return first.token
    }

    /// The candidate at which the running sum of probabilities passes `unit` (0 ..< 1); nil if none can be chosen.
    func draw(_ unit: Double) -> Int32? {
        if isDense {
            return dense.withUnsafeBufferPointer { LogitScan.draw(unit, from: $0) }
        }
        guard let top = entries.first?.logit, top > -.infinity else { return nil }
        let total = mass(of: entries, below: top)
        var sum = 0.0
        var chosen = entries[0].token
        for entry in entries {
            let weight = Double(LogitScan.exponential(entry.logit - top))
            if weight == 0 { break }
            chosen = entry.token
            sum += weight
            if sum > unit * total { break }
        }
        return chosen
    }

    /// The probabilities with which ``draw(_:)`` chooses: of one token, and of the likeliest, the likelier first. Tokens that cannot be
    /// chosen are not among them.
    func shares(of token: Int32, likeliest count: Int) -> (token: Float, likeliest: [Share]) {
        let best: [Entry]
        let total: Double
        let logit: Float
        if isDense {
            best = dense.withUnsafeBufferPointer { LogitScan.largest(max(count, 1), of: $0) }
            let top = best.first?.logit ?? -.infinity
            total = dense.withUnsafeBufferPointer { LogitScan.sumOfExponentials(of: $0, below: top) }
            logit = dense.indices.contains(Int(token)) ? dense[Int(token)] : -.infinity
        } else {
            best = Array(entries.prefix(max(count, 1)))
            total = mass(of: entries, below: entries.first?.logit ?? 0)
            logit = entries.first { $0.token == token }?.logit ?? -.infinity
        }
        guard let top = best.first?.logit, top > -.infinity, total > 0 else { return (1, []) }
        func share(_ logit: Float) -> Float { Float(Double(LogitScan.exponential(logit - top)) / total) }
        let shares = best.prefix(count).map { Share(token: $0.token, probability: share($0.logit)) }
        return (share(logit), shares.filter { $0.probability > 0 })
    }

    /// A token and the probability with which it is chosen.
    public struct Share: Sendable, Equatable {
        public var token: Int32
        public var probability: Float
    }

    private static func mended(_ logit: Float) -> Float {
        logit.isNaN ? -.infinity : min(logit, .greatestFiniteMagnitude)
    }
}
