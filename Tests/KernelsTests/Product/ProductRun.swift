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
        let weights = GuardedMemory(byteCount: rowCount * rowStride - gap)
        defer { withExtendedLifetime(weights) {} }
        for row in 0..<rowCount {
            rowBytes.withUnsafeBytes {
                (weights.pointer + row * rowStride).copyMemory(from: $0.baseAddress! + row * size, byteCount: size)
            }
        }
        self.rowCount = rowCount
        self.rowStride = rowStride
        self.weights = weights
        let columnMemory = GuardedMemory(byteCount: 4 * k * columns.count)
        defer { withExtendedLifetime(columnMemory) {} }
        for (i, column) in columns.enumerated() {
            column.withUnsafeBytes {
                (columnMemory.pointer + 4 * k * i).copyMemory(from: $0.baseAddress!, byteCount: 4 * k)
            }
        }
        self.columns = columnMemory
        columnCount = columns.count
    }

    /// The result columns, `rowCount` values each.
    func callAsFunction() -> [[Float]] {
        let n = columnCount
        let packed = ProductRun.aligned(kernel.packedByteCount(k, n))
        let scratch = ProductRun.aligned(kernel.scratchByteCount(k, n))
        let output = GuardedMemory(byteCount: 4 * rowCount * n)
        // Only pointers into these are used from here on.
        defer { withExtendedLifetime((packed, scratch, output, weights, columns)) {} }

        let inputs = (0..<n).map { UnsafeRawPointer(columns.pointer + 4 * k * $0) }
        let values = output.pointer.bindMemory(to: Float.self, capacity: rowCount * n)
        values.initialize(repeating: .nan, count: rowCount * n)
        let results = (0..<n).map { values + rowCount * $0 }

        let columnPieces = pieces(n, columnsPerPiece, kernel.columnGranularity)
        for piece in columnPieces {
            inputs.withUnsafeBufferPointer {
                kernel.pack($0.baseAddress!, k, n, piece.lowerBound, piece.count, packed.pointer)
            }
        }
        for rowPiece in pieces(rowCount, rowsPerPiece, kernel.rowGranularity) {
            for piece in columnPieces {
                results.withUnsafeBufferPointer {
                    kernel.multiply(
                        weights.pointer, rowStride, k, rowPiece.lowerBound, rowPiece.count, packed.pointer, n,
                        piece.lowerBound, piece.count, $0.baseAddress!, scratch.pointer)
                }
            }
        }
        return results.map { Array(UnsafeBufferPointer(start: $0, count: rowCount)) }
    }

    /// At least `byteCount` bytes from the start of a cache line, none of them zero.
    private static func aligned(_ byteCount: Int) -> GuardedMemory {
        let rounded = max(64, (byteCount + 63) / 64 * 64)
        let memory = GuardedMemory(byteCount: rounded)
        withExtendedLifetime(memory) {
            _ = memory.pointer.initializeMemory(as: UInt8.self, repeating: 0xff, count: rounded)
        }
        return memory
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
