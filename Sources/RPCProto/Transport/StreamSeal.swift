/// What wraps a connection's bytes on their way over the wire, as encryption does: bytes go in on one side and come out on the other,
/// without sockets or threads of its own, so that whoever reads and writes the connection does so as ever, at no one else's pace.
///
/// One thread at a time, the one that uses the stream.
package protocol StreamSeal: AnyObject, Sendable {
    /// Wraps bytes, behind what was wrapped and has not been taken yet.
    ///
    /// - Throws: `failed` if nothing can be sent any more.
    func wrap(_ plain: UnsafeRawBufferPointer) throws(StreamError)

    /// What is to go over the wire, oldest first; valid until the next call.
    func withWrapped<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result

    /// That many bytes of it have gone.
    func dropWrapped(_ byteCount: Int)

    /// Has `receive` put bytes from the wire into memory that it is given, and unwraps them.
    ///
    /// - Parameter receive: gives how many there were; nothing is unwrapped for 0 or less.
    /// - Returns: what `receive` gave.
    /// - Throws: `failed` for bytes that the peer cannot have wrapped.
    func unwrap(_ receive: (UnsafeMutableRawBufferPointer) -> Int) throws(StreamError) -> Int

    /// The stream is broken off: what was kept beside it is to go at once. Called from any thread.
    func interrupt()

    /// Moves bytes that are unwrapped into `target`.
    ///
    /// - Returns: how many; 0 if there are none.
    func takePlain(into target: UnsafeMutableRawBufferPointer) -> Int
}

/// A connected stream that nobody uses yet.
package struct OpenedStream: Sendable {
    /// Connected and blocking; whoever takes it closes it.
    package var descriptor: Int32
    /// Nil for bytes as they are.
    package var seal: (any StreamSeal)?

    package init(descriptor: Int32, seal: (any StreamSeal)?) {
        self.descriptor = descriptor
        self.seal = seal
    }
}

/// How streams to one server are made, where that is not by connecting to its address.
package protocol StreamOpener: Sendable {
    /// Blocks.
    ///
    /// - Throws: `failed`, or `address` where nobody is there.
    func open(within seconds: Double) throws(StreamError) -> OpenedStream
}
