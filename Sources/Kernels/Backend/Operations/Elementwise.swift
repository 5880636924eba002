#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import KernelTable
internal import Tensor

/// Rows cut into stretches of whole vectors, so that few long rows are shared out as well as many short ones. Where a
/// row is cut depends on its length alone.
struct RowStretches {
    static let length = 8192
    let perRow: Int
    let rowLength: Int

    init(_ rowLength: Int) {
        self.rowLength = rowLength
        perRow = max(1, (rowLength + RowStretches.length - 1) / RowStretches.length)
    }

    /// The row, the first element and the count of stretch `index`.
    @inline(__always)
    func stretch(_ index: Int) -> (row: Int, first: Int, count: Int) {
        if perRow == 1 { return (index, 0, rowLength) }
        let (row, part) = index.quotientAndRemainder(dividingBy: perRow)
        let first = part &* RowStretches.length
        return (row, first, min(RowStretches.length, rowLength &- first))
    }
}

extension PlanBuilder {
    /// A function of one variable over every element.
    mutating func addElementwise(_ id: TensorID, costPerElement: Double, _ kernel: @escaping RowKernel) throws(BackendError) {
        let a = try source(id, 0)
        let result = try floatOutput(id, a.shape)
        let reader = try reader(id, a)
        let stretches = RowStretches(a.n0)
        let cuts = reader.scratchCount == 0
        if !cuts { try needScratch(reader.scratchCount * 4) }
        let length = a.n0
        addPhase(
            over: cuts ? a.rowCount * stretches.perRow : a.rowCount,
            costPerUnit: costPerElement * Double(cuts ? min(length, RowStretches.length) : length), reads: a.ranges,
            writes: result.ranges
        ) { worker, range in
            for index in range {
                let (row, first, count) = cuts ? stretches.stretch(index) : (index, 0, length)
                let values = reader.row(row, worker.floats())
                let target = result.row(row).assumingMemoryBound(to: Float.self)
                kernel(values + first, target + first, count)
            }
        }
    }

    mutating func addUnary(_ id: TensorID, _ kind: UnaryKind) throws(BackendError) {
        let index = Int(kind.rawValue)
        guard index < vector.unary.count, let kernel = vector.unary[index] else { throw unsupported(id) }
        try addElementwise(id, costPerElement: 0.8, kernel)
    }

    mutating func addScale(_ id: TensorID, factor: Float, bias: Float) throws(BackendError) {
        let scale = vector.scale
        try addElementwise(id, costPerElement: 0.15) { scale($0, $1, $2, factor, bias) }
    }

    mutating func addClamp(_ id: TensorID, _ low: Float, _ high: Float) throws(BackendError) {
        let clamp = vector.clamp
        try addElementwise(id, costPerElement: 0.15) { clamp($0, $1, $2, low, high) }
    }

    mutating func addSquare(_ id: TensorID) throws(BackendError) {
        let mul = vector.mul
        try addElementwise(id, costPerElement: 0.15) { mul($0, $0, $1, $2) }
    }

    mutating func addFunction(_ id: TensorID, _ function: @escaping @Sendable (Float) -> Float) throws(BackendError) {
        try addElementwise(id, costPerElement: 8) { source, target, count in
            for i in 0..<count { target[i] = function(source[i]) }
        }
    }

