internal import Base
internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NodeCluster
internal import NodeEngine
internal import Synchronization

/// The answers to one request, one for each of its prompts, under way together.
///
/// They are abandoned when the client goes or the time is up.
struct AnswerBatch: Sendable {
    /// Keeps the model until the answers are through.
    let lease: ModelLease
    let streams: [GenerationStream]
    let options: AnswerOptions
    let format: AnswerFormat
    /// What stands before each answer; empty for nothing.
    let echoes: [String]
    let timeLimit: Duration
    let watch: ConnectionWatch?
    let record: RequestRecord
    let logger: Logger

    // MARK: As one

    /// - Throws: an error that can still be told with a status of its own.
    func whole() async throws -> Response {
        try await guarded { verdict in
            let results = try await withThrowingTaskGroup(of: (Int, JSONValue, AnswerUsage).self) { group in
                for index in streams.indices {
                    group.addTask { try await self.choice(index, verdict) }
                }
                var results: [(Int, JSONValue, AnswerUsage)] = []
                for try await result in group { results.append(result) }
                return results.sorted { $0.0 < $1.0 }
            }
            let usage = results.reduce(AnswerUsage()) { $0 + $1.2 }
            record.usage = usage
            return Response(json: format.whole(results.map(\.1), usage: usage))
        }
    }

    private func choice(_ index: Int, _ verdict: Verdict) async throws -> (Int, JSONValue, AnswerUsage) {
        var answer = Answer(streams[index], stops: options.stops, reportsTokens: options.alternatives != nil)
        var text = index < echoes.count ? echoes[index] : ""
        var tokens: [GeneratedToken] = []
        while let event = try await answer.next() {
            switch event {
            case .begun: break
            case .piece(let piece):
                text += piece.text
                tokens += piece.tokens
            case .finished(let reason):
                let reported = options.alternatives == nil ? nil : tokens
                return (index, format.choice(index: index, text: text, tokens: reported, reason: reason), answer.usage)
            }
        }
        throw verdict.error
    }

    // MARK: As server-sent events

    private enum Part: Sendable {
        case opening(Int)
        case piece(Int, AnswerPiece)
        case closing(Int, FinishReason, AnswerUsage)
    }

    /// - Throws: what comes to nothing before it has said anything, which can still be told with a status of its own.
    func streamed() async throws -> Response {
        try await begun()
        let body = ResponseBody { writer in
            do {
                try await guarded { verdict in try await write(to: &writer, verdict) }
            } catch let error as APIError {
                // Too late for a status: the error goes where the client is reading.
                record.outcome = error.code ?? error.message
                try await writer.write(ServerSentEvent.data(error.body))
            } catch let error as EngineError {
                if case .failed(let reason) = error { logger.error("the engine failed: \(reason)") }
                record.outcome = "\(error)"
                try await writer.write(ServerSentEvent.data(APIError(error).body))
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

    /// Waits until every answer has begun, the client is gone or the time is up.
    private func begun() async throws {
        let streams = streams
        let verdict = Verdict()
        let departure = watch?.onDeparture {
            verdict.pass(.clientGone)
            for stream in streams { stream.abandon() }
        }
        let timer = Task {
            try await Deadlines.sleep(for: timeLimit)
            verdict.pass(.answerTimeout)
            for stream in streams { stream.abandon() }
        }
        defer {
            timer.cancel()
            if let departure { watch?.forget(departure) }
        }
        do throws(EngineError) {
            for stream in streams { try await stream.begun() }
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
        defer { producer.cancel() }
        var usage = AnswerUsage()
        var offsets = echoes.map(\.unicodeScalars.count) + Array(repeating: 0, count: streams.count)
        for try await part in parts {
            switch part {
            case .opening(let index):
                if let chunk = format.opening(index: index) { try await writer.write(ServerSentEvent.data(chunk)) }
                if index < echoes.count, !echoes[index].isEmpty {
                    try await writer.write(ServerSentEvent.data(format.piece(index: index, text: echoes[index], tokens: nil, offset: 0)))
                }
            case .piece(let index, let piece):
                let tokens = options.alternatives == nil ? nil : piece.tokens
                let chunk = format.piece(index: index, text: piece.text, tokens: tokens, offset: offsets[index])
                offsets[index] += piece.text.unicodeScalars.count
                try await writer.write(ServerSentEvent.data(chunk))
            case .closing(let index, let reason, let part):
                usage = usage + part
                record.usage = usage
                try await writer.write(ServerSentEvent.data(format.closing(index: index, reason: reason)))
            }
        }
        if let chunk = format.accounting(usage) { try await writer.write(ServerSentEvent.data(chunk)) }
        try await writer.write(ServerSentEvent.done)
    }

    private func produce(_ index: Int, _ verdict: Verdict, into source: AsyncThrowingStream<Part, any Error>.Continuation) async throws {
        var answer = Answer(streams[index], stops: options.stops, reportsTokens: options.alternatives != nil)
        while let event = try await answer.next() {
            switch event {
            case .begun: source.yield(.opening(index))
            case .piece(let piece): source.yield(.piece(index, piece))
            case .finished(let reason):
                source.yield(.closing(index, reason, answer.usage))
                return
            }
        }
        throw verdict.error
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

    /// Runs `work`, abandoning all streams when the client goes, the time is up, or the work itself fails.
    private func guarded<Result>(_ work: (Verdict) async throws -> Result) async throws -> Result {
        let verdict = Verdict()
        let streams = streams
        let departure = watch?.onDeparture {
            verdict.pass(.clientGone)
            for stream in streams { stream.abandon() }
        }
        let timer = Task {
            try await Deadlines.sleep(for: timeLimit)
            verdict.pass(.answerTimeout)
            for stream in streams { stream.abandon() }
        }
        defer {
            timer.cancel()
            if let departure { watch?.forget(departure) }
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
