/// A place in a file's bytes that only moves forward, and never past the end.
///
/// Everything a file says about itself is read through one of these. All of GGUF is little-endian here; files of the
/// other order are refused before anything else is read.
struct ByteCursor {
    let bytes: UnsafeRawBufferPointer
    let file: String
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer, file: String) {
        self.bytes = bytes
        self.file = file
    }

    var remaining: Int { bytes.count - offset }

    mutating func integer<T: FixedWidthInteger>(_ type: T.Type, _ what: @autoclosure () -> String) throws(GGUFError) -> T {
        guard remaining >= MemoryLayout<T>.size else { throw truncated(MemoryLayout<T>.size, what()) }
        let value = bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
        offset += MemoryLayout<T>.size
        return T(littleEndian: value)
    }

    /// A 64-bit count or length; one that is negative or too large for this machine is malformed.
    mutating func count(_ what: @autoclosure () -> String) throws(GGUFError) -> Int {
        let start = offset
        let value = try integer(UInt64.self, what())
        guard let count = Int(exactly: value) else {
            throw GGUFError(.malformed, file: file, at: start, "\(what()) is \(value)")
        }
        return count
    }

    /// Moves past `count` bytes and returns them.
    mutating func slice(_ count: Int, _ what: @autoclosure () -> String) throws(GGUFError) -> UnsafeRawBufferPointer {
        guard count <= remaining else { throw truncated(count, what()) }
        let slice = UnsafeRawBufferPointer(rebasing: bytes[offset..<(offset + count)])
        offset += count
        return slice
    }

    /// A length and as many bytes, of any content.
    mutating func string(_ what: @autoclosure () -> String) throws(GGUFError) -> UnsafeRawBufferPointer {
        let length = try count("the length of \(what())")
        return try slice(length, what())
    }

    /// A length and as many bytes of UTF-8.
    mutating func name(limit: Int, _ what: @autoclosure () -> String) throws(GGUFError) -> String {
        let start = offset
        let length = try count("the length of \(what())")
        guard length <= limit else {
            throw GGUFError(.limit, file: file, at: start, "\(what()) has \(length) bytes; at most \(limit) are allowed")
        }
        let content = try slice(length, what())
        guard let name = String(validating: content, as: UTF8.self) else {
            throw GGUFError(.malformed, file: file, at: start, "\(what()) is no valid UTF-8")
        }
        return name
    }

    func truncated(_ wanted: Int, _ what: String) -> GGUFError {
        GGUFError(
            .truncated, file: file, at: offset, "\(what) takes \(wanted) bytes, but only \(remaining) are left in the file")
    }
}
