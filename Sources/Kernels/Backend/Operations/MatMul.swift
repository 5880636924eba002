internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// Weights `[k, m, w2, w3]` times activations `[k, n, b2, b3]`: `[m, n, b2, b3]`.
    ///
    /// The activations of all batches that share a weight matrix are the columns of one product, packed once.
    mutating func addMatMul(_ id: TensorID) throws(BackendError) {
        let weights = try source(id, 0)
        let activations = try source(id, 1)
        guard weights.n0 == activations.n0, weights.n2 > 0, weights.n3 > 0, activations.n2 % weights.n2 == 0,
            activations.n3 % weights.n3 == 0
        else { throw invalid(id, "\(weights.shape) cannot multiply \(activations.shape)") }
        let result = try floatOutput(id, Shape(weights.n1, activations.n1, activations.n2, activations.n3))
        if result.isEmpty { return }
        guard let kernel = tables.products[weights.type.rawValue], weights.n0 > 0 else { throw unsupported(id) }
        let matrix = try contiguousRows(id, weights)
        if activations.rowCount > ColumnList.limit {
            return try addChunkedProduct(id, matrix, activations, kernel, reads: weights.ranges, result)
        }
        let columns = try ColumnList(id, activations, result, matrixBatches: (weights.n2, weights.n3), in: self)
        let readable = try gathered(id, activations)
        let packed = try pack(
            PackSource(columns: readable, type: weights.type, k: weights.n0), matrices: columns.matrixCount,
            columns: columns.perMatrix, kernel
        ) { columns.sources(readable, weights.n2, weights.n3) }
        try addProducts(id, matrix, kernel, columns, packed, reads: weights.ranges, result)
    }

    /// The pieces of the product itself: ranges of rows by all columns of a matrix.
    private mutating func addProducts(
        _ id: TensorID, _ matrix: Operand, _ kernel: ProductKernel, _ columns: ColumnList,
        _ packed: UnsafeMutableRawBufferPointer, reads: [Range<UInt>], _ result: Operand
    ) throws(BackendError) {
        guard let packedBase = packed.baseAddress else { return }
        let (k, rows, n) = (matrix.n0, matrix.n1, columns.perMatrix)
        try needScratch(kernel.scratchByteCount(k, n))
        let outputs = UnsafePointer(storage.table(columns.targets(result, matrix.n2, matrix.n3)))
        let packedStride = (kernel.packedByteCount(k, n) + 63) & ~63
        let split = RowSplit(
            rows: rows, rowBytes: matrix.rowByteCount, columns: n, k: k, matrices: columns.matrixCount,
            granularity: kernel.rowGranularity, threads: threadCount)
        let multiply = kernel.multiply
        let (stride, n2) = (matrix.s1, matrix.n2)
        let body: (Worker, Int) -> Void = { worker, piece in
            let (matrixIndex, part) = piece.quotientAndRemainder(dividingBy: split.perMatrix)
            let (i3, i2) = matrixIndex.quotientAndRemainder(dividingBy: n2)
            let first = part &* split.rowsPerPiece
            multiply(
                matrix.row3(0, i2, i3), stride, k, first, min(split.rowsPerPiece, rows &- first),
                packedBase + matrixIndex &* packedStride, n, 0, n, outputs + matrixIndex &* n, worker.scratch)
        }
        add(
            Phase(
                body: body, pieces: split.perMatrix * columns.matrixCount, cost: split.cost,
                reads: [packed.addresses, matrix.addresses] + reads, writes: result.ranges))
    }

    /// What packed activations depend on, besides their columns' values.
    struct PackSource {
        var columns: Operand
        var type: ElementType
        var k: Int
    }

    /// Packs activations for `kernel`, or finds them packed already for an earlier node.
    mutating func pack(
        _ source: PackSource, matrices: Int, columns n: Int, _ kernel: ProductKernel,
        _ sources: () -> [UnsafeRawPointer]
    ) throws(BackendError) -> UnsafeMutableRawBufferPointer {
        let operand = source.columns
        let key = SharedResults.Key(
            kind: .packed(source.type.rawValue), source: operand.identity + [matrices, n])
        if let place = reuse(key) { return place }
        let each = kernel.packedByteCount(source.k, n)
        let (total, overflow) = ((each + 63) & ~63).multipliedReportingOverflow(by: matrices)
        guard each >= 0, !overflow else { throw BackendError(.outOfMemory, "activations too large to pack") }
        let place = try temporary(total)
        guard let base = place.baseAddress else { return place }
        let pointers = UnsafePointer(storage.table(sources()))
        let granularity = max(1, kernel.columnGranularity)
        let groups = (n + granularity - 1) / granularity
        let packedStride = (each + 63) & ~63
        let packColumns = kernel.pack
        let k = source.k
        addPhase(
            over: groups * matrices, costPerUnit: Double(k * min(n, granularity)) * 0.25 + 30, reads: operand.ranges,
            writes: [place.addresses]
        ) { _, range in
            var group = range.lowerBound
            while group < range.upperBound {
                let (matrix, local) = group.quotientAndRemainder(dividingBy: groups)
                let last = min(groups, local &+ (range.upperBound &- group))
                let first = local &* granularity
                packColumns(
                    pointers + matrix &* n, k, n, first, min(n, last &* granularity) &- first,
                    base + matrix &* packedStride)
                group = group &+ (last &- local)
            }
        }
        shared.remember(key, at: place, madeFrom: operand.ranges)
        return place
    }

    /// `operand` as F32 in contiguous rows: itself, or a copy made by a phase.
    mutating func gathered(_ id: TensorID, _ operand: Operand) throws(BackendError) -> Operand {
        if operand.type == .f32, operand.hasContiguousRows { return operand }
        let reader = try reader(id, operand)
        let key = SharedResults.Key(kind: .gathered, source: operand.identity)
        let (bytes, overflow) = operand.elementCount.multipliedReportingOverflow(by: 4)
        guard !overflow, operand.shape.checkedElementCount != nil else { throw invalid(id, "its source is too large") }
        let known = reuse(key)
        let place = if let known { known } else { try temporary(bytes) }
        guard let base = place.baseAddress else { return operand }
        let copy = Operand(
            operand.id, Tensor(name: "", type: .f32, shape: operand.shape), at: base, writable: true)
        if known != nil { return copy }
        try needScratch(reader.scratchCount * 4)
        addPhase(
            over: operand.rowCount, costPerUnit: Double(operand.n0), reads: operand.ranges, writes: copy.ranges
        ) { worker, range in
            for row in range {
                let values = reader.row(row, worker.floats())
                copy.row(row).assumingMemoryBound(to: Float.self).update(from: values, count: operand.n0)
            }
        }
        shared.remember(key, at: place, madeFrom: operand.ranges)
        return copy
    }

    /// Weights with contiguous rows: themselves, or, of plain types, a copy made by a phase.
    private mutating func contiguousRows(_ id: TensorID, _ weights: Operand) throws(BackendError) -> Operand {
        if weights.hasContiguousRows { return weights }
        let size = weights.type.bytesPerBlock
        guard !weights.type.isQuantized, size == 2 || size == 4 else { throw unsupported(id, "its rows have gaps") }
        let (bytes, overflow) = weights.elementCount.multipliedReportingOverflow(by: size)
        guard !overflow, weights.shape.checkedElementCount != nil else { throw invalid(id, "its source is too large") }
        let place = try temporary(bytes)
        guard let base = place.baseAddress else { return weights }
        let copy = Operand(
            weights.id, Tensor(name: "", type: weights.type, shape: weights.shape), at: base, writable: true)
        addPhase(
            over: weights.rowCount, costPerUnit: Double(weights.n0), reads: weights.ranges, writes: copy.ranges
        ) { _, range in
            for row in range {
                StridedCopy.elements(
                    from: weights.row(row), stride: weights.s0, to: copy.row(row), size: size, count: weights.n0)
            }
        }
        return copy
    }
}

