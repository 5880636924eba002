/// The place of a tensor in the list of its ``Graph``.
public struct TensorID: Hashable, Sendable, Comparable {
    public let index: Int

    public init(_ index: Int) { self.index = index }

    public static func < (a: TensorID, b: TensorID) -> Bool { a.index < b.index }
}

/// What ggml's flags say of a tensor, with the numbers of the wire.
public struct TensorFlags: OptionSet, Hashable, Sendable {
    public let rawValue: Int32

    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// Written from outside before a run: its memory is not reused before its last reader.
    public static let input = TensorFlags(rawValue: 1)
    /// Read from outside after a run: its memory is not reused at all.
    public static let output = TensorFlags(rawValue: 2)
    public static let parameter = TensorFlags(rawValue: 4)
    public static let loss = TensorFlags(rawValue: 8)
    /// A node that is to be computed; stock heads send some that are not.
    public static let compute = TensorFlags(rawValue: 16)
}

/// A tensor of a graph: what it is, how it comes about, and where it lives. A description, without data.
public struct Tensor: Sendable {
    /// Whose memory a view shows: always the root, never another view, and the byte offset into it.
    public struct View: Hashable, Sendable {
        public var root: TensorID
        public var byteOffset: Int

        public init(root: TensorID, byteOffset: Int) {
            self.root = root
            self.byteOffset = byteOffset
        }
    }

    /// Where the bytes are.
    public enum Storage: Sendable {
        /// In the memory that the backend's plan sets aside for the graph's own tensors, at a place of its choosing.
        case planned
        /// In a buffer that outlives the graph: weights, KV cache, and everything in a graph that came over the wire.
        case placed(any Buffer, byteOffset: Int)
    }

    public var name: String
    public var type: ElementType
    public var shape: Shape
    public var strides: Strides
    public var operation: Operation
    /// What the operation reads, in ggml's order. An absent optional source (a mask, say) is nil.
    public var sources: [TensorID?]
    public var view: View?
    public var flags: TensorFlags
    public var storage: Storage

    public init(
        name: String, type: ElementType, shape: Shape, strides: Strides? = nil, operation: Operation = .none,
        sources: [TensorID?] = [], view: View? = nil, flags: TensorFlags = [], storage: Storage = .planned
    ) {
        self.name = name
        self.type = type
        self.shape = shape
        self.strides = strides ?? Strides(contiguous: shape, type)
        self.operation = operation
        self.sources = sources
        self.view = view
        self.flags = flags
        self.storage = storage
    }
}

extension Tensor {
    /// The bytes from the first element's first byte to the last element's last, gaps of the strides included; nil
    /// if that overflows, an extent or stride is negative, or rows are no whole number of blocks. 0 for empty tensors.
    public var checkedByteExtent: Int? {
        guard shape.checkedElementCount != nil else { return nil }
        if shape.isEmpty { return 0 }
        guard shape[0] % type.elementsPerBlock == 0 else { return nil }
        var end = type.bytesPerBlock
        let blocks = shape[0] / type.elementsPerBlock
        for dimension in 0..<Shape.rank {
            let steps = (dimension == 0 ? blocks : shape[dimension]) - 1
            // A stride along a dimension of one element is never used, whatever it says.
            if steps == 0 { continue }
            guard strides[dimension] >= 0 else { return nil }
            let (distance, overflow) = strides[dimension].multipliedReportingOverflow(by: steps)
            let (sum, carried) = end.addingReportingOverflow(distance)
            if overflow || carried { return nil }
            end = sum
        }
        return end
    }

    /// ``checkedByteExtent`` of a tensor that has been checked.
    public var byteExtent: Int { checkedByteExtent ?? 0 }

    /// Whether the elements follow each other without gaps in ggml's order.
    public var isContiguous: Bool { isContiguous(fromDimension: 0) }

    /// Whether each row's elements follow each other without gaps.
    public var hasContiguousRows: Bool {
        strides[0] == type.bytesPerBlock || shape[0] == type.elementsPerBlock
    }

    /// Whether dimensions above `first` are packed onto each other (and, for 0, the elements too).
    public func isContiguous(fromDimension first: Int) -> Bool {
        if shape.isEmpty { return true }
        var next = type.bytesPerBlock
        if shape[0] != type.elementsPerBlock, strides[0] != next { return false }
        next = next &* (shape[0] / type.elementsPerBlock)
        for dimension in 1..<Shape.rank {
            if shape[dimension] == 1 { continue }
            if dimension > first {
                if strides[dimension] != next { return false }
                next = next &* shape[dimension]
            } else {
                next = strides[dimension] &* shape[dimension]
            }
        }
        return true
    }

    /// Whether the strides fall out of order, as after a permutation. Strides of dimensions of one element say nothing.
    public var isPermuted: Bool {
        var last = 0
        for dimension in 0..<Shape.rank where shape[dimension] > 1 {
            if strides[dimension] < last { return true }
            last = strides[dimension]
        }
        return false
    }
}
