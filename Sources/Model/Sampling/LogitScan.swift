/// Passes over a whole row of logits, a few hundred thousand floats: sixteen at a time. No pass traps on any value.
///
/// The exponential is our own, of plain products and sums, so that a seed chooses the same token on every platform.
enum LogitScan {
    private typealias Vector = SIMD16<Float>
    /// How many logits are looked at between two looks at the best so far.
    private static let block = 4096

    @inline(__always)
    private static func load(_ base: UnsafePointer<Float>, _ index: Int) -> Vector {
        UnsafeRawPointer(base + index).loadUnaligned(as: Vector.self)
    }

    /// The largest value and the lowest index that has it. NaNs are passed over; (-∞, 0) if nothing else is there.
    static func maximum(of logits: UnsafeBufferPointer<Float>) -> (value: Float, index: Int) {
        guard let base = logits.baseAddress else { return (-.infinity, 0) }
        let count = logits.count
        var best = -Float.infinity
        var bestBlock = 0
        var start = 0
        while start < count {
            let end = min(start + block, count)
            var largest = Vector(repeating: -.infinity)
            var index = start
            while index + 16 <= end {
                let values = load(base, index)
                largest.replace(with: values, where: values .> largest)
                index += 16
            }
            var blockBest = best
            for lane in 0..<16 where largest[lane] > blockBest { blockBest = largest[lane] }
            while index < end {
                if base[index] > blockBest { blockBest = base[index] }
                index += 1
            }
            if blockBest > best {
                best = blockBest
                bestBlock = start
            }
            start = end
        }
        guard best > -.infinity else { return (-.infinity, 0) }
        var index = bestBlock
        while index < count, base[index] != best { index += 1 }
        return (best, index)
    }

    /// Copies logits with NaN made minus infinity and plus infinity made the largest finite number.
    static func copyMended(_ source: UnsafeBufferPointer<Float>, to target: UnsafeMutableBufferPointer<Float>) {
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        let count = min(source.count, target.count)
        let lowest = Vector(repeating: -.infinity)
        let highest = Vector(repeating: .greatestFiniteMagnitude)
        var index = 0
        while index + 16 <= count {
            var values = load(from, index)
            values = values.replacing(with: lowest, where: values .!= values)
            values = values.replacing(with: highest, where: values .> highest)
            UnsafeMutableRawPointer(to + index).storeBytes(of: values, as: Vector.self)
            index += 16
        }
        while index < count {
            let value = from[index]
            to[index] = value.isNaN ? -.infinity : min(value, .greatestFiniteMagnitude)
            index += 1
        }
    }

    // MARK: Partial selection

    /// The worst of those kept on top, so that it is the one to go.
    private struct Kept: HeapElement {
        var entry: Candidates.Entry
        func precedes(_ other: Kept) -> Bool { other.entry.precedes(entry) }
    }

    /// The `k` largest above minus infinity, the largest first, among equals the lower index.
    ///
    /// One pass against a rising threshold; a heap is touched about k·ln(n/k) times if the logits are in no order.
    static func largest(_ k: Int, of logits: UnsafeBufferPointer<Float>) -> [Candidates.Entry] {
        guard k > 0, let base = logits.baseAddress else { return [] }
        let count = logits.count
        var heap = BinaryHeap<Kept>()
        var size = 0
        var threshold = -Float.infinity

        func offer(_ index: Int) {
            let logit = base[index]
            guard logit > threshold else { return }
            heap.push(Kept(entry: .init(token: Int32(truncatingIfNeeded: index), logit: logit)))
            size += 1
            if size > k {
                _ = heap.pop()
                size = k
            }
            if size == k, let worst = heap.top { threshold = worst.entry.logit }
        }

        var index = 0
        while index + 16 <= count {
            if any(load(base, index) .> Vector(repeating: threshold)) {
                for lane in index..<(index + 16) { offer(lane) }
            }
            index += 16
        }
        while index < count {
            offer(index)
            index += 1
        }
        var entries: [Candidates.Entry] = []
        entries.reserveCapacity(size)
        while let kept = heap.pop() { entries.append(kept.entry) }
        entries.reverse()
        return entries
    }

