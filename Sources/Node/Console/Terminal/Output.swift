internal import Base

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// An open file that is written to at once, without a buffer: a stream of words must be seen as it comes.
public struct Output: Sendable {
    public static let standard = Output(descriptor: 1)
    /// What cannot be written there is lost.
    public static let error = Output(descriptor: 2)

    private let descriptor: Int32

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Creates the file, or empties it.
    public init(path: String) throws(OutputError) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        if descriptor < 0 { throw OutputError(path: path, reason: String(cString: strerror(errno))) }
    }

    /// Whether people are looking.
    public var isTerminal: Bool { isatty(descriptor) == 1 }

    public func write(_ text: String) throws(OutputError) {
        try write(Array(text.utf8))
    }

    public func write(_ bytes: [UInt8]) throws(OutputError) {
        let failure: OutputError? = bytes.withUnsafeBytes { bytes in write(all: bytes) }
        if let failure { throw failure }
    }

    /// Little-endian, four bytes each.
    public func write(_ values: UnsafeBufferPointer<Float>) throws(OutputError) {
        #if _endian(big)
            try write(values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> ($0 * 8)) } })
        #else
            if let failure = write(all: UnsafeRawBufferPointer(values)) { throw failure }
        #endif
    }

    private func write(all bytes: UnsafeRawBufferPointer) -> OutputError? {
        guard let code = WholeWrite.write(bytes, to: descriptor) else { return nil }
        // Nothing ends because nobody can be told of it.
        if descriptor == Output.error.descriptor { return nil }
        return OutputError(path: nil, reason: String(cString: strerror(code)), isUnread: code == EPIPE)
    }

    /// Closes a file made by ``init(path:)``.
    public func close() throws(OutputError) {
        #if canImport(Glibc)
            let status = Glibc.close(descriptor)
        #elseif canImport(Musl)
            let status = Musl.close(descriptor)
        #else
            let status = Darwin.close(descriptor)
        #endif
        if status != 0 { throw OutputError(path: nil, reason: String(cString: strerror(errno))) }
    }
}

/// A file cannot be written.
public struct OutputError: Error, Hashable, Sendable, CustomStringConvertible {
    public var path: String?
    public var reason: String
    /// Whether it is a pipe or a connection whose reader has left, which is no failure of anybody's.
    public var isUnread = false

    public var description: String { "cannot write\(path.map { " to '\($0)'" } ?? ""): \(reason)" }
}

/// Whole files read into memory.
public enum Input {
    /// - Throws: ``InputError`` for a file that cannot be read or is longer than `limit` bytes.
    public static func bytes(ofFile path: String, limit: Int = 1 << 30) throws(InputError) -> [UInt8] {
        let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw InputError(path: path, reason: String(cString: strerror(errno))) }
        defer { if descriptor != 0 { _ = close(descriptor) } }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw InputError(path: path, reason: String(cString: strerror(errno)))
            }
            bytes += buffer[..<count]
            if bytes.count > limit { throw InputError(path: path, reason: "it is longer than \(limit) bytes") }
        }
    }
}

/// A file cannot be read.
public struct InputError: Error, Hashable, Sendable, CustomStringConvertible {
    public var path: String
    public var reason: String

    public var description: String { "cannot read '\(path)': \(reason)" }
}
