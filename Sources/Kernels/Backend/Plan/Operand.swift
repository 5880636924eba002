internal import Tensor

/// A tensor with its place in memory: what steps are made of. Everything about it has been checked.
struct Operand {
    let id: TensorID
    let type: ElementType
    let base: UnsafeMutableRawPointer
    /// Bytes from `base` to the last element's end; 0 for an empty tensor.
    let extent: Int
    let isWritable: Bool
    let n0: Int
    let n1: Int
    let n2: Int
    let n3: Int
    let s0: Int
    let s1: Int
    let s2: Int
    let s3: Int
    /// The distance between rows in ggml's order, where it is the same between all; else nil.
    private let rowStep: Int
    private let hasRowStep: Bool
    let hasContiguousRows: Bool

    init(_ id: TensorID, _ tensor: Tensor, at base: UnsafeMutableRawPointer, writable: Bool) {
        self.id = id
        self.base = base
        type = tensor.type
        extent = tensor.byteExtent
        isWritable = writable
        let shape = tensor.shape
        let strides = tensor.strides
        (n0, n1, n2, n3) = (shape[0], shape[1], shape[2], shape[3])
        (s0, s1, s2, s3) = (strides[0], strides[1], strides[2], strides[3])
        hasContiguousRows = tensor.hasContiguousRows
        // The stride that counts is that of the first dimension with more than one row; the others must continue it.
        var step: Int?
        var next = 0
        var even = true
        for dimension in 1..<Shape.rank where shape[dimension] > 1 {
            if step == nil {
                step = strides[dimension]
            } else if strides[dimension] != next {
                even = false
            }
            next = strides[dimension] &* shape[dimension]
        }
        rowStep = step ?? 0
        hasRowStep = even
    }

    var shape: Shape { Shape(n0, n1, n2, n3) }
    var rowCount: Int { n1 &* n2 &* n3 }
    var elementCount: Int { n0 &* rowCount }
    var isEmpty: Bool { n0 == 0 || rowCount == 0 }
    /// Bytes of the elements of one row, packed.
    var rowByteCount: Int { n0 / type.elementsPerBlock &* type.bytesPerBlock }
    /// Whether all elements follow each other without gaps.
    var isPacked: Bool {
        if isEmpty { return true }
        var next = type.bytesPerBlock
        for (count, stride) in [(n0 / type.elementsPerBlock, s0), (n1, s1), (n2, s2), (n3, s3)] {
            if count > 1, stride != next { return false }
            next = next &* max(1, count)
        }
        return true
    }
    /// The bytes it may touch, as addresses.
    var addresses: Range<UInt> { UInt(bitPattern: base)..<(UInt(bitPattern: base) &+ UInt(extent)) }

    /// The place as a list of one, for a phase's reads or writes.
    var ranges: [Range<UInt>] { [addresses] }

    /// The first byte of row `row`, rows counted in ggml's order.
    @inline(__always)
    func row(_ row: Int) -> UnsafeMutableRawPointer {
        if hasRowStep { return base + row &* rowStep }
        let (rest, i1) = row.quotientAndRemainder(dividingBy: n1)
        let (i3, i2) = rest.quotientAndRemainder(dividingBy: n2)
        return row3(i1, i2, i3)
    }

    /// The first byte of the row at these indices.
    @inline(__always)
    func row3(_ i1: Int, _ i2: Int, _ i3: Int) -> UnsafeMutableRawPointer {
        base + (i1 &* s1 &+ i2 &* s2 &+ i3 &* s3)
    }
}