extension Operand {
    /// What tells one view of memory from another.
    var identity: [Int] { [Int(bitPattern: base), Int(type.rawValue), n0, n1, n2, n3, s0, s1, s2, s3] }
}

/// The columns of a product, those that share a weight matrix together.
private struct ColumnList {
    let matrixCount: Int
    /// Columns of each matrix.
    let perMatrix: Int
    private let counts: (Int, Int, Int)
    /// The most columns that are listed and packed all at once.
    static let limit = 1 << 16

    init(
        _ id: TensorID, _ activations: Operand, _ result: Operand, matrixBatches: (Int, Int), in builder: PlanBuilder
    ) throws(BackendError) {
        guard let total = Shape(activations.n1, activations.n2, activations.n3).checkedElementCount,
            total <= ColumnList.limit
        else { throw builder.invalid(id, "\(activations.shape) has more columns than can be listed") }
        matrixCount = matrixBatches.0 * matrixBatches.1
        perMatrix = total / matrixCount
        counts = (activations.n1, activations.n2 / matrixBatches.0, activations.n3 / matrixBatches.1)
    }

    func sources(_ operand: Operand, _ w2: Int, _ w3: Int) -> [UnsafeRawPointer] {
        list(operand, w2, w3) { UnsafeRawPointer($0) }
    }

