internal import Base
internal import NodeEngine

/// The JSON in which answers to one request are told, whole or in chunks: what an API makes of the same events.
protocol AnswerShape: Sendable {
    /// Whether answers are to come with their tokens, also where no probabilities are asked for.
    var wantsTokens: Bool { get }
    /// Whether a stream that came to its end says so (`[DONE]`).
    var marksEnd: Bool { get }

    func whole(_ answers: [WholeAnswer], usage: AnswerUsage) -> JSONValue

    /// What a stream says of an answer before its first piece; nil for nothing.
    func opening(index: Int) -> JSONValue?

    /// - Parameters:
    ///   - offset: characters of the answer before this piece.
    ///   - usage: the answer's, so far.
    func piece(index: Int, _ piece: AnswerPiece, offset: Int, usage: AnswerUsage) -> JSONValue

    func closing(_ answer: WholeAnswer) -> JSONValue

    /// The chunk that counts tokens at the end of a stream; nil for none.
    func accounting(_ usage: AnswerUsage) -> JSONValue?

    /// An error that comes too late for a status of its own.
    func told(_ error: APIError) -> JSONValue
}

/// An answer that is through.
struct WholeAnswer: Sendable {
    /// Which of the request's answers it is.
    var index: Int
    /// Empty where it was streamed.
    var text = ""
    /// Where they are asked for, and the answer was not streamed.
    var tokens: [GeneratedToken] = []
    var hasLineFeed = false
    var reason = FinishReason.stop
    /// The stop string that ended it.
    var stopWord: String?
    var usage = AnswerUsage()
}
