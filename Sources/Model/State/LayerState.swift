public import Tensor

/// What a layer remembers of the tokens that went through it: which rows of which length, one for each position or one for each
/// slot. Keys and values of attention, compressed ones, the states of recurrences and of convolutions are all of this form.
///
/// Who places a model asks how many bytes that is, who reuses a prompt whether it can be taken back, who pads one whether what
/// stands for nothing leaves a trace.
public struct LayerState: Hashable, Sendable {
    /// One tensor of it.
    public struct Plane: Hashable, Sendable {
        public enum Rows: Hashable, Sendable {
            /// A row for each position of each slot, written by index and never changed by later tokens.
            case perPosition
            /// A row for each slot, which every token changes.
            case perSlot
        }

        /// As tensors are called: `k`, `v`.
        public var name: String
        public var type: ElementType
        /// Elements.
        public var rowLength: Int
        public var rows: Rows

        public init(_ name: String, _ type: ElementType, rowLength: Int, _ rows: Rows) {
            self.name = name
            self.type = type
            self.rowLength = rowLength
            self.rows = rows
        }

        /// Bytes of a row, which is of whole blocks of its type.
        public var rowByteCount: Int { rowLength / type.elementsPerBlock * type.bytesPerBlock }
    }

    public var planes: [Plane]
    /// Positions that a query sees, itself included; nil where it sees all before it.
    public var window: Int?
    /// Whether its keys were rotated in sections, by four positions of each token instead of one.
    public var hasSections: Bool

    public init(planes: [Plane], window: Int? = nil, hasSections: Bool = false) {
        self.planes = planes
        self.window = window
        self.hasSections = hasSections
    }

    /// Nothing.
    public static let none = LayerState(planes: [])

    /// Keys and values of all heads, in F16.
    public static func attention(keyRow: Int, valueRow: Int, window: Int? = nil, hasSections: Bool = false) -> LayerState {
        LayerState(
            planes: [Plane("k", .f16, rowLength: keyRow, .perPosition), Plane("v", .f16, rowLength: valueRow, .perPosition)],
            window: window, hasSections: hasSections)
    }
}

extension LayerState {
    /// Whether it has a row for each position.
    public var hasPositions: Bool { planes.contains { $0.rows == .perPosition } }

    /// Whether every token changes it, so that nothing can be taken back, and nothing may go through that stands for nothing.
    public var isRecurrent: Bool { planes.contains { $0.rows == .perSlot } }

    /// Bytes that one more position takes.
    public var byteCountPerPosition: Int {
        planes.reduce(0) { $0 + ($1.rows == .perPosition ? $1.rowByteCount : 0) }
    }
}
