import Node
import Testing

/// That several steps under way at once change no answer: a model cut into stages says what the whole one says.
@Suite(.timeLimit(.minutes(2))) struct PipelineTests {
    private func options(_ model: TinyModel, slots: Int) -> EngineOptions {
        EngineOptions(modelPath: model.path, contextSize: 96, slotCount: slots, threads: 1, batchSize: 16)
    }

    private func request(_ seed: UInt32) -> GenerationRequest {
        let prompt = (0..<(3 + Int(seed * 13 % 50))).map { Int32(($0 * 7 + Int(seed)) % TinyModel.vocabulary) }
        return GenerationRequest(
            prompt: .tokens(prompt), sampling: SamplingSettings(temperature: seed % 2 == 0 ? 0 : 0.9, seed: seed),
            maxTokens: 5 + Int(seed % 20), ignoreEnd: true, alternatives: seed % 3 == 0 ? 2 : nil)
    }

    private func tokens(_ engine: any TextEngine, _ seed: UInt32) async throws -> [GeneratedToken] {
        var tokens: [GeneratedToken] = []
        for try await event in try await engine.generate(request(seed)) {
            if case .token(let token) = event { tokens.append(token) }
        }
        return tokens
    }

    @Test("twelve requests over four slots get the answers they would get alone", arguments: [[1], [1, 2], [2, 2, 4]])
    func answersAreTheSame(_ cuts: [Int]) async throws {
        let model = try TinyModel(layers: 4)
        let whole = try await Engines.text(options(model, slots: 1)) { _ in }
        var expected: [[GeneratedToken]] = []
        for seed in 0..<12 { expected.append(try await tokens(whole, UInt32(seed))) }
        await whole.shutdown()

        let cut = try await Engines.text(options(model, slots: 4), cutAfter: cuts)
        let answers = try await withThrowingTaskGroup(of: (Int, [GeneratedToken]).self) { group in
            for seed in 0..<12 { group.addTask { (seed, try await tokens(cut, UInt32(seed))) } }
            var answers = [[GeneratedToken]](repeating: [], count: 12)
            for try await (seed, tokens) in group { answers[seed] = tokens }
            return answers
        }
        #expect(answers == expected)
        // A request's last event is sent a moment before its slot is counted as free.
        for _ in 0..<1000 where cut.status.slotsBusy > 0 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(cut.status.slotsBusy == 0)
        await cut.shutdown()
    }

    @Test("clients that leave while their step is under way disturb nobody, least of all who gets their slot")
    func leaving() async throws {
        let model = try TinyModel(layers: 4)
        let engine = try await Engines.text(options(model, slots: 2), cutAfter: [2])
        let expected = try await tokens(engine, 4)
        for round in 0..<30 {
            let leaver = try await engine.generate(request(UInt32(100 + round)))
            if round % 2 == 0 { for try await _ in leaver { break } }
            leaver.abandon()
            #expect(try await tokens(engine, 4) == expected)
        }
        await engine.shutdown()
    }
}
