internal import Tensor

extension PlanBuilder {
    /// The indices that sort each row; equal values keep their order, and what is no number comes last.
    mutating func addArgsort(_ id: TensorID, _ order: SortOrder) throws(BackendError) {
        let a = try source(id, 0)
        let result = try indexOutput(id, a.shape)
        try addSorted(id, a, into: result) { sorter, values in sorter.sorted(values, order) }
    }

    /// The indices of the `count` largest of each row, largest first.
    mutating func addTopK(_ id: TensorID, count: Int) throws(BackendError) {
        let a = try source(id, 0)
        guard count >= 0, count <= a.n0 else { throw invalid(id, "\(count) of the \(a.n0) values of a row") }
        let result = try indexOutput(id, Shape(count, a.n1, a.n2, a.n3))
        try addSorted(id, a, into: result) { sorter, values in sorter.largest(count, of: values) }
    }

    /// As many indices of each row, in the order that `sort` gives, as the result's rows hold.
    private mutating func addSorted(
        _ id: TensorID, _ a: Operand, into result: Operand,
        _ sort: @escaping (RowSorter, UnsafePointer<Float>) -> UnsafePointer<RowSorter.Entry>
    ) throws(BackendError) {
        guard a.n0 <= Int(Int32.max) else { throw unsupported(id, "its rows are too long") }
        let reader = try reader(id, a)
        let offset = reader.scratchCount
        try needScratch(offset * 4 + RowSorter.scratchByteCount(a.n0))
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) * 8 + 200, reads: a.ranges, writes: result.ranges
        ) { worker, range in
            let sorter = RowSorter(a.n0, in: UnsafeMutableRawPointer(worker.floats(offset)))
            for row in range {
                let entries = sort(sorter, reader.row(row, worker.floats()))
                let target = result.row(row).assumingMemoryBound(to: Int32.self)
                for i in 0..<result.n0 { target[i] = Int32(truncatingIfNeeded: entries[i]) }
            }
        }
    }

    private func indexOutput(_ id: TensorID, _ shape: Shape) throws(BackendError) -> Operand {
        let result = try output(id)
        guard result.type == .i32, result.hasContiguousRows else { throw unsupported(id, "the result must be I32 rows") }
        guard result.shape == shape else { throw invalid(id, "its shape \(result.shape) should be \(shape)") }
        return result
    }
}

/// Sorts the indices of rows of one length by their values: by digits, in time proportional to the length.
struct RowSorter {
    /// A number that sorts as the value does, above the value's index.
    typealias Entry = UInt64

    private let count: Int
    private let entries: UnsafeMutablePointer<Entry>
    private let others: UnsafeMutablePointer<Entry>
    private let counters: UnsafeMutablePointer<UInt32>

    /// Up to so many entries are sorted by insertion.
    private static let short = 48
    /// A counter for each value of each of a key's bytes.
    private static let counterCount = 4 * 256

    static func scratchByteCount(_ count: Int) -> Int { count * 16 + counterCount * 4 }

    init(_ count: Int, in scratch: UnsafeMutableRawPointer) {
        self.count = count
        counters = scratch.assumingMemoryBound(to: UInt32.self)
        entries = (scratch + RowSorter.counterCount * 4).assumingMemoryBound(to: Entry.self)
        others = entries + count
    }

    /// All indices (in the low halves) in the order of their values.
    func sorted(_ values: UnsafePointer<Float>, _ order: SortOrder) -> UnsafePointer<Entry> {
        let flip: UInt32 = order == .ascending ? 0 : .max
        for i in 0..<count { entries[i] = RowSorter.entry(values[i], i, flip) }
        return sort(count)
    }

    /// The first `wanted` entries of the descending order, and perhaps more behind them.
    ///
    /// Values that are larger than the last one wanted so far are gathered; whenever there are twice as many as wanted, they
    /// are sorted and the smaller half is dropped.
    func largest(_ wanted: Int, of values: UnsafePointer<Float>) -> UnsafePointer<Entry> {
        if count <= RowSorter.short || wanted > count / 4 || wanted == 0 { return sorted(values, .descending) }
        let room = max(2 * wanted, RowSorter.short)
        var found = 0
        var bound = Entry.max
        var limit = Float.nan
        var i = 0
        while i < count {
            if limit == limit, i &+ RowScan.width <= count, !RowScan.exceeds(values + i, limit) {
                i &+= RowScan.width
                continue
            }
            let end = min(i &+ RowScan.width, count)
            while i < end {
                let value = values[i]
                let entry = RowSorter.entry(value, i, .max)
                i &+= 1
                if value <= limit || entry >= bound { continue }
                entries[found] = entry
                found &+= 1
                if found < room { continue }
                let best = sort(found)
                if best != UnsafePointer(entries) { entries.update(from: best, count: wanted) }
                found = wanted
                bound = entries[wanted &- 1]
                limit = values[Int(truncatingIfNeeded: bound & 0xffff_ffff)]
            }
        }
        return sort(found)
    }

    /// Ascending as the value is, or descending with all bits of `flip` set; what is no number comes last either way.
    @inline(__always)
    private static func key(_ value: Float, _ flip: UInt32) -> UInt32 {
        // Both zeros are one value.
        let bits = (value + 0).bitPattern
        let sign = UInt32(bitPattern: Int32(bitPattern: bits) &>> 31)
        let key = bits ^ (sign | 0x8000_0000) ^ flip
        return value == value ? key : .max
    }

    @inline(__always)
    private static func entry(_ value: Float, _ index: Int, _ flip: UInt32) -> Entry {
        UInt64(key(value, flip)) &<< 32 | UInt64(truncatingIfNeeded: index)
    }

    /// Sorts the first `count` entries, of which those with equal keys are in the order of their indices.
    private func sort(_ count: Int) -> UnsafePointer<Entry> {
        if count <= RowSorter.short {
            insertionSort(count)
            return UnsafePointer(entries)
        }
        return radixSort(count)
    }

    private func insertionSort(_ count: Int) {
        var i = 1
        while i < count {
            let entry = entries[i]
            var j = i
            while j > 0, entries[j &- 1] > entry {
                entries[j] = entries[j &- 1]
                j &-= 1
            }
            entries[j] = entry
            i &+= 1
        }
    }

    /// By the key's bytes, lowest first, each pass keeping the order of the one before.
    private func radixSort(_ count: Int) -> UnsafePointer<Entry> {
        counters.update(repeating: 0, count: RowSorter.counterCount)
        for i in 0..<count {
            let key = UInt32(truncatingIfNeeded: entries[i] &>> 32)
            counters[Int(key & 0xff)] &+= 1
            counters[Int(256 &+ (key &>> 8 & 0xff))] &+= 1
            counters[Int(512 &+ (key &>> 16 & 0xff))] &+= 1
            counters[Int(768 &+ (key &>> 24))] &+= 1
        }
        var (from, to) = (entries, others)
        for digit in 0..<4 {
            let places = counters + digit &* 256
            let shift = UInt64(truncatingIfNeeded: 32 &+ digit &* 8)
            // Where all agree there is nothing to move.
            if places[Int(from[0] &>> shift & 0xff)] == UInt32(truncatingIfNeeded: count) { continue }
            var next: UInt32 = 0
            for value in 0..<256 {
                let size = places[value]
                places[value] = next
                next &+= size
            }
            for i in 0..<count {
                let entry = from[i]
                let value = Int(entry &>> shift & 0xff)
                to[Int(places[value])] = entry
                places[value] &+= 1
            }
            swap(&from, &to)
        }
        return UnsafePointer(from)
    }
}
