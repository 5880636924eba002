internal import Base
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NodeCluster
internal import NodeEngine
internal import Synchronization

/// The answers to one request, one or more for each of its prompts, under way together.
///
/// They are abandoned when the client goes or the time is up.
struct AnswerBatch: Sendable {
    /// Keeps the model until the answers are through.
    let lease: ModelLease
    let streams: [GenerationStream]
    let options: AnswerOptions
    let format: any AnswerShape
    /// What stands before each answer; empty for nothing.
    let echoes: [String]
    let timeLimit: Duration
    /// Between two signs of life of a stream before its first token.
    let pulseTime: Duration
    let watch: ConnectionWatch?
    let record: RequestRecord
    let logger: Logger
    /// Where all that the server does is added up.
    let totals: TokenTotals

    // MARK: As one

    /// - Throws: an error that can still be told with a status of its own.
    func whole() async throws -> Response {
        try await guarded { verdict in
            let answers = try await withThrowingTaskGroup(of: WholeAnswer.self) { group in
                for index in streams.indices {
                    group.addTask { try await self.choice(index, verdict) }
                }
                var answers: [WholeAnswer] = []
                for try await answer in group { answers.append(answer) }
                return answers.sorted { $0.index < $1.index }
            }
            let usage = answers.reduce(AnswerUsage()) { $0 + counted($1) }
            record.usage = usage
            return Response(json: format.whole(answers, usage: usage))
        }
    }

    /// What an answer adds to the request's: a prompt counts once, however many answers it has.
    private func counted(_ answer: WholeAnswer) -> AnswerUsage {
        var usage = answer.usage
        if answer.index % options.answerCount != 0 { (usage.promptTokens, usage.cachedTokens) = (0, 0) }
        return usage
    }

    private func choice(_ index: Int, _ verdict: Verdict) async throws -> WholeAnswer {
        var text = index < echoes.count ? echoes[index] : ""
        var tokens: [GeneratedToken] = []
        var whole = try await follow(index, verdict) { part in
            guard case .piece(_, let piece, _) = part else { return }
            text += piece.text
            tokens += piece.tokens
        }
        (whole.text, whole.tokens) = (text, tokens)
        return whole
    }

    /// Goes through an answer, passing on what comes of it before its end.
    private func follow(_ index: Int, _ verdict: Verdict, _ take: (Part) -> Void) async throws -> WholeAnswer {
        var answer = Answer(streams[index], stops: options.stops, reportsTokens: format.wantsTokens)
        // Also what nobody waited for was computed.
        defer { totals.add(answer.usage) }
        var whole = WholeAnswer(index: index)
        while let event = try await answer.next() {
            switch event {
            case .begun: take(.opening(index))
            case .piece(let piece):
                whole.hasLineFeed = whole.hasLineFeed || piece.text.utf8.contains(0x0a)
                take(.piece(index, piece, answer.usage))
            case .finished(let reason):
                (whole.reason, whole.stopWord, whole.usage) = (reason, answer.stopWord, answer.usage)
                return whole
            }
        }
        throw verdict.error
    }

    // MARK: As server-sent events

    private enum Part: Sendable {
        case opening(Int)
        /// Nothing yet; the client and what stands between are to know that it is worth waiting.
        case pulse
        case piece(Int, AnswerPiece, AnswerUsage)
        case closing(WholeAnswer)
    }

    /// Headers go as soon as the first answer has a slot; until one has said something, comments do.
    ///
    /// - Throws: what comes to nothing before that, which can still be told with a status of its own.
    func streamed() async throws -> Response {
        let start = ContinuousClock.now
        try await begun()
        let left = max(.zero, timeLimit - start.duration(to: .now))
        let body = ResponseBody { writer in
            do {
                try await guarded(within: left) { verdict in try await write(to: &writer, verdict) }
            } catch let error as APIError {
                // Too late for a status: the error goes where the client is reading.
                record.outcome = error.code ?? error.message
                try await writer.write(ServerSentEvent.data(format.told(error)))
            } catch let error as EngineError {
                if case .failed(let reason) = error { logger.error("the engine failed: \(reason)") }
                record.outcome = "\(error)"
                try await writer.write(ServerSentEvent.data(format.told(APIError(error))))
            }
            try await writer.finish(nil)
        }
        let headers: HTTPFields = [
            .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache",
            // Proxies that collect an answer before they pass it on would make a stream pointless.
            .accelBuffering: "no",
        ]
        return Response(status: .ok, headers: headers, body: body)
    }

    /// Waits until the first answer has a slot, the client is gone or the time is up.
    private func begun() async throws {
        let verdict = Verdict()
        let end = watched(within: timeLimit, verdict)
        defer { end() }
        do throws(EngineError) {
            // Requests get slots in their order.
            try await streams.first?.begun()
        } catch {
            for stream in streams { stream.abandon() }
            if case .failed(let reason) = error { logger.error("the engine failed: \(reason)") }
            record.outcome = "\(error)"
            throw APIError(error)
        }
        if let error = verdict.passed {
            record.outcome = error.code
            throw error
        }
    }

