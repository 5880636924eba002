public import Tensor

/// Puts a GGUF file of version 3 together: for tools that make models and for tests.
///
/// Metadata and tensors are written in the order they were added. What would not be a valid file (a name twice, data of
/// a wrong size) is refused when it is added.
public struct GGUFWriter {
    /// A metadata value to be written.
    public indirect enum Value: Sendable {
        case uint8(UInt8)
        case int8(Int8)
        case uint16(UInt16)
        case int16(Int16)
        case uint32(UInt32)
        case int32(Int32)
        case float32(Float)
        case bool(Bool)
        case string(String)
        /// A string of bytes that need not be UTF-8.
        case bytes([UInt8])
        /// Elements, all of the type named first.
        case array(GGUFValueType, [Value])
        case uint64(UInt64)
        case int64(Int64)
        case float64(Double)
        /// A value of another file, as it is.
        case copy(GGUFValue)

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
            case .string, .bytes: .string
            case .array: .array
            case .uint64: .uint64
            case .int64: .int64
            case .float64: .float64
            case .copy(let value): value.type
            }
        }
    }

    /// Where a tensor's bytes come from.
    public enum Content: Sendable {
        case bytes([UInt8])
        case region(MemoryRegion)

        public var byteCount: Int {
            switch self {
            case .bytes(let bytes): bytes.count
            case .region(let region): region.bytes.count
            }
        }

        func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws(GGUFError) -> R) throws(GGUFError) -> R {
            switch self {
            case .region(let region):
                defer { withExtendedLifetime(region.owner) {} }
                return try body(region.bytes)
            case .bytes(let bytes):
                // The closure of Array's own method cannot carry a typed error out in every language mode.
                let result = bytes.withUnsafeBytes { buffer in
                    Result { () throws(GGUFError) -> R in try body(buffer) }
                }
                return try result.get()
            }
        }
    }

    struct TensorEntry {
        var name: String
        var type: ElementType
        var extents: [Int]
        var content: Content
        var dataOffset: Int
    }

    /// Where in the file tensors may begin.
    public let alignment: Int
    private(set) var metadata: [(key: String, value: Value)] = []
    private(set) var tensors: [TensorEntry] = []
    private var keys = Set<String>()
    private var names = Set<String>()
    private(set) var dataByteCount = 0

    /// - Parameter alignment: a power of two; written to the metadata unless it is the default of 32.
    public init(alignment: Int = 32) throws(GGUFError) {
        guard alignment > 0, alignment <= 1 << 30, alignment.nonzeroBitCount == 1 else {
            throw GGUFError(.malformed, file: "", "an alignment of \(alignment) is no power of two up to 2^30")
        }
        self.alignment = alignment
        if alignment != 32 { try add("general.alignment", .uint32(UInt32(alignment))) }
    }

    /// Adds a metadata key.
    public mutating func add(_ key: String, _ value: Value) throws(GGUFError) {
        guard !key.isEmpty, key.utf8.count <= GGUFFile.Limits.keyBytes else {
            throw GGUFError(.limit, file: "", "a metadata key of \(key.utf8.count) bytes")
        }
        guard keys.insert(key).inserted else {
            throw GGUFError(.duplicate, file: "", "a second metadata key \"\(key)\"")
        }
        metadata.append((key, value))
    }

    /// Adds a tensor.
    ///
    /// - Parameter extents: up to four, fastest first.
    public mutating func add(
        tensor name: String, _ type: ElementType, _ extents: [Int], _ content: Content
    ) throws(GGUFError) {
        guard name.utf8.count <= GGUFFile.Limits.tensorNameBytes else {
            throw GGUFError(.limit, file: "", "a tensor name of \(name.utf8.count) bytes: \"\(name)\"")
        }
        guard let shape = Shape(extents), let elements = shape.checkedElementCount,
            shape[0] % type.elementsPerBlock == 0, let size = type.byteCount(elements: elements)
        else { throw GGUFError(.extent, file: "", "tensor \"\(name)\" cannot have the shape \(extents) in \(type.name)") }
        guard content.byteCount == size else {
            let message = "tensor \"\(name)\" takes \(size) bytes, but has \(content.byteCount)"
            throw GGUFError(.extent, file: "", message)
        }
        guard names.insert(name).inserted else { throw GGUFError(.duplicate, file: "", "a second tensor \"\(name)\"") }
        let entry = TensorEntry(name: name, type: type, extents: extents, content: content, dataOffset: dataByteCount)
        tensors.append(entry)
        let (end, overflow) = dataByteCount.addingReportingOverflow(size)
        let (padded, carried) = end.addingReportingOverflow(alignment - 1)
        guard !overflow, !carried else { throw GGUFError(.extent, file: "", "the tensors' sizes overflow") }
        dataByteCount = padded & ~(alignment - 1)
    }
}
