public import Tensor

/// An array in a mapped file: its elements' type and count, and their bytes, not yet decoded.
///
/// Elements that are strings or arrays have no fixed size, so they are reached by going through them in order.
public struct GGUFArray: Sendable {
    public let elementType: GGUFValueType
    public let count: Int
    /// The elements as they are in the file, without alignment.
    public let region: MemoryRegion

    /// Arrays within arrays that are read at most.
    static let nestingLimit = 8

    init(_ elementType: GGUFValueType, count: Int, _ region: MemoryRegion) {
        self.elementType = elementType
        self.count = count
        self.region = region
    }

    /// The elements' bytes: `count` little-endian values, unaligned, for types of a fixed size.
    public func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        defer { withExtendedLifetime(region.owner) {} }
        return try body(region.bytes)
    }

    /// The elements in order, decoded one by one.
    public var values: Values { Values(array: self) }

    /// The elements' bytes in order, without copying; nil if the elements are no strings.
    ///
    /// The pointers are valid for as long as the file, the array or the iterator lives.
    public var strings: Strings? { elementType == .string ? Strings(array: self) : nil }

    /// A copy of the strings; what is no valid UTF-8 becomes U+FFFD. Nil if the elements are no strings.
    public func decodedStrings() -> [String]? {
        guard let strings else { return nil }
        var result = [String]()
        result.reserveCapacity(count)
        for bytes in strings { result.append(String(decoding: bytes, as: UTF8.self)) }
        return result
    }

    /// A copy of the elements as `T`; nil if they are no numbers, or one of them is no whole one that fits.
    public func integers<T: FixedWidthInteger>(as type: T.Type = T.self) -> [T]? {
        switch elementType {
        case .uint8: converted(UInt8.self)
        case .int8: converted(Int8.self)
        case .uint16: converted(UInt16.self)
        case .int16: converted(Int16.self)
        case .uint32: converted(UInt32.self)
        case .int32: converted(Int32.self)
        case .uint64: converted(UInt64.self)
        case .int64: converted(Int64.self)
        case .float32: converted(UInt32.self) { T(exactly: Float(bitPattern: $0)) }
        case .float64: converted(UInt64.self) { T(exactly: Double(bitPattern: $0)) }
        case .bool, .string, .array: nil
        }
    }

    /// A copy of the elements; doubles are rounded. Nil if they are no numbers, or one is an integer that no `Float` is.
    public func floats() -> [Float]? {
        switch elementType {
        case .float32: decoded(UInt32.self) { Float(bitPattern: $0) }
        case .float64: decoded(UInt64.self) { Float(Double(bitPattern: $0)) }
        case .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64:
            integers(as: Int128.self).flatMap { integers in
                let floats = integers.compactMap { Float(exactly: $0) }
                return floats.count == integers.count ? floats : nil
            }
        case .bool, .string, .array: nil
        }
    }

    /// A copy of the elements; nil if they are neither booleans nor the numbers 0 and 1 in their place.
    public func bools() -> [Bool]? {
        if elementType == .bool { return decoded(UInt8.self) { $0 != 0 } }
        guard let integers = integers(as: Int.self), integers.allSatisfy({ $0 == 0 || $0 == 1 }) else { return nil }
        return integers.map { $0 == 1 }
    }

    private func converted<Stored: FixedWidthInteger, T: FixedWidthInteger>(_ type: Stored.Type) -> [T]? {
        converted(type) { T(exactly: $0) }
    }

    private func converted<Stored: FixedWidthInteger, T: FixedWidthInteger>(
        _ type: Stored.Type, _ convert: (Stored) -> T?
    ) -> [T]? {
        var fits = true
        let result = decoded(Stored.self) { value -> T in
            guard let converted = convert(value) else {
                fits = false
                return 0
            }
            return converted
        }
        return fits ? result : nil
    }

    private func decoded<Stored: FixedWidthInteger, T>(_ type: Stored.Type, _ convert: (Stored) -> T) -> [T] {
        withUnsafeBytes { bytes in
            [T](unsafeUninitializedCapacity: count) { target, initialized in
                for index in 0..<count {
                    let value = bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<Stored>.size, as: Stored.self)
                    target.initializeElement(at: index, to: convert(Stored(littleEndian: value)))
                }
                initialized = count
            }
        }
    }
}

// MARK: - Going through the elements

extension GGUFArray {
    /// The bytes of an array's strings. Ends early if the file was changed under the mapping so that a length no
    /// longer fits.
    public struct Strings: Sequence, IteratorProtocol, Sendable {
        private let region: MemoryRegion
        private var offset = 0
        private var left: Int

        init(array: GGUFArray) {
            region = array.region
            left = array.count
        }

        public var underestimatedCount: Int { 0 }

        public mutating func next() -> UnsafeRawBufferPointer? {
            guard left > 0, region.bytes.count - offset >= 8 else { return nil }
            let length = UInt64(littleEndian: region.bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            let start = offset + 8
            guard let count = Int(exactly: length), count <= region.bytes.count - start else {
                left = 0
                return nil
            }
            left -= 1
            offset = start + count
            return UnsafeRawBufferPointer(rebasing: region.bytes[start..<offset])
        }
    }

    /// An array's elements as values. Ends early if the file was changed under the mapping.
    public struct Values: Sequence, IteratorProtocol {
        private let array: GGUFArray
        private var cursor: ByteCursor
        private var left: Int

        init(array: GGUFArray) {
            self.array = array
            cursor = ByteCursor(array.region.bytes, file: "")
            left = array.count
        }

        public var underestimatedCount: Int { 0 }

        public mutating func next() -> GGUFValue? {
            guard left > 0 else { return nil }
            left -= 1
            return try? cursor.value(array.elementType, owner: array.region.owner, depth: 1, "an element")
        }
    }
}
