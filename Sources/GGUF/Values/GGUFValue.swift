public import Tensor

/// A metadata value. Strings and arrays are slices of the mapped file and are decoded when asked for.
public enum GGUFValue: Sendable {
    case uint8(UInt8)
    case int8(Int8)
    case uint16(UInt16)
    case int16(Int16)
    case uint32(UInt32)
    case int32(Int32)
    case float32(Float)
    case bool(Bool)
    case string(GGUFString)
    case array(GGUFArray)
    case uint64(UInt64)
    case int64(Int64)
    case float64(Double)

    public var type: GGUFValueType {
        switch self {
        case .uint8: .uint8
        case .int8: .int8
        case .uint16: .uint16
        case .int16: .int16
        case .uint32: .uint32
        case .int32: .int32
        case .float32: .float32
        case .bool: .bool
        case .string: .string
        case .array: .array
        case .uint64: .uint64
        case .int64: .int64
        case .float64: .float64
        }
    }

    /// The value as a `T`, if it is of an integer type and fits.
    public func integer<T: FixedWidthInteger>(as type: T.Type = T.self) -> T? {
        switch self {
        case .uint8(let value): T(exactly: value)
        case .int8(let value): T(exactly: value)
        case .uint16(let value): T(exactly: value)
        case .int16(let value): T(exactly: value)
        case .uint32(let value): T(exactly: value)
        case .int32(let value): T(exactly: value)
        case .uint64(let value): T(exactly: value)
        case .int64(let value): T(exactly: value)
        case .float32, .float64, .bool, .string, .array: nil
        }
    }

    /// The value, if it is of a floating-point type.
    public var double: Double? {
        switch self {
        case .float32(let value): Double(value)
        case .float64(let value): value
        default: nil
        }
    }
}

/// A string in a mapped file: bytes that are meant to be UTF-8, not yet looked at.
public struct GGUFString: Sendable {
    public let region: MemoryRegion

    init(_ region: MemoryRegion) { self.region = region }

    public var byteCount: Int { region.bytes.count }

    /// A decoded copy; what is no valid UTF-8 becomes U+FFFD.
    public var string: String { String(decoding: region.bytes, as: UTF8.self) }

    /// The bytes as they are in the file.
    public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        defer { withExtendedLifetime(region.owner) {} }
        return try body(region.bytes)
    }
}
