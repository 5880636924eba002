public import Tensor

/// A model's file, or the files it is split into: metadata and tensors, memory-mapped.
///
/// Opening checks everything that a file says about itself (counts, lengths, types, offsets, extents, names) and copies
/// neither strings, arrays nor tensors; a vocabulary of 262,144 tokens opens in a few milliseconds. After that nothing
/// in a file can lead outside of its mapping. What no check can prevent: somebody cutting the file short while it is
/// mapped, which ends the process on the next touch of the missing pages. Replace model files by renaming instead.
///
/// Little-endian files of versions 2 and 3 are read. The format: ggml's `docs/gguf.md`.
public struct GGUFFile: Sendable {
    /// What is refused although the format's field would hold it.
    public enum Limits {
        /// Bytes of a metadata key, as in the format's description.
        public static let keyBytes = 65535
        /// Bytes of a tensor's name, as in ggml (64 with a terminating zero).
        public static let tensorNameBytes = 63
        /// Arrays within arrays.
        public static let nesting = GGUFArray.nestingLimit
        /// Parts of a split model, as in ggml (a 16-bit number).
        public static let parts = 65535
    }

    /// The files, in order; one, unless the model is split. The metadata of a split model are those of the first.
    public let parts: [GGUFPart]

    /// The tensors of all parts, in the files' order.
    public let tensors: [GGUFTensor]

    private let tensorIndices: [String: Int]

    /// The path this was opened with.
    public var path: String { parts[0].path }

    /// Opens the file at `path`, and, if it is the first of a split model, the others beside it.
    public init(path: String) throws(GGUFError) {
        let first = try GGUFPart(path: path, index: 0)
        parts = [first] + (try GGUFFile.otherParts(of: first))
        var tensors = [GGUFTensor]()
        var indices = [String: Int]()
        for part in parts {
            for tensor in part.tensors {
                guard indices.updateValue(tensors.count, forKey: tensor.name) == nil else {
                    let message = "tensor \"\(tensor.name)\" is in another part of the model too"
                    throw GGUFError(.duplicate, file: part.path, message)
                }
                tensors.append(tensor)
            }
        }
        self.tensors = tensors
        tensorIndices = indices
        try GGUFFile.checkTotal(tensors.count, first)
    }

    /// The tensor of that name.
    public func tensor(_ name: String) -> GGUFTensor? { tensorIndices[name].map { tensors[$0] } }

    /// A tensor's bytes, in the mapping.
    public func region(of tensor: GGUFTensor) -> MemoryRegion {
        let mapping = parts[tensor.part].mapping
        let bytes = mapping.bytes[tensor.byteOffset..<(tensor.byteOffset + tensor.byteCount)]
        return MemoryRegion(bytes: UnsafeRawBufferPointer(rebasing: bytes), owner: mapping.owner)
    }
}
