import Logging
import Node
import Synchronization
import Testing

/// That a model goes on as if nothing had happened when its workers are lost, come, or leave.
@Suite(.timeLimit(.minutes(3)), .serialized) struct RecoveryTests {
    private static let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }

    /// A worker in this process that can be ended and begun again at its port.
    private actor LocalWorker {
        private(set) var port = 0
        private var task: Task<Void, any Error>?

        var address: String { "127.0.0.1:\(port)" }

        func start(grace: Double = 0) throws {
            var options = WorkerOptions()
            options.port = port
            options.threads = 1
            options.limits.memory = 256 << 20
            options.graceSeconds = grace
            let worker = try Worker(options, logger: RecoveryTests.quiet)
            port = worker.port
            task = Task { try await worker.run() }
        }

        func stop() async {
            task?.cancel()
            _ = await task?.result
            task = nil
        }
    }

    private func options(_ model: TinyModel, _ workers: [String], usesLocal: Bool = false) -> EngineOptions {
        EngineOptions(
            modelPath: model.path, contextSize: 96, slotCount: 5, threads: 1, batchSize: 16,
            head: HeadOptions(workers: workers, usesLocal: usesLocal, timeout: 10))
    }

    private func request(_ seed: UInt32, _ tokens: Int = 60) -> GenerationRequest {
        GenerationRequest(
            prompt: .tokens((0..<(3 + Int(seed * 13 % 20))).map { Int32(($0 * 7 + Int(seed)) % TinyModel.vocabulary) }),
            sampling: SamplingSettings(temperature: seed % 2 == 0 ? 0 : 0.9, topK: 5, seed: seed), maxTokens: tokens, ignoreEnd: true)
    }

    /// The answers to some requests at once; `disturb` is run when the first has said a few tokens.
    private func answers(_ engine: any TextEngine, disturb: @escaping @Sendable () async throws -> Void = {}) async throws -> [[Int32]] {
        let once = Once()
        return try await withThrowingTaskGroup(of: (Int, [Int32]).self) { group in
            for seed in 0..<5 {
                group.addTask {
                    var tokens: [Int32] = []
                    for try await event in try await engine.generate(request(UInt32(seed))) {
                        guard case .token(let token) = event else { continue }
                        tokens.append(token.id)
                        if tokens.count == 10, once.isFirst { try await disturb() }
                    }
                    return (seed, tokens)
                }
            }
            var answers = [[Int32]](repeating: [], count: 5)
            for try await (seed, tokens) in group { answers[seed] = tokens }
            return answers
        }
    }

    /// Says so once.
    private final class Once: Sendable {
        private let isOver = Atomic(false)

        var isFirst: Bool { !isOver.exchange(true, ordering: .relaxed) }
    }

    private func alone(_ model: TinyModel) async throws -> [[Int32]] {
        let engine = try await Engines.text(options(model, [])) { _ in }
        let expected = try await answers(engine)
        await engine.shutdown()
        return expected
    }

    private func wait(_ seconds: Double = 20, until condition: @Sendable () async throws -> Bool) async throws -> Bool {
        let end = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < end {
            if try await condition() { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    private func over(_ workers: [LocalWorker], _ model: TinyModel, usesLocal: Bool = false) async throws -> (SingleModel, any TextEngine) {
        var addresses: [String] = []
        for worker in workers {
            try await worker.start()
            addresses.append(await worker.address)
        }
        let options = options(model, addresses, usesLocal: usesLocal)
        let pool = try NodePool(options.head, events: EventFeed())
        let engine = try await Engines.text(options, over: pool) { _ in }
        return (SingleModel(engine, pool: pool), engine)
    }

    @Test("streams over workers of which one is lost say what they would have said, and the worker is used again when it is back")
    func lossAndReturn() async throws {
        let model = try TinyModel(layers: 4)
        let expected = try await alone(model)
        let workers = [LocalWorker(), LocalWorker()]
        let (single, engine) = try await over(workers, model)
        #expect(try await answers(engine) == expected)
        for round in 0..<3 {
            let lost = workers[round % 2]
            #expect(try await answers(engine) { await lost.stop() } == expected)
            let address = await lost.address
            #expect(try await wait { engine.nodes.contains { $0.address == address && $0.state == .absent } })
            try await lost.start()
            #expect(try await wait { engine.nodes.allSatisfy { $0.state == .ready } })
        }
        #expect(try await answers(engine) == expected)
        await single.shutdown()
        for worker in workers { await worker.stop() }
    }

    @Test("the last worker gone, the model is on this machine; with nowhere to go, requests are refused until a worker is back")
    func nowhereElse() async throws {
        let model = try TinyModel(layers: 4)
        let expected = try await alone(model)
        for usesLocal in [true, false] {
            let worker = LocalWorker()
            let (single, engine) = try await over([worker], model, usesLocal: usesLocal)
            let found = try await answers(engine) {
                await worker.stop()
                if usesLocal { return }
                #expect(try await wait { engine.status.phase == .unavailable })
                await #expect(throws: EngineError.self) { try await engine.generate(request(1)) }
                try await worker.start()
            }
            #expect(found == expected)
            #expect(engine.status.phase == .ready)
            await single.shutdown()
            await worker.stop()
        }
    }

    @Test("a worker that is told to stop, or emptied by command, loses its layers while streams go on")
    func draining() async throws {
        let model = try TinyModel(layers: 4)
        let expected = try await alone(model)
        let workers = [LocalWorker(), LocalWorker()]
        let (single, engine) = try await over(workers, model)
        let first = await workers[0].address
        #expect(!single.setDrained("nowhere:1", true))
        let found = try await answers(engine) { #expect(single.setDrained(first, true)) }
        #expect(found == expected)
        #expect(try await wait { engine.nodes.contains { $0.address == first && $0.state == .drained } })
        #expect(single.setDrained(first, false))
        #expect(try await wait { engine.nodes.allSatisfy { $0.state == .ready } })
        await single.shutdown()
        for worker in workers { await worker.stop() }
    }

    @Test("a worker that is lost as soon as it came is let back in later each time")
    func flapping() async throws {
        let worker = LocalWorker()
        try await worker.start()
        let events = EventFeed()
        let pool = try NodePool(HeadOptions(workers: [await worker.address]), events: events)
        defer { pool.stop() }
        var losses: [NodeEvent] = []
        for await event in events.events {
            if event.kind == .joined { await worker.stop() }
            guard event.kind == .lost else { continue }
            losses.append(event)
            if losses.count == 3 { break }
            try await worker.start()
        }
        #expect(losses.enumerated().allSatisfy { $0.element.message.contains("not tried for \([1, 2, 4][$0.offset]) s") })
    }

    @Test("a head starts without workers that are not there, and uses them when they come")
    func lateWorkers() async throws {
        let model = try TinyModel(layers: 4)
        let expected = try await alone(model)
        let worker = LocalWorker()
        try await worker.start()
        let address = await worker.address
        await worker.stop()
        let options = options(model, [address])
        let pool = try NodePool(options.head, events: EventFeed())
        let engine = try await Engines.text(options, over: pool) { _ in }
        #expect(engine.status.phase == .unavailable)
        try await worker.start()
        #expect(try await wait { engine.status.phase == .ready })
        #expect(try await answers(engine) == expected)
        await SingleModel(engine, pool: pool).shutdown()
        await worker.stop()
    }

    @Test("several models share workers: each answers as it would alone, and one makes room for another that does not fit beside it")
    func library() async throws {
        let models = [try TinyModel(layers: 4), try TinyModel(rows: 300, layers: 3), try TinyModel(layers: 2)]
        // Their files go with them.
        defer { withExtendedLifetime(models) {} }
        var expected: [[[Int32]]] = []
        for model in models { expected.append(try await alone(model)) }
        let worker = LocalWorker()
        try await worker.start()
        let address = await worker.address
        let all = models.enumerated().map { number, model in
            var options = options(model, [address])
            options.alias = "model \(number)"
            // Caches so large that one fits, not two.
            options.contextSize = 120_000
            return options
        }
        let events = EventFeed()
        let library = try ModelLibrary(all, events: events)
        #expect(library.models.map(\.state) == [.unloaded, .unloaded, .unloaded])
        await #expect(throws: EngineError.self) { try await library.lease("model 7") }
        for _ in 0..<2 {
            for number in 0..<3 {
                let lease = try await library.lease("model \(number)")
                #expect(try await answers(lease.engine) == expected[number])
                #expect(library.models[number].state == .loaded)
            }
        }
        #expect(library.models.map(\.loadCount).reduce(0, +) > 3)
        await library.shutdown()
        await worker.stop()
    }
}