    private func write(to writer: inout any ResponseBodyWriter, _ verdict: Verdict) async throws {
        let (parts, source) = AsyncThrowingStream<Part, any Error>.makeStream()
        let producer = Task {
            do {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for index in streams.indices {
                        group.addTask { try await self.produce(index, verdict, into: source) }
                    }
                    try await group.waitForAll()
                }
                source.finish()
            } catch {
                source.finish(throwing: error)
            }
        }
        let pulse = Task {
            while !Task.isCancelled {
                try await Deadlines.sleep(for: pulseTime)
                source.yield(.pulse)
            }
        }
        defer {
            producer.cancel()
            pulse.cancel()
        }
        var usage = AnswerUsage()
        var offsets = echoes.map(\.unicodeScalars.count) + Array(repeating: 0, count: streams.count)
        for try await part in parts {
            switch part {
            case .pulse: try await writer.write(ServerSentEvent.pulse)
            case .opening(let index):
                if let chunk = format.opening(index: index) { try await writer.write(ServerSentEvent.data(chunk)) }
                if index < echoes.count, !echoes[index].isEmpty {
                    let echo = AnswerPiece(text: echoes[index], tokens: [])
                    let chunk = format.piece(index: index, echo, offset: 0, usage: AnswerUsage())
                    try await writer.write(ServerSentEvent.data(chunk))
                }
            case .piece(let index, let piece, let usage):
                pulse.cancel()
                let chunk = format.piece(index: index, piece, offset: offsets[index], usage: usage)
                offsets[index] += piece.text.unicodeScalars.count
                try await writer.write(ServerSentEvent.data(chunk))
            case .closing(let answer):
                usage = usage + counted(answer)
                record.usage = usage
                try await writer.write(ServerSentEvent.data(format.closing(answer)))
            }
        }
        if let chunk = format.accounting(usage) { try await writer.write(ServerSentEvent.data(chunk)) }
        if format.marksEnd { try await writer.write(ServerSentEvent.done) }
    }

    private func produce(_ index: Int, _ verdict: Verdict, into source: AsyncThrowingStream<Part, any Error>.Continuation) async throws {
        source.yield(.closing(try await follow(index, verdict) { source.yield($0) }))
    }

    // MARK: Ends that come from outside

    /// Why answers broke off, for the consumer that finds its stream ended.
    private final class Verdict: Sendable {
        private let reason = Mutex<APIError?>(nil)

        func pass(_ error: APIError) {
            reason.withLock { if $0 == nil { $0 = error } }
        }

        var passed: APIError? { reason.withLock { $0 } }
        /// What to throw: cancellation, where no verdict was passed.
        var error: any Error { passed ?? CancellationError() }
    }

    /// Abandons all streams, with a verdict, when the client goes or the time is up.
    ///
    /// - Returns: ends the watch.
    private func watched(within limit: Duration, _ verdict: Verdict) -> () -> Void {
        let streams = streams
        let departure = watch?.onDeparture {
            verdict.pass(.clientGone)
            for stream in streams { stream.abandon() }
        }
        let timer = Task {
            try await Deadlines.sleep(for: limit)
            verdict.pass(.answerTimeout)
            for stream in streams { stream.abandon() }
        }
        return { [watch] in
            timer.cancel()
            if let departure { watch?.forget(departure) }
        }
    }

    /// Runs `work`, abandoning all streams when the client goes, the time is up, or the work itself fails.
    ///
    /// - Parameter limit: the time; all that an answer has if nil.
    private func guarded<Result>(within limit: Duration? = nil, _ work: (Verdict) async throws -> Result) async throws -> Result {
        let verdict = Verdict()
        let end = watched(within: limit ?? timeLimit, verdict)
        defer {
            end()
            for stream in streams { stream.abandon() }
        }
        do {
            return try await work(verdict)
        } catch let error as APIError {
            record.outcome = error.code
            throw error
        }
    }
}

extension HTTPField.Name {
    /// Spelled right, so it is a name; the other never stands in its place.
    fileprivate static let accelBuffering = HTTPField.Name("X-Accel-Buffering") ?? .connection
}

extension APIError {
    /// For the log; nobody is there to read it.
    static let clientGone = APIError(
        HTTPResponse.Status(code: 499, reasonPhrase: "Client Closed Request"), .timeout, "The client has gone.", code: "client_gone",
        headers: [.connection: "close"])

    static let answerTimeout = APIError(
        .gatewayTimeout, .timeout, "The answer took longer than this server allows.", code: "answer_timeout")
}