    // MARK: Exponentials

    /// e to the power of x for x ≤ 0, to about 1e-7 relative; 0 below about -87, 1 for what is above 0 or not a number.
    static func exponential(_ x: Float) -> Float { exponential(Vector(repeating: x))[0] }

    /// 2ⁿ · e^r with n = round(x / ln 2): r is small enough for a polynomial, and 2ⁿ is written into the exponent's bits.
    @inline(__always)
    private static func exponential(_ x: Vector) -> Vector {
        let floor = Vector(repeating: -87)
        let isTiny = x .< floor
        var argument = x.replacing(with: floor, where: isTiny)
        argument = argument.replacing(with: Vector(repeating: 0), where: .!(argument .<= Vector(repeating: 0)))
        // Adding 1.5 · 2²³ rounds to an integer and leaves it in the low bits.
        let magic = Vector(repeating: 12_582_912)
        let shifted = argument * Vector(repeating: 1.442_695_04) + magic
        let n = shifted - magic
        let r = (argument - n * Vector(repeating: 0.693_359_375)) - n * Vector(repeating: -2.121_944_4e-4)
        var p = Vector(repeating: 1.0 / 720)
        p = p * r + Vector(repeating: 1.0 / 120)
        p = p * r + Vector(repeating: 1.0 / 24)
        p = p * r + Vector(repeating: 1.0 / 6)
        p = p * r + Vector(repeating: 0.5)
        p = p * r + Vector(repeating: 1)
        p = p * r + Vector(repeating: 1)
        let integer = unsafeBitCast(shifted, to: SIMD16<UInt32>.self) &- SIMD16<UInt32>(repeating: 0x4B40_0000)
        let power = unsafeBitCast((integer &+ SIMD16<UInt32>(repeating: 127)) &<< SIMD16<UInt32>(repeating: 23), to: Vector.self)
        return (p * power).replacing(with: Vector(repeating: 0), where: isTiny)
    }

    /// The sum of e^(x - top), added up block by block in a fixed order.
    static func sumOfExponentials(of logits: UnsafeBufferPointer<Float>, below top: Float) -> Double {
        guard top > -.infinity else { return 0 }
        var total = 0.0
        var start = 0
        while start < logits.count {
            total += blockSum(logits, start, top)
            start += block
        }
        return total
    }

    private static func blockSum(_ logits: UnsafeBufferPointer<Float>, _ start: Int, _ top: Float) -> Double {
        guard let base = logits.baseAddress else { return 0 }
        let end = min(start + block, logits.count)
        var sums = Vector(repeating: 0)
        var index = start
        while index + 16 <= end {
            sums += exponential(load(base, index) - Vector(repeating: top))
            index += 16
        }
        var total = 0.0
        for lane in 0..<16 { total += Double(sums[lane]) }
        while index < end {
            total += Double(exponential(base[index] - top))
            index += 1
        }
        return total
    }

    /// The index at which the running sum of probabilities passes `unit` (0 ..< 1); nil if all are minus infinity.
    static func draw(_ unit: Double, from logits: UnsafeBufferPointer<Float>) -> Int32? {
        let (top, topIndex) = maximum(of: logits)
        guard top > -.infinity else { return nil }
        var remaining = unit * sumOfExponentials(of: logits, below: top)
        // Whole blocks first, by the same sums as the total; the last one with any weight takes what rounding leaves.
        var start = 0
        var chosenBlock = topIndex / block * block
        while start < logits.count {
            let sum = blockSum(logits, start, top)
            if sum > 0 { chosenBlock = start }
            if sum > remaining { break }
            if start + block < logits.count { remaining -= sum }
            start += block
        }
        var chosen: Int?
        for index in chosenBlock..<min(chosenBlock + block, logits.count) {
            let weight = Double(exponential(logits[index] - top))
            guard weight > 0 else { continue }
            chosen = index
            if weight > remaining { break }
            remaining -= weight
        }
        return Int32(truncatingIfNeeded: chosen ?? topIndex)
    }
}
