/// The first message of a TLS connection, as far as a door looks at it before anything is computed: the host name that the client wants
/// to (RFC 8446 section 4.1.2, RFC 6066 section 3). Bytes of anybody's.
package enum ClientHello {
    package enum Outcome: Hashable, Sendable {
        /// There may be more to come.
        case incomplete
        /// It is TLS, and names this host; nil if it names none.
        case names(String?)
        /// It is something else.
        case isNotTLS
    }

    /// Bytes that a first message may have; ours has a few hundred.
    package static let limit = 8 << 10

    package static func look(at bytes: UnsafeRawBufferPointer) -> Outcome {
        guard bytes.count > 0 else { return .incomplete }
        // A record of the handshake.
        guard bytes[0] == 22 else { return .isNotTLS }
        guard bytes.count >= 5 else { return .incomplete }
        guard bytes[1] == 3 else { return .isNotTLS }
        let recordSize = Int(bytes[3]) << 8 | Int(bytes[4])
        // Ours comes in one record; one that is spread over several is nobody's that is wanted here.
        guard recordSize >= 4, recordSize + 5 <= limit else { return .isNotTLS }
        if bytes.count > 5, bytes[5] != 1 { return .isNotTLS }
        guard bytes.count >= recordSize + 5 else { return .incomplete }
        var reader = Reader(UnsafeRawBufferPointer(rebasing: bytes[5..<(5 + recordSize)]))
        guard reader.number(of: 1) == 1, let size = reader.number(of: 3), var body = reader.part(size) else { return .isNotTLS }
        // Version and random number; then session, suites and compressions, each behind its size.
        guard body.part(34) != nil, body.sized(by: 1) != nil, body.sized(by: 2) != nil, body.sized(by: 1) != nil else { return .isNotTLS }
        guard var extensions = body.sized(by: 2) else { return .names(nil) }
        while let kind = extensions.number(of: 2) {
            guard var content = extensions.sized(by: 2) else { return .isNotTLS }
            guard kind == 0 else { continue }
            // The list's first name; 0 is a host's.
            guard var list = content.sized(by: 2), list.number(of: 1) == 0, let name = list.sized(by: 2) else { return .isNotTLS }
            return .names(String(decoding: name.rest, as: UTF8.self))
        }
        return .names(nil)
    }

    private struct Reader {
        var rest: UnsafeRawBufferPointer

        init(_ rest: UnsafeRawBufferPointer) { self.rest = rest }

        mutating func part(_ count: Int) -> Reader? {
            guard count <= rest.count else { return nil }
            defer { rest = UnsafeRawBufferPointer(rebasing: rest[count...]) }
            return Reader(UnsafeRawBufferPointer(rebasing: rest[..<count]))
        }

        mutating func number(of count: Int) -> Int? { part(count)?.rest.reduce(0) { $0 << 8 | Int($1) } }

        /// What is behind its size, which has so many bytes.
        mutating func sized(by count: Int) -> Reader? {
            guard let size = number(of: count) else { return nil }
            return part(size)
        }
    }
}
