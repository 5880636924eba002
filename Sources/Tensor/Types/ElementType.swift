/// How the elements of a tensor are stored, with ggml's type numbers.
///
/// Quantized types store `elementsPerBlock` elements in one block of `bytesPerBlock` bytes; plain types have blocks
/// of one element. The numbers are those of GGUF files and of the RPC wire. ggml's table has 43 entries, of which
/// eight belong to formats that were withdrawn (4, 5, 31-33, 36-38); those are no cases here, so that a file or a
/// message that names one is refused where it is read.
///
/// Source of numbers and sizes: ggml's `ggml.h` and `ggml-common.h`.
public enum ElementType: UInt32, CaseIterable, Hashable, Sendable {
    case f32 = 0
    case f16 = 1
    case q4_0 = 2
    case q4_1 = 3
    case q5_0 = 6
    case q5_1 = 7
    case q8_0 = 8
    case q8_1 = 9
    case q2_K = 10
    case q3_K = 11
    case q4_K = 12
    case q5_K = 13
    case q6_K = 14
    case q8_K = 15
    case iq2_xxs = 16
    case iq2_xs = 17
    case iq3_xxs = 18
    case iq1_s = 19
    case iq4_nl = 20
    case iq3_s = 21
    case iq2_s = 22
    case iq4_xs = 23
    case i8 = 24
    case i16 = 25
    case i32 = 26
    case i64 = 27
    case f64 = 28
    case iq1_m = 29
    case bf16 = 30
    case tq1_0 = 34
    case tq2_0 = 35
    case mxfp4 = 39
    case nvfp4 = 40
    case q1_0 = 41
    case q2_0 = 42

    /// The number of entries in ggml's table of types, withdrawn ones included.
    public static let tableCount: UInt32 = 43

    /// Whether `number` names a format that ggml once had and withdrew.
    public static func isWithdrawn(_ number: UInt32) -> Bool {
        number < tableCount && ElementType(rawValue: number) == nil
    }

    /// Elements in one block: 1 for plain types.
    public var elementsPerBlock: Int { layout.elements }

    /// Bytes of one block; for plain types, of one element.
    public var bytesPerBlock: Int { layout.bytes }

    /// Whether elements share block-wide scales, so that single elements cannot be addressed.
    public var isQuantized: Bool { layout.elements > 1 }

    /// Whether elements are whole numbers without a scale.
    public var isInteger: Bool {
        switch self {
        case .i8, .i16, .i32, .i64: true
        default: false
        }
    }

    /// What the address of a block, or of a plain type's element, must be a multiple of: the size of the widest
    /// number in it.
    public var alignment: Int {
        switch self {
        case .i8, .mxfp4, .nvfp4: 1
        case .f32, .i32, .q8_K: 4
        case .i64, .f64: 8
        default: 2
        }
    }

    /// ggml's spelling, as in `q4_K` and `iq2_xxs`.
    public var name: String { String(describing: self) }

    /// Bytes that `count` elements in a row take, or nil if they are no whole number of blocks or overflow.
    public func byteCount(elements count: Int) -> Int? {
        let (elements, bytes) = layout
        guard count >= 0, count % elements == 0 else { return nil }
        let (product, overflow) = (count / elements).multipliedReportingOverflow(by: bytes)
        return overflow ? nil : product
    }

    /// Elements and bytes of one block.
    private var layout: (elements: Int, bytes: Int) {
        switch self {
        case .f32, .i32: (1, 4)
        case .f16, .bf16, .i16: (1, 2)
        case .i8: (1, 1)
        case .i64, .f64: (1, 8)
        case .q4_0: (32, 18)
        case .q4_1: (32, 20)
        case .q5_0: (32, 22)
        case .q5_1: (32, 24)
        case .q8_0: (32, 34)
        case .q8_1: (32, 36)
        case .q2_K: (256, 84)
        case .q3_K: (256, 110)
        case .q4_K: (256, 144)
        case .q5_K: (256, 176)
        case .q6_K: (256, 210)
        case .q8_K: (256, 292)
        case .iq2_xxs: (256, 66)
        case .iq2_xs: (256, 74)
        case .iq3_xxs: (256, 98)
        case .iq1_s: (256, 50)
        case .iq4_nl: (32, 18)
        case .iq3_s: (256, 110)
        case .iq2_s: (256, 82)
        case .iq4_xs: (256, 136)
        case .iq1_m: (256, 56)
        case .tq1_0: (256, 54)
        case .tq2_0: (256, 66)
        case .mxfp4: (32, 17)
        case .nvfp4: (64, 36)
        case .q1_0: (128, 18)
        case .q2_0: (64, 18)
        }
    }
}
