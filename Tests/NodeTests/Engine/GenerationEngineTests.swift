import Node
import Testing

/// The engine with a real, tiny model: what happens at the edges of the context, and that requests which come and go at
/// any moment leave nothing behind, neither in the caches nor in the counts.
@Suite(.timeLimit(.minutes(2))) struct GenerationEngineTests {
    private func engine(_ model: TinyModel, slots: Int = 1, context: Int = 64, queue: Int = 64) async throws -> any TextEngine {
        let options = EngineOptions(
            modelPath: model.path, contextSize: context, slotCount: slots, queueLimit: queue, threads: 1, batchSize: 8)
        return try await Engines.text(options) { _ in }
    }

    private func request(_ prompt: [Int32], _ maxTokens: Int?) -> GenerationRequest {
        GenerationRequest(
            prompt: .tokens(prompt), sampling: SamplingSettings(temperature: 0), maxTokens: maxTokens, ignoreEnd: true)
    }

    private struct Answer: Equatable {
        var tokens: [Int32] = []
        var cached: Int?
        var reason: FinishReason?
    }

    /// What a stream says, up to `limit` events.
    private func read(_ stream: GenerationStream, limit: Int = .max) async throws -> Answer {
        var answer = Answer()
        var left = limit
        for try await event in stream {
            switch event {
            case .prompt(_, let cached): answer.cached = cached
            case .token(let token): if token.id >= 0 { answer.tokens.append(token.id) }
            case .finished(let reason, _): answer.reason = reason
            }
            left -= 1
            if left <= 0 { break }
        }
        return answer
    }

    /// Waits until the engine has nothing to do.
    private func idle(_ engine: any TextEngine) async throws {
        while engine.status.slotsBusy > 0 || engine.status.queued > 0 { try await Task.sleep(for: .milliseconds(1)) }
    }

    @Test("prompt and answer fill the context at most, and no limit is too small or too large")
    func edgesOfTheContext() async throws {
        let model = try TinyModel()
        let engine = try await engine(model, context: 16)
        let prompt = [Int32](repeating: 5, count: 15)
        let cases: [(count: Int, limit: Int?, expected: Int)] = [
            (15, nil, 1), (14, nil, 2), (1, nil, 15), (15, .max, 1), (5, 3, 3), (5, 1, 1), (5, 0, 0),
        ]
        for (count, limit, expected) in cases {
            let answer = try await read(engine.generate(request(Array(prompt.prefix(count)), limit)))
            #expect(answer.tokens.count == expected, "\(count) tokens, limit \(limit ?? -1)")
            #expect(answer.reason == .length)
        }
        await #expect(throws: EngineError.promptTooLong(tokens: 16, limit: 15)) { try await engine.generate(request(prompt + [5], 1)) }
        await #expect(throws: EngineError.emptyPrompt) { try await engine.generate(request([], 1)) }
        for token in [-1, 24, Int32.max, .min] {
            await #expect(throws: EngineError.self) { try await engine.generate(request([token], 1)) }
        }
        try await idle(engine)
        await engine.shutdown()
        await #expect(throws: EngineError.stopped) { try await engine.generate(request([5], 1)) }
        #expect(engine.status.queued == 0)
    }

    @Test("a token of the request's own ends the answer, and a prompt is computed anew where the request asks for that")
    func requestsOwnWay() async throws {
        let model = try TinyModel()
        let engine = try await engine(model)
        let prompt = (0..<20).map { Int32(3 + $0 % 7) }
        let whole = try await read(engine.generate(request(prompt, 8)))
        #expect(whole.tokens.count == 8)
        var again = request(prompt, 8)
        #expect(try await read(engine.generate(again)).cached == 19)
        again.reusesPrompt = false
        let anew = try await read(engine.generate(again))
        #expect(anew.cached == 0)
        #expect(anew.tokens == whole.tokens)
        // Also while the model's own end is ignored.
        let last = try #require(whole.tokens.last)
        again.stopTokens = [last]
        let stopped = try await read(engine.generate(again))
        #expect(stopped.tokens == Array(whole.tokens.prefix { $0 != last }))
        #expect(stopped.reason == .stop)
        await engine.shutdown()
    }

    @Test("a context of one token leaves no room for any prompt, which is said and does not trap")
    func smallestContext() async throws {
        let model = try TinyModel()
        let engine = try await engine(model, context: 1)
        await #expect(throws: EngineError.promptTooLong(tokens: 1, limit: 0)) { try await engine.generate(request([5], 1)) }
        await engine.shutdown()
    }

    @Test("answers are the same however many requests came, shared prefixes and were abandoned before")
    func abandonedAtAnyMoment() async throws {
        let model = try TinyModel()
        // Prompts of several steps that begin alike, so that caches are gone on from.
        let prompts = (0..<6).map { index -> [Int32] in
            let shared = (0..<(10 + 3 * index)).map { Int32(3 + $0 % 7) }
            return shared + [Int32](repeating: Int32(4 + index), count: 10 + 2 * index)
        }
        var fromFreshEngines: [[Int32]] = []
        for prompt in prompts {
            let fresh = try await engine(model)
            let answer = try await read(fresh.generate(request(prompt, 6)))
            #expect(answer.tokens.count == 6)
            fromFreshEngines.append(answer.tokens)
            await fresh.shutdown()
        }
        let expected = fromFreshEngines

        let engine = try await engine(model, slots: 3)
        let reused = try await withThrowingTaskGroup(of: Int.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    var random = SystemRandomNumberGenerator()
                    var reused = 0
                    for turn in 0..<40 {
                        let index = (worker + turn) % prompts.count
                        let stream = try await engine.generate(request(prompts[index], 6))
                        switch Int.random(in: 0..<6, using: &random) {
                        case 0: stream.abandon()
                        case 1:
                            try await Task.sleep(for: .microseconds(Int.random(in: 0...3000, using: &random)))
                            stream.abandon()
                        case 2:
                            let part = try await read(stream, limit: Int.random(in: 1...6, using: &random))
                            #expect(expected[index].starts(with: part.tokens))
                        default:
                            let answer = try await read(stream)
                            #expect(answer.tokens == expected[index])
                            reused += answer.cached ?? 0
                        }
                    }
                    return reused
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(reused > 0, "some prompts should go on from a cache")
        try await idle(engine)
        await engine.shutdown()
    }

    @Test("a full queue refuses, and takes requests again when it has emptied")
    func overload() async throws {
        let model = try TinyModel()
        let engine = try await engine(model, context: 256, queue: 2)
        for _ in 0..<5 {
            var streams: [GenerationStream] = []
            var refused = 0
            for _ in 0..<20 {
                do throws(EngineError) {
                    streams.append(try await engine.generate(request([5, 6, 7], 200)))
                } catch {
                    #expect(error == .overloaded(queued: 2))
                    refused += 1
                }
                #expect(engine.status.queued <= 3)
            }
            #expect(streams.count >= 3)
            for stream in streams { stream.abandon() }
            try await idle(engine)
        }
        await engine.shutdown()
    }

    @Test("a vocabulary with more tokens than the model computes with is refused when it is loaded")
    func vocabularyTooLarge() async throws {
        let model = try TinyModel(rows: TinyModel.vocabulary - 1)
        await #expect(throws: (any Error).self) { try await engine(model) }
    }

    @Test("a vocabulary with fewer tokens than the model computes with works: the rest have no text")
    func vocabularyTooSmall() async throws {
        let model = try TinyModel(rows: 500)
        let engine = try await engine(model)
        let answer = try await read(engine.generate(request([5, 6], 20)))
        #expect(answer.tokens.count == 20)
        await engine.shutdown()
    }
}
