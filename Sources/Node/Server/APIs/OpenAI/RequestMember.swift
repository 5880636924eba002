package import Base

/// A member of a request's body that some engine documents, and what it does here.
///
/// Whoever takes a new member in gives it a line in one of the lists: they are what requests are checked by, and what
/// `docs/COMPATIBILITY.md` is made from (`scripts/make-compatibility`, which reads the lists as they are written).
package struct RequestMember: Sendable {
    package enum Request: Hashable, Sendable {
        case completion
        /// llama-server's own `/completion`.
        case native
        case chat, embedding
    }

    /// Whose documentation has it.
    package enum Engine: Hashable, Sendable {
        case openAI, llamaServer, vLLM, ollama
    }

    package enum Standing: Hashable, Sendable {
        case done
        /// Asks for another answer than we would give, unless it has one of these values.
        case refused(unless: [JSONValue])
        /// Makes no difference to an answer of ours, whatever its value.
        case inert
    }

    package let name: String
    package let standing: Standing
    package let requests: Set<Request>
    package let engines: Set<Engine>
    /// What it does; of a refused one, why not, as it stands in the error; of one without effect, why it has none.
    package let note: String

    package static let all = sampling + answers + chats + embeddings

    static func done(_ name: String, _ requests: Set<Request>, _ engines: Set<Engine>, _ note: String) -> RequestMember {
        RequestMember(name: name, standing: .done, requests: requests, engines: engines, note: note)
    }

    static func refused(
        _ name: String, _ requests: Set<Request>, _ engines: Set<Engine>, unless neutral: [JSONValue], _ note: String
    ) -> RequestMember {
        RequestMember(name: name, standing: .refused(unless: neutral), requests: requests, engines: engines, note: note)
    }

    static func inert(_ name: String, _ requests: Set<Request>, _ engines: Set<Engine>, _ note: String) -> RequestMember {
        RequestMember(name: name, standing: .inert, requests: requests, engines: engines, note: note)
    }

    static let texts: Set<Request> = [.completion, .native, .chat]
    /// As OpenAI has them.
    static let openTexts: Set<Request> = [.completion, .chat]
    static let every: Set<Request> = [.completion, .native, .chat, .embedding]
    static let everyone: Set<Engine> = [.openAI, .llamaServer, .vLLM, .ollama]
    /// Everyone but OpenAI.
    static let local: Set<Engine> = [.llamaServer, .vLLM, .ollama]
}
