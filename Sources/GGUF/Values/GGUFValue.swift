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

    /// The value as a `T`, if it is a number and nothing is lost: an integer that fits, or a whole float.
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
        case .float32(let value): T(exactly: value)
        case .float64(let value): T(exactly: value)
        case .bool, .string, .array: nil
        }
    }

    /// The value, if it is of a floating-point type, or an integer that a double can be.
    public var double: Double? {
        switch self {
        case .float32(let value): Double(value)
        case .float64(let value): value
        case .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64: integer(as: Int128.self).flatMap { Double(exactly: $0) }
        case .bool, .string, .array: nil
        }
    }

    /// The value, if it is a truth value, or the number 0 or 1 in its place.
    public var bool: Bool? {
        if case .bool(let value) = self { return value }
        return switch integer(as: Int.self) {
        case 0: false
        case 1: true
        default: nil
        }
    }

    /// What stands in the file, for messages: `the uint32 7`, `the string "7"`, `an array of 3 float32`.
    public var summary: String {
        switch self {
        case .bool(let value): "the bool \(value)"
        case .float32(let value): "the float32 \(value)"
        case .float64(let value): "the float64 \(value)"
        case .string(let value): "the string \"\(value.string.prefix(40))\""
        case .array(let array): "an array of \(array.count) \(array.elementType.name)"
        case .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64: "the \(type.name) \(integer(as: Int128.self) ?? 0)"
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
