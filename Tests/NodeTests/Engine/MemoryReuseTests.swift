import Node
import Testing

/// That prompts which go on from what a slot remembers get the answers that they would get from the beginning, whatever the layers
/// remember texts by.
@Suite(.timeLimit(.minutes(2))) struct MemoryReuseTests {
    private struct Answer: Equatable {
        var tokens: [Int32] = []
        var cached = 0
    }

    private func engine(_ model: TinyModel, slots: Int = 1) async throws -> any TextEngine {
        try await Engines.text(
            EngineOptions(modelPath: model.path, contextSize: 3000, slotCount: slots, threads: 1, batchSize: 1024)
        ) { _ in }
    }

    private func ask(_ engine: any TextEngine, _ prompt: [Int32], _ count: Int = 20) async throws -> Answer {
        var answer = Answer()
        let request = GenerationRequest(
            prompt: .tokens(prompt), sampling: SamplingSettings(temperature: 0), maxTokens: count, ignoreEnd: true)
        for try await event in try await engine.generate(request) {
            switch event {
            case .prompt(_, let cached): answer.cached = cached
            case .token(let token): if token.id >= 0 { answer.tokens.append(token.id) }
            case .finished: break
            }
        }
        return answer
    }

    private func tokens(_ count: Int, _ seed: Int = 0) -> [Int32] {
        (0..<count).map { Int32(($0 * 7 + $0 * $0 * 3 + seed) % (TinyModel.vocabulary - 3) + 3) }
    }

    @Test("a prompt that goes on from another says what it says alone, and takes less in", arguments: TinyModel.Kind.allCases)
    func goingOn(_ kind: TinyModel.Kind) async throws {
        let model = try TinyModel(layers: 3, kind: kind)
        let engine = try await engine(model)
        let base = tokens(900)
        let first = try await ask(engine, base)
        #expect(first.cached == 0)
        // What was answered, and more; then with another end; then from the middle; then the same once more.
        let prompts: [(prompt: [Int32], least: Int)] = [
            (base + first.tokens + tokens(30, 5), 900), (base.dropLast(2) + tokens(10, 9), 800), (base.prefix(700) + tokens(40, 2), 500),
            (base.prefix(700) + tokens(40, 2), 700), (tokens(50, 11), 0),
        ]
        for (number, (prompt, least)) in prompts.enumerated() {
            let found = try await ask(engine, prompt)
            let alone = try await self.engine(model)
            let expected = try await ask(alone, prompt)
            await alone.shutdown()
            #expect(found.tokens == expected.tokens, "prompt \(number)")
            #expect(found.tokens.count == 20)
            #expect(found.cached >= least && found.cached < prompt.count, "prompt \(number): \(found.cached) of \(prompt.count)")
        }
        await engine.shutdown()
    }

    @Test("what was written over long before is not gone on from, however often the text was cut back", arguments: TinyModel.Kind.allCases)
    func cuttingBack(_ kind: TinyModel.Kind) async throws {
        let model = try TinyModel(layers: 3, kind: kind)
        let engine = try await engine(model)
        let base = tokens(1200)
        for (number, prompt) in [base, base.prefix(1000) + tokens(9, 4), base.prefix(300) + tokens(9, 6), base.prefix(290) + tokens(5, 2)]
            .enumerated()
        {
            let found = try await ask(engine, prompt)
            let alone = try await self.engine(model)
            let expected = try await ask(alone, prompt)
            await alone.shutdown()
            #expect(found.tokens == expected.tokens, "prompt \(number), of which \(found.cached) tokens were there")
        }
        await engine.shutdown()
    }

    @Test("many at once, each going on from its own, say what they say alone", arguments: TinyModel.Kind.allCases)
    func together(_ kind: TinyModel.Kind) async throws {
        let model = try TinyModel(layers: 2, kind: kind)
        let engine = try await engine(model, slots: 3)
        let alone = try await self.engine(model)
        for round in 0..<2 {
            let prompts = (0..<6).map { tokens(100 + 150 * $0, $0 * 13) + tokens(round * 25, 3) }
            let found = try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
                for (number, prompt) in prompts.enumerated() { group.addTask { (number, try await ask(engine, prompt)) } }
                return try await group.reduce(into: [Int: Answer]()) { $0[$1.0] = $1.1 }
            }
            for (number, prompt) in prompts.enumerated() {
                let expected = try await ask(alone, prompt)
                #expect(found[number]?.tokens == expected.tokens, "round \(round), prompt \(number)")
            }
        }
        await engine.shutdown()
        await alone.shutdown()
    }
}
