internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// A copy with another type, other strides or another shape of as many elements.
    mutating func addCopy(_ id: TensorID) throws(BackendError) {
        var a = try source(id, 0)
        var result = try output(id)
        guard a.shape.checkedElementCount != nil, a.elementCount == result.elementCount else {
            throw invalid(id, "\(a.shape) cannot be copied to \(result.shape)")
        }
        if result.isEmpty { return }
        let (unit, resultUnit) = (a.type.elementsPerBlock, result.type.elementsPerBlock)
        guard a.n0 % unit == 0, result.n0 % resultUnit == 0 else {
            throw invalid(id, "its rows are no whole numbers of blocks")
        }
        if a.isPacked, result.isPacked {
            // Neither has gaps, so both are one row.
            let row = Shape(a.elementCount)
            (a, result) = (a.reshaped(row), result.reshaped(row))
        } else if result.n0 % unit != 0, result.isPacked, a.n0 % resultUnit == 0 {
            result = result.reshaped(a.shape)
        }
        guard result.n0 % unit == 0 else { throw unsupported(id, "the result's rows would end within blocks") }
        if a.type == result.type {
            addUnitCopy(a, result)
        } else {
            try addConversion(id, a, result)
        }
    }

    /// Units as they are, in ggml's order, whatever the two shapes.
    private mutating func addUnitCopy(_ a: Operand, _ result: Operand) {
        let size = a.type.bytesPerBlock
        let unit = a.type.elementsPerBlock
        let isDense = a.hasContiguousRows && result.hasContiguousRows
        let sections = Sections(result)
        let bytes = Double(sections.length / unit &* size)
        addPhase(
            over: sections.count, costPerUnit: bytes * (isDense ? 0.06 : 0.3) + 8, reads: a.ranges,
            writes: result.ranges
        ) { _, range in
            var from = UnitCursor(a, at: sections.start(range.lowerBound))
            var to = UnitCursor(result, at: sections.start(range.lowerBound))
            for section in range {
                var left = sections.length(section)
                while left > 0 {
                    let run = min(left, from.remaining)
                    Units.copy(
                        from: from.place, stride: a.s0, to: to.place, targetStride: result.s0, size: size,
                        count: unit == 1 ? run : run / unit)
                    from.advance(run)
                    to.advance(run)
                    left &-= run
                }
            }
        }
    }

    /// Values of another type, through F32, in ggml's order.
    private mutating func addConversion(_ id: TensorID, _ a: Operand, _ result: Operand) throws(BackendError) {
        guard let write = rowWriter(result.type), let read = tables.conversions[a.type.rawValue]?.toF32 else {
            throw unsupported(id)
        }
        let (size, unit) = (a.type.bytesPerBlock, a.type.elementsPerBlock)
        let (resultSize, resultUnit) = (result.type.bytesPerBlock, result.type.elementsPerBlock)
        let isDense = result.hasContiguousRows
        let writesDirectly = isDense && result.type == .f32
        let readsDirectly = a.hasContiguousRows && a.type == .f32
        let sections = Sections(result)
        // F32 values, then units of either tensor next to each other; no unit has more than 8 bytes an element.
        let gathered = sections.length + 16
        try needScratch(sections.length * 12 + 64)
        let perElement = result.type.isQuantized ? 3.0 : 0.5
        addPhase(
            over: sections.count, costPerUnit: Double(sections.length) * perElement + 20, reads: a.ranges,
            writes: result.ranges
        ) { worker, range in
            var from = UnitCursor(a, at: sections.start(range.lowerBound))
            var to = UnitCursor(result, at: sections.start(range.lowerBound))
            let packed = UnsafeMutableRawPointer(worker.floats(gathered))
            for section in range {
                let length = sections.length(section)
                let place = to.place
                to.advance(length)
                let target = writesDirectly ? place.assumingMemoryBound(to: Float.self) : worker.floats()
                var values = UnsafePointer(target)
                if readsDirectly, !writesDirectly, from.remaining >= length {
                    values = UnsafePointer(from.place.assumingMemoryBound(to: Float.self))
                    from.advance(length)
                } else {
                    var done = 0
                    while done < length {
                        let run = min(length &- done, from.remaining)
                        if a.hasContiguousRows {
                            read(from.place, target + done, run)
                        } else {
                            Units.copy(
                                from: from.place, stride: a.s0, to: packed, targetStride: size, size: size,
                                count: run / unit)
                            read(packed, target + done, run)
                        }
                        from.advance(run)
                        done &+= run
                    }
                }
                if writesDirectly { continue }
                if isDense {
                    write(values, place, length)
                } else {
                    write(values, packed, length)
                    Units.copy(
                        from: packed, stride: resultSize, to: place, targetStride: result.s0, size: resultSize,
                        count: length / resultUnit)
                }
            }
        }
    }
}

/// A result's elements in sections that lie within one row each and, but for a row's last, are equally long.
private struct Sections {
    private let perRow: Int
    private let rowLength: Int
    /// Elements of the longest section.
    let length: Int
    let count: Int

    init(_ result: Operand) {
        rowLength = result.n0
        // A multiple of every format's block, and little enough for the first cache.
        length = min(rowLength, 4096)
        perRow = (rowLength - 1) / length + 1
        count = perRow &* result.rowCount
    }

    /// The first element of a section.
    func start(_ section: Int) -> Int {
        if perRow == 1 { return section &* rowLength }
        let (row, index) = section.quotientAndRemainder(dividingBy: perRow)
        return row &* rowLength &+ index &* length
    }

    @inline(__always)
    func length(_ section: Int) -> Int {
        if perRow == 1 { return rowLength }
        return min(length, rowLength &- section % perRow &* length)
    }
}
