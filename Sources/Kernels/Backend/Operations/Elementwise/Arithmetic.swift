internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The second source of a sum or product, repeated over the first.
private struct RepeatedRows {
    let reader: RowReader
    let n1: Int
    let n2: Int
    private let hasOneRow: Bool
    private let hasSameRows: Bool
    private let isTiled: Bool

    init(_ reader: RowReader, over a: Operand) {
        let b = reader.operand
        self.reader = reader
        (n1, n2) = (a.n1, a.n2)
        hasOneRow = b.rowCount == 1
        hasSameRows = b.n1 == a.n1 && b.n2 == a.n2 && b.n3 == a.n3
        isTiled = b.n0 != a.n0
    }

    var needsSlot: Bool { isTiled || !reader.isDirect }

    /// The values that meet a stretch of the first source.
    @inline(__always)
    func values(_ row: Int, _ first: Int, _ count: Int, _ slot: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
        let place = place(row)
        if !isTiled { return reader.values(at: place, from: first, count, slot) }
        tile(place, first, count, slot)
        return UnsafePointer(slot)
    }

    @inline(__always)
    private func place(_ row: Int) -> UnsafeMutableRawPointer {
        let b = reader.operand
        if hasOneRow { return b.base }
        if hasSameRows { return b.row(row) }
        let (rest, i1) = row.quotientAndRemainder(dividingBy: n1)
        let (i3, i2) = rest.quotientAndRemainder(dividingBy: n2)
        return b.row3(i1 % b.n1, i2 % b.n2, i3 % b.n3)
    }

    /// Fills `count` values with the row again and again, beginning where `first` falls in it.
    private func tile(_ place: UnsafeMutableRawPointer, _ first: Int, _ count: Int, _ slot: UnsafeMutablePointer<Float>) {
        let length = reader.operand.n0
        let period = min(length, count)
        var phase = first % length
        var filled = 0
        while filled < period {
            let part = min(length &- phase, period &- filled)
            let values = reader.values(at: place, from: phase, part, slot + filled)
            if reader.isDirect { (slot + filled).update(from: values, count: part) }
            filled &+= part
            phase = 0
        }
        if period == 1 { return slot.update(repeating: slot[0], count: count) }
        while filled < count {
            let part = min(filled, count &- filled)
            memcpy(slot + filled, slot, part &* 4)
            filled &+= part
        }
    }
}

extension PlanBuilder {
    enum BinaryKind {
        case add, sub, mul, div
    }

    /// Two sources, the second repeated over the first; each of any type and strides, computed in F32.
    mutating func addBinary(_ id: TensorID, _ kind: BinaryKind) throws(BackendError) {
        var a = try source(id, 0)
        var b = try source(id, 1)
        guard b.shape.repeats(into: a.shape) else { throw invalid(id, "\(b.shape) cannot be repeated to \(a.shape)") }
        var result = try convertedOutput(id, a.shape)
        if a.isEmpty { return }
        guard !b.type.isQuantized || a.n0 == b.n0 else { throw unsupported(id, "blocks cannot be repeated") }
        if a.shape == b.shape, a.isPacked, b.isPacked, result.isPacked {
            (a, b, result) = (a.asRow, b.asRow, result.asRow)
        }
        let kernel: RowPairKernel =
            switch kind {
            case .add: vector.add
            case .sub: vector.sub
            case .mul: vector.mul
            case .div: vector.div
            }
        let first = try reader(id, a)
        let second = RepeatedRows(try reader(id, b), over: a)
        let own = first.isDirect ? 0 : 1
        try addStretches(
            id, of: result, reads: a.ranges + b.ranges, costPerElement: 0.2, slots: own + (second.needsSlot ? 1 : 0)
        ) { _, stretch in
            let x = first.values(at: first.operand.row(stretch.row), from: stretch.first, stretch.count, stretch.slot(0))
            let y = second.values(stretch.row, stretch.first, stretch.count, stretch.slot(own))
            kernel(x, y, stretch.target, stretch.count)
        }
    }
}
