/// Why a session ends. The peer only sees its connection close; the log gets this.
public struct SessionError: Error, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// A message that the protocol does not have: an unknown command, a wrong size, a greeting out of turn.
        case malformed
        /// A handle, a device, a graph that this session does not have.
        case unknown
        /// A tensor or a region that leaves its buffer or itself.
        case bounds
        /// A message or a graph beyond the limits set.
        case limit
        /// A graph that cannot be computed, or whose computation failed.
        case graph
        /// A link to another worker that broke, or on which nothing came for too long.
        case link
    }

    public var code: Code
    public var command: Command?
    public var message: String

    public init(_ code: Code, _ command: Command? = nil, _ message: String) {
        self.code = code
        self.command = command
        self.message = message
    }

    /// In one line, whatever the client's names hold: they must not look like other lines of a log, nor steer a terminal.
    public var description: String {
        let text = command.map { "\($0.name): \(message)" } ?? message
        return String(String.UnicodeScalarView(text.unicodeScalars.map { SessionError.isControl($0) ? "\u{fffd}" : $0 }))
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
            || scalar == "\u{2028}" || scalar == "\u{2029}"
    }
}

/// How a session came to its end.
public enum SessionEnd: Sendable {
    /// The peer closed the connection between two messages.
    case closed
    /// The peer asked for something wrong.
    case refused(SessionError)
    /// The connection broke, or went quiet in the middle of a message.
    case lost(StreamError)
}
