/// Reads packed little-endian numbers from a message of known length. Callers have checked that what they read is there;
/// past the end there are zeros, never other memory.
struct PackedReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    var remaining: Int { bytes.count - position }

    mutating func integer<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type = Number.self) -> Number {
        let size = MemoryLayout<Number>.size
        guard remaining >= size else {
            position = bytes.count
            return 0
        }
        defer { position += size }
        return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Number.self))
    }

    mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let end = min(bytes.count, position + max(0, count))
        defer { position = end }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<end])
    }
}

/// Builds a message of packed little-endian numbers.
struct PackedWriter {
    private(set) var bytes: [UInt8] = []

    init(reserving count: Int = 0) {
        bytes.reserveCapacity(count)
    }

    mutating func put(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func put(bytes more: some Sequence<UInt8>) {
        bytes.append(contentsOf: more)
    }

    /// The text's UTF-8, cut to leave room for a zero, and zeros up to `count` bytes.
    mutating func put(_ text: String, count: Int) {
        let kept = text.utf8.prefix(count - 1)
        bytes.append(contentsOf: kept)
        bytes.append(contentsOf: repeatElement(0, count: count - kept.count))
    }
}

extension String {
    /// The text up to the first zero; bytes that are no UTF-8 become replacement characters.
    init(zeroTerminated bytes: UnsafeRawBufferPointer) {
        self.init(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
