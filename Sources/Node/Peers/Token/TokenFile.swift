internal import Base

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// What a file that holds a token is found to be.
public struct TokenFile: Hashable, Sendable {
    public var text: String
    /// What its owner, its group and others may do; nil for what is no file on a disk (standard input, a pipe).
    public var permissions: UInt32?

    public init(text: String, permissions: UInt32? = nil) {
        self.text = text
        self.permissions = permissions
    }

    /// - Parameter path: `-` for standard input.
    public static func read(_ path: String) throws(TokenFileError) -> TokenFile {
        func fail(_ code: Int32) -> TokenFileError { TokenFileError(path: path, reason: String(cString: strerror(code))) }
        let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0 { throw fail(errno) }
        defer { if descriptor != 0 { _ = close(descriptor) } }
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw fail(errno) }
        let isFile = path != "-" && status.st_mode & S_IFMT == S_IFREG

        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4 << 10)
        while true {
            let count = Swift.min(buffer.count, NetworkToken.byteCountLimit + 1 - bytes.count)
            #if canImport(Glibc)
                let taken = Glibc.read(descriptor, &buffer, count)
            #else
                let taken = Darwin.read(descriptor, &buffer, count)
            #endif
            if taken == 0 { break }
            if taken < 0 {
                if errno == EINTR { continue }
                throw fail(errno)
            }
            bytes += buffer[..<taken]
            if bytes.count > NetworkToken.byteCountLimit {
                throw TokenFileError(path: path, reason: "it is longer than \(NetworkToken.byteCountLimit) bytes, so it holds no token")
            }
        }
        // Bytes that are no text become marks that are no base64.
        return TokenFile(text: String(decoding: bytes, as: UTF8.self), permissions: isFile ? UInt32(status.st_mode) & 0o777 : nil)
    }

    /// Writes a token into a new file that only its owner can read.
    ///
    /// - Throws: if there is such a file: a token that is written over is lost, and with it the way into its network.
    public static func write(_ token: NetworkToken, to path: String) throws(TokenFileError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor < 0 {
            let reason = errno == EEXIST ? "it is there already, and might hold a token: remove it first" : String(cString: strerror(errno))
            throw TokenFileError(path: path, reason: reason, isWriting: true)
        }
        var failure = Array((token.text + "\n").utf8).withUnsafeBytes { WholeWrite.write($0, to: descriptor) }
        if failure == nil, fsync(descriptor) != 0, errno != EINVAL { failure = errno }
        if close(descriptor) != 0, failure == nil { failure = errno }
        if let failure {
            unlink(path)
            throw TokenFileError(path: path, reason: String(cString: strerror(failure)), isWriting: true)
        }
    }
}

/// A file with a token cannot be read or written.
public struct TokenFileError: Error, Hashable, Sendable, CustomStringConvertible {
    public var path: String
    public var reason: String
    public var isWriting = false

    public var description: String {
        let place = path == "-" && !isWriting ? "standard input" : "'\(path)'"
        return "cannot \(isWriting ? "write" : "read") \(place): \(reason)"
    }
}
