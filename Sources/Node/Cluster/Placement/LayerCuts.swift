/// Where a row of layers is cut, so that each device gets one run of them and every device is as full as the others.
///
/// What is minimised is the sum, over the devices, of the square of the bytes a device gets, divided by its room. Of all ways
/// to hand out a fixed number of bytes this sum is smallest where every device gets bytes in proportion to its room, and it
/// grows with the square of each one's distance from that (the sum of the squares of the filled fractions would not do:
/// it is smallest where devices get bytes in proportion to the square of their room). What no device may be given is
/// ruled out beforehand, in whole numbers; only the comparison of possible ways is done in floating point.
///
/// The costs are convex in the bytes of a run, so the best start of a run never moves back as its end moves on, and the
/// best starts for all ends are found by halving: O(devices · layers · log layers).
struct LayerCuts {
    /// A place for a run of layers.
    struct Seat {
        /// Bytes of layers that it can hold; below 0: none.
        var limit: Int
        /// Its room, as far as its part in the proportion goes.
        var room: Double
        /// The same where the output head is with it.
        var outputLimit: Int
        var outputRoom: Double
        /// Whether the output head may be put here.
        var mayHaveOutput: Bool
    }

    /// A run of layers per seat, up to the one with the output head, which is last; empty where a seat gets none.
    private(set) var runs: [Range<Int>]

    /// - Parameters:
    ///   - starts: bytes of all layers before each; one more than there are layers.
    ///   - output: bytes of the output head.
    ///   - needsLayers: whether no seat before the one with the output head may go without a layer. Only where none has
    ///     a limit.
    /// - Returns: nil if it cannot be done.
    init?(starts: [Int], output: Int, seats: [Seat], needsLayers: Bool = false) {
        let layerCount = starts.count - 1
        let least = needsLayers ? 1 : 0
        // Costs of the ends that can be reached, which are all from `low` to `high`.
        var costs = [Double](repeating: .infinity, count: layerCount + 1)
        costs[0] = 0
        var low = 0
        var high = 0
        var choices: [[Int32]] = []
        var best: (cost: Double, seat: Int, start: Int)?

        for (index, seat) in seats.enumerated() {
            if seat.mayHaveOutput {
                for start in stride(from: high, through: low, by: -1) {
                    let bytes = starts[layerCount] - starts[start]
                    if bytes > seat.outputLimit { break }
                    let all = Double(bytes) + Double(output)
                    let cost = costs[start] + all * all / seat.outputRoom
                    if let found = best, !(cost < found.cost * LayerCuts.better) { continue }
                    best = (cost, index, start)
                }
            }
            var row = LayerRow(starts: starts, costs: costs, seat: seat, least: least, low: low, high: high)
            row.fill()
            costs = row.newCosts
            low = row.newLow
            high = row.newHigh
            choices.append(row.choices)
            if low > high { break }
        }

        guard let best else { return nil }
        var runs = [best.start..<layerCount]
        for index in stride(from: best.seat - 1, through: 0, by: -1) {
            let end = runs[runs.count - 1].lowerBound
            runs.append(Int(choices[index][end])..<end)
        }
        self.runs = runs.reversed()
    }

    /// Ways that cost the same but for rounding must not be told apart by it: a way is better if it costs less than this
    /// part. Of equal ways the one with the longer runs first is taken.
    static let better = 1 - 1e-12
}

/// The best start of a seat's run for every end.
private struct LayerRow {
    let starts: [Int]
    let costs: [Double]
    let factor: Double
    let least: Int
    let low: Int
    let high: Int
    let newLow: Int
    let newHigh: Int
    /// For every end, the first start from which the run is within the limit.
    let firstStarts: [Int32]
    var newCosts: [Double]
    var choices: [Int32]

    init(starts: [Int], costs: [Double], seat: LayerCuts.Seat, least: Int, low: Int, high: Int) {
        self.starts = starts
        self.costs = costs
        self.least = least
        self.low = low
        self.high = high
        let limit = max(0, seat.limit)
        // A seat without room gets no bytes, so that its cost is none.
        factor = seat.room > 0 ? 1 / seat.room : 0
        var last = high
        if seat.limit >= 0 {
            while last + 1 < starts.count, starts[last + 1] - starts[high] <= limit { last += 1 }
        }
        newLow = low + least
        newHigh = last
        var firsts = [Int32](repeating: 0, count: starts.count)
        var first = 0
        for end in starts.indices {
            while starts[end] - starts[first] > limit { first += 1 }
            // Without a limit of at least 0 not even layers of no bytes may be put here.
            firsts[end] = Int32(seat.limit < 0 ? end : first)
        }
        firstStarts = firsts
        newCosts = [Double](repeating: .infinity, count: starts.count)
        choices = [Int32](repeating: 0, count: starts.count)
    }

    mutating func fill() {
        if newLow <= newHigh { fill(newLow, newHigh, from: low, through: high) }
    }

    /// For the ends from `firstEnd` to `lastEnd`, whose best starts lie between two known ones.
    private mutating func fill(_ firstEnd: Int, _ lastEnd: Int, from firstStart: Int, through lastStart: Int) {
        let end = (firstEnd + lastEnd) / 2
        let first = max(firstStart, Int(firstStarts[end]))
        // Never empty: limits and known starts both only move on, whatever the rounding of costs.
        let last = min(lastStart, end - least)
        var best = last
        var bestCost = Double.infinity
        var start = last
        while start >= first {
            let bytes = Double(starts[end] - starts[start])
            let cost = costs[start] + bytes * bytes * factor
            if cost < bestCost * LayerCuts.better || bestCost == .infinity {
                bestCost = cost
                best = start
            }
            start -= 1
        }
        newCosts[end] = bestCost
        choices[end] = Int32(best)
        if firstEnd < end { fill(firstEnd, end - 1, from: firstStart, through: best) }
        if end < lastEnd { fill(end + 1, lastEnd, from: best, through: lastStart) }
    }
}
