public import Tensor

/// What is in a file, for people and for programs.
///
/// Names and strings come from the file; in text, control characters are escaped so that none reaches a terminal.
public struct Inspection: Sendable {
    public let file: GGUFFile
    /// How many elements of a long array, and bytes of a long string, are shown in text and by default in JSON.
    public var headElements = 8
    public var headCharacters = 120

    public init(_ file: GGUFFile) { self.file = file }

    /// Tensors and bytes of one element type.
    public struct TypeTotal: Hashable, Sendable {
        public var type: ElementType
        public var tensorCount: Int
        public var elementCount: Int
        public var byteCount: Int
    }

    /// Per element type, the largest first.
    public var totals: [TypeTotal] {
        var totals = [ElementType: TypeTotal]()
        for tensor in file.tensors {
            var total = totals[tensor.type] ?? TypeTotal(type: tensor.type, tensorCount: 0, elementCount: 0, byteCount: 0)
            total.tensorCount += 1
            // Empty tensors may claim any other extent, so sums of element counts may wrap; bytes are in the file.
            total.elementCount &+= tensor.shape.elementCount
            total.byteCount &+= tensor.byteCount
            totals[tensor.type] = total
        }
        return totals.values.sorted { ($0.byteCount, $1.type.rawValue) > ($1.byteCount, $0.type.rawValue) }
    }

    /// The extents as the file gives them, `[640, 262144]`.
    func extents(_ tensor: GGUFTensor) -> [Int] { (0..<tensor.dimensionCount).map { tensor.shape[$0] } }
}
