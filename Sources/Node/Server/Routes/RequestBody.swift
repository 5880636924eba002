internal import Base
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import NIOHTTPTypes

extension Request {
    /// The members of the JSON object that is the body.
    func fields(_ limits: ServerOptions.Limits) async throws -> RequestFields {
        if let encoding = headers[.contentEncoding], encoding.lowercased() != "identity", !encoding.isEmpty {
            throw APIError(
                .unsupportedMediaType, .invalidRequest,
                "Content-Encoding \(encoding.prefix(40)) is not supported: send the body as it is.", code: "unsupported_content_encoding",
                headers: [.connection: "close"])
        }
        var buffer = try await wholeBody(limits)
        // The mark of byte order that some programs begin files of UTF-8 with.
        if buffer.readableBytesView.starts(with: [0xef, 0xbb, 0xbf]) { buffer.moveReaderIndex(forwardBy: 3) }
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue(parsing: buffer.readableBytesView, limits: limits.json)
        } catch {
            throw APIError.invalid(APIError.sentence("the body is not valid JSON: \(error)"), code: "invalid_json")
        }
        return try RequestFields(body: value)
    }

    private func wholeBody(_ limits: ServerOptions.Limits) async throws -> ByteBuffer {
        let limit = limits.bodySize
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit { throw tooLarge(limit) }
        let timeLimit = limits.bodyTime
        let body = body
        return try await withThrowingTaskGroup(of: ByteBuffer?.self) { group in
            group.addTask {
                do {
                    return try await body.collect(upTo: limit)
                } catch is NIOTooManyBytesError {
                    throw tooLarge(limit)
                }
            }
            group.addTask {
                try await Deadlines.sleep(for: timeLimit)
                return nil
            }
            defer { group.cancelAll() }
            guard let first = try await group.next(), let buffer = first else {
                throw APIError(
                    .requestTimeout, .timeout, "The request's body did not arrive within \(timeLimit.components.seconds) seconds.",
                    code: "body_timeout", headers: [.connection: "close"])
            }
            return buffer
        }
    }

    private func tooLarge(_ limit: Int) -> APIError {
        APIError(
            .contentTooLarge, .invalidRequest, "The body is longer than \(limit) bytes.", code: "body_too_large",
            headers: [.connection: "close"])
    }
}
