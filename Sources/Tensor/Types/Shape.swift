/// The extents of a tensor, four of them, fastest-varying first, as ggml's `ne`.
///
/// A matrix of `rows` rows of `columns` elements has the shape `[columns, rows, 1, 1]`. Extents may be zero (an
/// empty tensor), never negative.
public struct Shape: Hashable, Sendable, CustomStringConvertible {
    public static let rank = 4

    private var extents: SIMD4<Int>

    /// Missing extents are 1.
    public init(_ e0: Int, _ e1: Int = 1, _ e2: Int = 1, _ e3: Int = 1) {
        extents = SIMD4(e0, e1, e2, e3)
    }

    /// Takes up to four extents, fastest first; nil if there are more than four or one is negative.
    public init?(_ list: some Collection<Int>) {
        guard list.count <= Shape.rank, list.allSatisfy({ $0 >= 0 }) else { return nil }
        extents = SIMD4(repeating: 1)
        for (dimension, extent) in list.enumerated() { extents[dimension] = extent }
    }

    public subscript(dimension: Int) -> Int {
        get { extents[dimension] }
        set { extents[dimension] = newValue }
    }

    /// The number of elements. Only for shapes whose product is known to fit: see ``checkedElementCount``.
    public var elementCount: Int { extents[0] &* extents[1] &* extents[2] &* extents[3] }

    /// The number of elements, or nil if it overflows or an extent is negative.
    public var checkedElementCount: Int? {
        var product = 1
        for dimension in 0..<Shape.rank {
            guard extents[dimension] >= 0 else { return nil }
            let (next, overflow) = product.multipliedReportingOverflow(by: extents[dimension])
            if overflow { return nil }
            product = next
        }
        return product
    }

    /// The number of rows: the product of all extents but the first.
    public var rowCount: Int { extents[1] &* extents[2] &* extents[3] }

    public var isEmpty: Bool { extents[0] == 0 || extents[1] == 0 || extents[2] == 0 || extents[3] == 0 }

    /// How many dimensions there are up to the last that is not 1; at least 1.
    public var dimensionCount: Int {
        var count = Shape.rank
        while count > 1, extents[count - 1] == 1 { count -= 1 }
        return count
    }

    /// Whether a tensor of this shape, repeated a whole number of times in each dimension, fills `other`.
    public func repeats(into other: Shape) -> Bool {
        if isEmpty { return other.isEmpty }
        return (0..<Shape.rank).allSatisfy { other[$0] % self[$0] == 0 }
    }

    public var description: String {
        "[" + (0..<dimensionCount).map { String(extents[$0]) }.joined(separator: ", ") + "]"
    }
}

/// The distances in bytes between neighbours along each dimension, fastest first, as ggml's `nb`.
///
/// For quantized types the first is the size of a block, not of an element.
public struct Strides: Hashable, Sendable, CustomStringConvertible {
    private var bytes: SIMD4<Int>

    public init(_ s0: Int, _ s1: Int, _ s2: Int, _ s3: Int) {
        bytes = SIMD4(s0, s1, s2, s3)
    }

    /// The strides of a tensor without gaps. The caller knows that the tensor's size fits an `Int`.
    public init(contiguous shape: Shape, _ type: ElementType) {
        let row = type.bytesPerBlock &* (shape[0] / type.elementsPerBlock)
        let plane = row &* shape[1]
        bytes = SIMD4(type.bytesPerBlock, row, plane, plane &* shape[2])
    }

    public subscript(dimension: Int) -> Int {
        get { bytes[dimension] }
        set { bytes[dimension] = newValue }
    }

    public var description: String { "(\(bytes[0]), \(bytes[1]), \(bytes[2]), \(bytes[3]))" }
}
