import Base
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Node
import Testing

/// A server around a mock engine, to be asked through its router.
struct TestServer {
    let engine: MockEngine
    let server: HTTPServer

    init(
        _ engine: MockEngine = MockEngine(), _ options: ServerOptions = ServerOptions(port: 0), network: (any NetworkView)? = nil
    ) {
        self.engine = engine
        server = HTTPServer(
            engine: engine, options: options, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, network: network)
    }

    init(models: any ModelDirectory, _ options: ServerOptions = ServerOptions(port: 0)) {
        engine = MockEngine()
        server = HTTPServer(
            models: models, options: options, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    struct Answer: Sendable {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]

        var text: String { String(decoding: body, as: UTF8.self) }

        var json: JSONValue {
            get throws { try JSONValue(parsing: body) }
        }

        /// The `data:` payloads of a stream of events.
        var events: [String] {
            text.components(separatedBy: "\n\n").filter { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) }
        }

        /// The JSON payloads; the last event must be `[DONE]`.
        func chunks() throws -> [JSONValue] {
            #expect(events.last == "[DONE]")
            return try events.dropLast().map { try JSONValue(parsing: $0.utf8) }
        }
    }

    func ask(
        _ method: HTTPRequest.Method, _ path: String, _ body: String? = nil, headers: [String: String] = [:],
        _ setup: TestingSetup = .router
    ) async throws -> Answer {
        try await server.application().test(setup) { client in
            var fields = HTTPFields()
            for (name, value) in headers { fields[HTTPField.Name(name)!] = value }
            return try await client.execute(uri: path, method: method, headers: fields, body: body.map { ByteBuffer(string: $0) }) {
                response in
                var headers: [String: String] = [:]
                for field in response.headers { headers[field.name.canonicalName] = field.value }
                return Answer(status: response.status.code, headers: headers, body: Array(response.body.readableBytesView))
            }
        }
    }

    func post(_ path: String, _ body: JSONValue, headers: [String: String] = [:]) async throws -> Answer {
        try await ask(.post, path, body.text, headers: headers)
    }
}

extension String {
    func components(separatedBy separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        parts.append(String(rest))
        return parts
    }
}

extension JSONValue {
    subscript(index: Int) -> JSONValue? {
        if case .array(let elements) = self, elements.indices.contains(index) { elements[index] } else { nil }
    }

    var string: String? {
        if case .string(let string) = self { string } else { nil }
    }

    var integer: Int? {
        if case .integer(let integer) = self { integer } else { nil }
    }
}
