public import Tensor

/// A tensor in a file: what it is and where its bytes are. Checked: the bytes lie in the file and are nobody else's.
public struct GGUFTensor: Hashable, Sendable {
    public let name: String
    public let type: ElementType
    public let shape: Shape
    /// How many extents the file gives: `[8]` and `[8, 1]` are told apart by this alone.
    public let dimensionCount: Int
    /// Which of ``GGUFFile/parts`` holds it.
    public let part: Int
    /// Where the bytes begin, counted from the start of that part's file.
    public let byteOffset: Int
    public let byteCount: Int
}
