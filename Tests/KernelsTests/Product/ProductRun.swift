import KernelTable

/// A product and how to cut it into pieces. Everything the kernel is handed lies in ``GuardedMemory``.
struct ProductRun {
    var kernel: ProductKernel
    var k: Int
    var rowCount: Int
    /// At least the size of a row.
    var rowStride: Int
    var weights: GuardedMemory
    /// Columns of `k` values, one after the other.
    var columns: GuardedMemory
    var columnCount: Int

    /// Rows in one piece, rounded up to what the kernel asks for; nil for all.
    var rowsPerPiece: Int?
    var columnsPerPiece: Int?
    /// Pieces go last first.
    var reversed = false

    /// `rowBytes` are rows without gaps.
    init(_ kernel: ProductKernel, _ type: StoredType, k: Int, rows rowBytes: [UInt8], columns: [[Float]], gap: Int = 0) {
        self.kernel = kernel
        self.k = k
        let size = type.byteCount(k)
        let rowCount = rowBytes.count / size
        let rowStride = size + gap
        let weights = GuardedMemory(rowCount * rowStride - gap)
        defer { withExtendedLifetime(weights) {} }
        for row in 0..<rowCount {
            rowBytes.withUnsafeBytes {
                (weights.start + row * rowStride).copyMemory(from: $0.baseAddress! + row * size, byteCount: size)
            }
        }
        self.rowCount = rowCount
        self.rowStride = rowStride
        self.weights = weights
        let columnMemory = GuardedMemory(4 * k * columns.count, alignment: 4)
        defer { withExtendedLifetime(columnMemory) {} }
        for (i, column) in columns.enumerated() {
            column.withUnsafeBytes {
                (columnMemory.start + 4 * k * i).copyMemory(from: $0.baseAddress!, byteCount: 4 * k)
            }
        }
        self.columns = columnMemory
        columnCount = columns.count
    }

    /// The result columns, `rowCount` values each.
    func callAsFunction() -> [[Float]] {
        let n = columnCount
        let packed = GuardedMemory(kernel.packedByteCount(k, n), alignment: 64)
        let scratch = GuardedMemory(max(64, kernel.scratchByteCount(k, n)), alignment: 64)
        packed.start.initializeMemory(as: UInt8.self, repeating: 0xff, count: packed.byteCount)
        scratch.start.initializeMemory(as: UInt8.self, repeating: 0xff, count: scratch.byteCount)
        let output = GuardedMemory(4 * rowCount * n, alignment: 4)
        // Only pointers into these are used from here on.
        defer { withExtendedLifetime((packed, scratch, output, weights, columns)) {} }

        let inputs = (0..<n).map { UnsafeRawPointer(columns.start + 4 * k * $0) }
        let values = output.start.bindMemory(to: Float.self, capacity: rowCount * n)
        values.initialize(repeating: .nan, count: rowCount * n)
        let results = (0..<n).map { values + rowCount * $0 }

        let columnPieces = pieces(n, columnsPerPiece, kernel.columnGranularity)
        for piece in columnPieces {
            inputs.withUnsafeBufferPointer {
                kernel.pack($0.baseAddress!, k, n, piece.lowerBound, piece.count, packed.start)
            }
        }
        for rowPiece in pieces(rowCount, rowsPerPiece, kernel.rowGranularity) {
            for piece in columnPieces {
                results.withUnsafeBufferPointer {
                    kernel.multiply(
                        weights.start, rowStride, k, rowPiece.lowerBound, rowPiece.count, packed.start, n,
                        piece.lowerBound, piece.count, $0.baseAddress!, scratch.start)
                }
            }
        }
        return results.map { Array(UnsafeBufferPointer(start: $0, count: rowCount)) }
    }

    private func pieces(_ count: Int, _ size: Int?, _ granularity: Int) -> [Range<Int>] {
        let size = size.map { ($0 + granularity - 1) / granularity * granularity } ?? max(count, 1)
        let list = stride(from: 0, to: count, by: size).map { $0..<min(count, $0 + size) }
        return reversed ? list.reversed() : list
    }
}

/// Whether the first `rows` of `a`'s columns and those of `b` have the same bits.
func sameBits(_ a: [[Float]], _ b: [[Float]], rows: Int) -> Bool {
    a.count == b.count
        && zip(a, b).allSatisfy { one, other in (0..<rows).allSatisfy { one[$0].bitPattern == other[$0].bitPattern } }
}
