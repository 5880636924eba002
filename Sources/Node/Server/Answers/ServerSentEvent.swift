internal import Base
internal import NIOCore

/// Lines of a `text/event-stream`.
enum ServerSentEvent {
    static func data(_ value: JSONValue) -> ByteBuffer {
        var buffer = ByteBuffer()
        let json = value.utf8
        buffer.reserveCapacity(json.count + 8)
        buffer.writeString("data: ")
        buffer.writeBytes(json)
        buffer.writeString("\n\n")
        return buffer
    }

    /// A line that clients pass over: says that somebody is still there.
    static let pulse = ByteBuffer(string: ": still here\n\n")

    /// What ends a stream that came to its end.
    static let done = ByteBuffer(string: "data: [DONE]\n\n")
}
