internal import Base
internal import HTTPTypes
internal import Hummingbird
internal import NodeEngine

/// What a client is told when its request is not served, in the shape that OpenAI's clients understand.
struct APIError: Error, Hashable, Sendable {
    /// The family of an error, as OpenAI spells it.
    enum Kind: String, Hashable, Sendable {
        case invalidRequest = "invalid_request_error"
        /// llama.cpp's server's own.
        case contextExceeded = "exceed_context_size_error"
        case authentication = "authentication_error"
        case permission = "permission_error"
        case notFound = "not_found_error"
        case unavailable = "unavailable_error"
        case timeout = "timeout_error"
        case server = "server_error"
    }

    var status: HTTPResponse.Status
    var kind: Kind
    var message: String
    /// The member of the request's body that is at fault.
    var parameter: String?
    /// A word for programs.
    var code: String?
    /// Whether the body is what llama.cpp's server says, for programs that wait for it by its words.
    var isStock = false
    var headers: HTTPFields
    /// What a prompt that is too long has, and what there is room for.
    var excess: Excess?

    struct Excess: Hashable, Sendable {
        var promptTokens: Int
        var contextSize: Int
    }

    init(
        _ status: HTTPResponse.Status, _ kind: Kind, _ message: String, parameter: String? = nil, code: String? = nil,
        headers: HTTPFields = [:]
    ) {
        self.status = status
        self.kind = kind
        self.message = message
        self.parameter = parameter
        self.code = code
        self.headers = headers
    }

    /// A request that can never be served as it stands.
    static func invalid(_ message: String, parameter: String? = nil, code: String? = nil) -> APIError {
        APIError(.badRequest, .invalidRequest, message, parameter: parameter, code: code)
    }

    /// `{"error": {…}}`.
    var body: JSONValue {
        var error: JSONObject
        if isStock {
            error = ["code": .integer(status.code), "message": .string(message), "type": .string(kind.rawValue)]
        } else {
            error = [
                "message": .string(message),
                "type": .string(kind.rawValue),
                "param": parameter.map(JSONValue.string) ?? .null,
                "code": code.map(JSONValue.string) ?? .null,
            ]
        }
        if let excess {
            error["n_prompt_tokens"] = .integer(excess.promptTokens)
            error["n_ctx"] = .integer(excess.contextSize)
        }
        return ["error": .object(error)]
    }

    /// The same as llama.cpp's server tells it.
    var asStock: APIError {
        var error = self
        error.isStock = true
        return error
    }
}

extension APIError {
    /// How an engine's error is told to a client.
    ///
    /// - Parameters:
    ///   - parameter: the member of the body that holds the prompt.
    ///   - contextSize: tokens that the model holds, for prompts that are too long.
    init(_ error: EngineError, parameter: String? = nil, contextSize: Int? = nil) {
        let message = APIError.sentence(error.description)
        switch error {
        case .promptTooLong(let tokens, let limit):
            let size = contextSize ?? limit
            self = APIError(
                .badRequest, .contextExceeded,
                "\(message) It exceeds the available context size of \(size) tokens; --ctx-size sets another.", parameter: parameter,
                code: "context_length_exceeded")
            excess = Excess(promptTokens: tokens, contextSize: size)
        case .emptyPrompt, .invalidToken, .template:
            self = .invalid(message, parameter: parameter, code: "invalid_value")
        case .unsupported:
            self = .invalid(message, code: "unsupported")
        case .unknownModel:
            self = APIError(.notFound, .notFound, message, parameter: "model", code: "model_not_found")
        case .overloaded:
            self = APIError(
                .serviceUnavailable, .unavailable, message + " Try again later.", code: "overloaded", headers: [.retryAfter: "2"])
        case .stopped:
            self = .stopping
        case .unavailable:
            self = APIError(.serviceUnavailable, .unavailable, message, code: "unavailable", headers: [.retryAfter: "5"])
        case .failed:
            // What broke is the operator's business and stands in the log.
            self = APIError(
                .internalServerError, .server, "The model could not answer because of an internal error.", code: "internal_error")
        }
    }

    /// A reason as a sentence: with a capital letter, and a full stop unless it ends in one.
    static func sentence(_ reason: String) -> String {
        let isEnded = reason.last.map { ".!?".contains($0) } ?? false
        return reason.prefix(1).uppercased() + reason.dropFirst() + (isEnded ? "" : ".")
    }

    static let stopping = APIError(
        .serviceUnavailable, .unavailable, "The server is shutting down.", code: "shutting_down",
        headers: [.retryAfter: "10", .connection: "close"])
}

extension APIError {
    static let loading: APIError = {
        var error = APIError(.serviceUnavailable, .unavailable, "Loading model", headers: [.retryAfter: "2"])
        error.isStock = true
        return error
    }()
}

extension APIError: HTTPResponseError {
    func response(from request: Request, context: some RequestContext) -> Response {
        var response = Response(json: body, status: status)
        for field in headers { response.headers.append(field) }
        return response
    }
}

extension Response {
    /// A whole answer of JSON.
    init(json: JSONValue, status: HTTPResponse.Status = .ok) {
        var bytes = json.utf8
        bytes.append(0x0a)
        self.init(
            status: status,
            headers: [.contentType: "application/json; charset=utf-8", .contentLength: String(bytes.count)],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