    /// The gated linear units: the gate's function times the value.
    mutating func addGLU(_ id: TensorID, _ parameters: GLUParameters) throws(BackendError) {
        let index = Int(parameters.kind.rawValue)
        guard index < vector.glu.count, let kernel = vector.glu[index],
            parameters.kind != .swigluOAI, parameters.kind != .swigluClamp
        else { throw unsupported(id) }
        let a = try source(id, 0)
        guard let b = try optionalSource(id, 1) else {
            return try addHalvesGLU(id, a, swapped: parameters.swapped, kernel)
        }
        guard a.shape == b.shape else { throw invalid(id, "gate \(a.shape) and value \(b.shape) differ") }
        let result = try floatOutput(id, a.shape)
        let gates = try reader(id, a)
        let values = try reader(id, b)
        let offset = gates.scratchCount
        try needScratch((offset + values.scratchCount) * 4)
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0), reads: a.ranges + b.ranges, writes: result.ranges
        ) { worker, range in
            for row in range {
                let gate = gates.row(row, worker.floats())
                let value = values.row(row, worker.floats(offset))
                kernel(gate, value, result.row(row).assumingMemoryBound(to: Float.self), result.n0)
            }
        }
    }

    private mutating func addHalvesGLU(
        _ id: TensorID, _ a: Operand, swapped: Bool, _ kernel: @escaping RowPairKernel
    ) throws(BackendError) {
        guard a.n0 % 2 == 0 else { throw invalid(id, "rows of \(a.shape) have no halves") }
        let half = a.n0 / 2
        let result = try floatOutput(id, Shape(half, a.n1, a.n2, a.n3))
        let reader = try reader(id, a)
        try needScratch(reader.scratchCount * 4)
        let gateOffset = swapped ? half : 0
        addPhase(
            over: a.rowCount, costPerUnit: Double(half), reads: a.ranges, writes: result.ranges
        ) { worker, range in
            for row in range {
                let both = reader.row(row, worker.floats())
                let target = result.row(row).assumingMemoryBound(to: Float.self)
                kernel(both + gateOffset, both + (half - gateOffset), target, half)
            }
        }
    }

    // MARK: Two sources, the second repeated over the first

    enum BinaryKind {
        case add, sub, mul, div
    }

    mutating func addBinary(_ id: TensorID, _ kind: BinaryKind) throws(BackendError) {
        let a = try source(id, 0)
        let b = try source(id, 1)
        guard b.shape.repeats(into: a.shape) else { throw invalid(id, "\(b.shape) cannot be repeated to \(a.shape)") }
        let result = try floatOutput(id, a.shape)
        if a.isEmpty { return }
        let kernel: RowPairKernel =
            switch kind {
            case .add: vector.add
            case .sub: vector.sub
            case .mul: vector.mul
            case .div: vector.div
            }
        let first = try reader(id, a)
        let second = try reader(id, b)
        let isTiled = b.n0 != a.n0
        let tileOffset = first.scratchCount + second.scratchCount
        try needScratch((tileOffset + (isTiled ? a.n0 : 0)) * 4)
        let secondOffset = first.scratchCount
        let sameRows = b.n1 == a.n1 && b.n2 == a.n2 && b.n3 == a.n3
        let hasOneRow = b.rowCount == 1
        let (n1, n2) = (a.n1, a.n2)
        let repeats = a.n0 / b.n0
        let stretches = RowStretches(a.n0)
        let cuts = tileOffset == 0 && !isTiled
        let cost = 0.2 * Double(cuts ? min(a.n0, RowStretches.length) : a.n0) + 5
        addPhase(
            over: cuts ? a.rowCount * stretches.perRow : a.rowCount, costPerUnit: cost, reads: a.ranges + b.ranges,
            writes: result.ranges
        ) { worker, range in
            for index in range {
                let (row, start, count) = cuts ? stretches.stretch(index) : (index, 0, a.n0)
                let x = first.row(row, worker.floats())
                let place: UnsafeMutableRawPointer
                if hasOneRow {
                    place = b.base
                } else if sameRows {
                    place = b.row(row)
                } else {
                    let (rest, i1) = row.quotientAndRemainder(dividingBy: n1)
                    let (i3, i2) = rest.quotientAndRemainder(dividingBy: n2)
                    place = b.row3(i1 % b.n1, i2 % b.n2, i3 % b.n3)
                }
                var y = second.values(at: place, worker.floats(secondOffset))
                if isTiled {
                    let tile = worker.floats(tileOffset)
                    if b.n0 == 1 {
                        tile.update(repeating: y[0], count: a.n0)
                    } else {
                        for part in 0..<repeats { (tile + part &* b.n0).update(from: y, count: b.n0) }
                    }
                    y = UnsafePointer(tile)
                }
                kernel(x + start, y + start, result.row(row).assumingMemoryBound(to: Float.self) + start, count)
            }
        }
    }
}