    func targets(_ operand: Operand, _ w2: Int, _ w3: Int) -> [UnsafeMutablePointer<Float>] {
        list(operand, w2, w3) { $0.assumingMemoryBound(to: Float.self) }
    }

    private func list<Element>(
        _ operand: Operand, _ w2: Int, _ w3: Int, _ make: (UnsafeMutableRawPointer) -> Element
    ) -> [Element] {
        var all: [Element] = []
        all.reserveCapacity(matrixCount * perMatrix)
        for m3 in 0..<w3 {
            for m2 in 0..<w2 {
                for i3 in (m3 * counts.2)..<((m3 + 1) * counts.2) {
                    for i2 in (m2 * counts.1)..<((m2 + 1) * counts.1) {
                        for i1 in 0..<counts.0 { all.append(make(operand.row3(i1, i2, i3))) }
                    }
                }
            }
        }
        return all
    }
}

/// How the rows of products are split into pieces.
struct RowSplit {
    var rowsPerPiece: Int
    var perMatrix: Int
    /// Nanoseconds of all pieces together on one thread, estimated.
    var cost: Int

    init(rows: Int, rowBytes: Int, columns: Int, k: Int, matrices: Int, granularity: Int, threads: Int) {
        let bytes = Double(rows) * Double(rowBytes) * Double(matrices)
        let products = Double(rows) * Double(k) * Double(columns) * Double(matrices)
        let estimate = min(1e15, max(bytes / 25, products / 150) + 100)
        cost = Int(estimate)
        let unit = max(1, granularity)
        let units = max(1, (rows + unit - 1) / unit)
        var wanted = 1
        if threads == 1 {
            wanted = max(1, cost / 20_000_000 / matrices)
        } else if cost >= Schedule.worthSharing {
            // Pieces of 5 µs and more; six a thread even out what else the machine does, and none is so long that stopping
            // a run would have to wait for it.
            wanted = max(threads, min(max(threads * 6, cost / 20_000_000), cost / 5000))
            wanted = (wanted + matrices - 1) / matrices
        }
        let unitsPerPiece = max(1, (units + wanted - 1) / wanted)
        rowsPerPiece = unitsPerPiece * unit
        perMatrix = (rows + rowsPerPiece - 1) / rowsPerPiece
    }
}

/// Copies of elements that lie apart.
enum StridedCopy {
    @inline(__always)
    static func elements(
        from source: UnsafeMutableRawPointer, stride: Int, to target: UnsafeMutableRawPointer, size: Int, count: Int
    ) {
        switch size {
        case 1: copy(UInt8.self, source, stride, target, count)
        case 2: copy(UInt16.self, source, stride, target, count)
        case 4: copy(UInt32.self, source, stride, target, count)
        default: copy(UInt64.self, source, stride, target, count)
        }
    }

    @inline(__always)
    private static func copy<Element: BitwiseCopyable>(
        _ type: Element.Type, _ source: UnsafeMutableRawPointer, _ stride: Int, _ target: UnsafeMutableRawPointer,
        _ count: Int
    ) {
        let size = MemoryLayout<Element>.size
        for i in 0..<count {
            let value = source.load(fromByteOffset: i &* stride, as: type)
            target.storeBytes(of: value, toByteOffset: i &* size, as: type)
        }
    }
}
