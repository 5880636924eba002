/// Bytes from and to one peer, in order; calls block. A socket, or, in tests, a recording.
public protocol ByteStream: AnyObject {
    /// The next byte; nil if the peer has closed.
    func receiveByte() throws(StreamError) -> UInt8?

    /// Exactly as many bytes as fit `target`.
    func receive(into target: UnsafeMutableRawBufferPointer) throws(StreamError)

    /// Both pieces, one behind the other; the second may be empty.
    func send(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) throws(StreamError)
}

extension ByteStream {
    func send(_ response: Response) throws(StreamError) {
        var failure: StreamError?
        response.encoded.withUnsafeBytes { bytes in
            do throws(StreamError) {
                try send(bytes, UnsafeRawBufferPointer(start: nil, count: 0))
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }
}

/// Why a stream gave no more.
public struct StreamError: Error, Hashable, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// The peer closed in the middle of a message.
        case endedEarly
        /// The system reports a failure.
        case failed
        /// The address cannot be used.
        case address
        /// Another program listens there.
        case addressInUse
    }

    public var code: Code
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
