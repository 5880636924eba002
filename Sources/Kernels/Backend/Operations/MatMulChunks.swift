internal import KernelTable
internal import Tensor

/// A product of so many columns that neither their addresses nor their packed values are kept: pieces take a chunk of
/// columns each, pack it in thread memory and multiply it by all rows. Packing and summing do not depend on how columns
/// are grouped, so the results are those of the usual way.
struct ChunkedProduct {
    let matrix: Operand
    let reader: RowReader
    let result: Operand
    let kernel: ProductKernel
    /// Columns of a chunk.
    let chunk: Int
    let chunksPerMatrix: Int

    private let activations: Operand
    /// Outer extents of the activations that share a weight matrix.
    private let share: (Int, Int)
    private let columns: Int
    /// Where the parts of thread memory begin: lists of sources and targets, gathered rows, packed columns, the kernel's.
    private let offsets: (targets: Int, rows: Int, packed: Int, kernel: Int)
    let scratchByteCount: Int

    /// Thread memory that a chunk should keep to.
    private static let budget = 1 << 20

    init(_ matrix: Operand, _ reader: RowReader, _ result: Operand, _ kernel: ProductKernel) {
        self.matrix = matrix
        self.reader = reader
        self.result = result
        self.kernel = kernel
        let activations = reader.operand
        self.activations = activations
        share = (activations.n2 / matrix.n2, activations.n3 / matrix.n3)
        columns = activations.n1 * share.0 * share.1
        let granularity = max(1, kernel.columnGranularity)
        let bytes = kernel.packedByteCount(matrix.n0, granularity) + 4 * reader.scratchCount * granularity
        let groups = max(1, min(256 / granularity, ChunkedProduct.budget / max(1, bytes)))
        let chunk = groups * granularity
        self.chunk = chunk
        chunksPerMatrix = (columns + chunk - 1) / chunk
        func aligned(_ bytes: Int) -> Int { (bytes + 63) & ~63 }
        let targets = aligned(8 * chunk)
        let rows = 2 * targets
        let packed = rows + aligned(4 * reader.scratchCount * chunk)
        let own = packed + aligned(kernel.packedByteCount(matrix.n0, chunk))
        offsets = (targets, rows, packed, own)
        scratchByteCount = own + kernel.scratchByteCount(matrix.n0, chunk)
    }

    var unitCount: Int { chunksPerMatrix * matrix.n2 * matrix.n3 }

    func compute(_ unit: Int, _ worker: Worker) {
        let (matrixIndex, part) = unit.quotientAndRemainder(dividingBy: chunksPerMatrix)
        let (m3, m2) = matrixIndex.quotientAndRemainder(dividingBy: matrix.n2)
        let first = part &* chunk
        let count = min(chunk, columns &- first)
        let sources = worker.scratch.assumingMemoryBound(to: UnsafeRawPointer.self)
        let targets = (worker.scratch + offsets.targets).assumingMemoryBound(to: UnsafeMutablePointer<Float>.self)
        let rows = (worker.scratch + offsets.rows).assumingMemoryBound(to: Float.self)
        let packed = worker.scratch + offsets.packed
        for i in 0..<count {
            let (rest, i1) = (first &+ i).quotientAndRemainder(dividingBy: activations.n1)
            let (outer, inner) = rest.quotientAndRemainder(dividingBy: share.0)
            let (i2, i3) = (m2 &* share.0 &+ inner, m3 &* share.1 &+ outer)
            sources[i] = UnsafeRawPointer(
                reader.values(at: activations.row3(i1, i2, i3), rows + reader.scratchCount &* i))
            targets[i] = result.row3(i1, i2, i3).assumingMemoryBound(to: Float.self)
        }
        kernel.pack(sources, matrix.n0, count, 0, count, packed)
        kernel.multiply(
            matrix.row3(0, m2, m3), matrix.s1, matrix.n0, 0, matrix.n1, packed, count, 0, count, targets,
            worker.scratch + offsets.kernel)
    }
}

extension PlanBuilder {
    /// The phase of a product with too many columns for tables of them.
    mutating func addChunkedProduct(
        _ id: TensorID, _ matrix: Operand, _ activations: Operand, _ kernel: ProductKernel, reads: [Range<UInt>],
        _ result: Operand
    ) throws(BackendError) {
        let product = ChunkedProduct(matrix, try reader(id, activations), result, kernel)
        try needScratch(product.scratchByteCount)
        let perColumn = Double(matrix.n0) * (Double(matrix.n1) / 150 + 0.3) + 30
        addPhase(
            over: product.unitCount, costPerUnit: perColumn * Double(product.chunk),
            reads: matrix.ranges + activations.ranges + reads, writes: result.ranges
        ) { worker, range in
            for unit in range { product.compute(unit, worker) }
        }
    }
}
