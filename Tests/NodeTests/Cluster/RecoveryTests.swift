import Node
import Synchronization
import Testing

/// That a model goes on as if nothing had happened when its workers are lost, come, or leave.
@Suite(.timeLimit(.minutes(3)), .serialized) struct RecoveryTests {
    private func options(_ model: TinyModel, _ workers: [String], usesLocal: Bool = false) -> EngineOptions {
        EngineOptions(
            modelPath: model.path, contextSize: 640, slotCount: 5, threads: 1, batchSize: 16,
            // By memory alone, so small a model would be on this machine whole.
            head: HeadOptions(
                workers: workers, usesLocal: usesLocal, split: usesLocal ? [Double](repeating: 1, count: workers.count + 1) : nil,
                timeout: 10))
    }

    private func request(_ seed: UInt32, _ tokens: Int = 600) -> GenerationRequest {
        GenerationRequest(
            prompt: .tokens((0..<(3 + Int(seed * 13 % 20))).map { Int32(($0 * 7 + Int(seed)) % TinyModel.vocabulary) }),
            sampling: SamplingSettings(temperature: seed % 2 == 0 ? 0 : 0.9, topK: 5, seed: seed), maxTokens: tokens, ignoreEnd: true)
    }

    /// The answers to some requests at once; `disturb` is run when all have begun and one has said a few tokens, all being far from done.
    private func answers(_ engine: any TextEngine, disturb: @escaping @Sendable () async throws -> Void = {}) async throws -> [[Int32]] {
        let once = Once()
        return try await withThrowingTaskGroup(of: (Int, [Int32]).self) { group in
            for seed in 0..<5 {
                group.addTask {
                    var tokens: [Int32] = []
                    for try await event in try await engine.generate(request(UInt32(seed))) {
                        guard case .token(let token) = event else { continue }
                        tokens.append(token.id)
                        if tokens.count == 1 { once.begin() }
                        // One whose prompt is not in yet would be turned away where there is no place.
                        if tokens.count >= 10, once.begunCount == 5, once.isFirst { try await disturb() }
                    }
                    return (seed, tokens)
                }
            }
            var answers = [[Int32]](repeating: [], count: 5)
            for try await (seed, tokens) in group { answers[seed] = tokens }
            return answers
        }
    }

    /// Says so once, and counts who has begun.
    private final class Once: Sendable {
        private let isOver = Atomic(false)
        private let begun = Atomic(0)

        var begunCount: Int { begun.load(ordering: .relaxed) }
        func begin() { begun.wrappingAdd(1, ordering: .relaxed) }

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

    private func over(
        _ workers: [LocalWorker], _ model: TinyModel, usesLocal: Bool = false
    ) async throws -> (SingleModel, any TextEngine, Witness) {
        var addresses: [String] = []
        for worker in workers {
            try await worker.start()
            addresses.append(await worker.address)
        }
        let options = options(model, addresses, usesLocal: usesLocal)
        let witness = Witness()
        let pool = try NodePool(options.head, events: EventFeed { witness.note($0) })
        let engine = try await Engines.text(options, over: pool) { _ in }
        return (SingleModel(engine, pool: pool), engine, witness)
    }

    /// Remembers what happened.
    private final class Witness: Sendable {
        private let kinds = Mutex<[NodeEvent.Kind]>([])

        func note(_ event: NodeEvent) { kinds.withLock { $0.append(event.kind) } }
        func count(of kind: NodeEvent.Kind) -> Int { kinds.withLock { $0.count { $0 == kind } } }
    }

    @Test(
        "streams over workers of which one is lost say what they would have said, and the worker is used again when it is back",
        arguments: TinyModel.Kind.allCases)
    func lossAndReturn(_ kind: TinyModel.Kind) async throws {
        let model = try TinyModel(layers: 4, kind: kind)
        let expected = try await alone(model)
        let workers = [LocalWorker(), LocalWorker()]
        let (single, engine, witness) = try await over(workers, model)
        #expect(try await answers(engine) == expected)
        for round in 0..<(kind == .llama ? 3 : 1) {
            let lost = workers[round % 2]
            let before = witness.count(of: .recovering)
            let found = try await answers(engine) {
                await lost.stop()
                #expect(engine.status.slotsBusy > 0, "the loss came after the streams")
            }
            #expect(found == expected)
            #expect(witness.count(of: .recovering) > before)
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
            let (single, engine, witness) = try await over([worker], model, usesLocal: usesLocal)
            let found = try await answers(engine) {
                await worker.stop()
                #expect(engine.status.slotsBusy > 0, "the loss came after the streams")
                if usesLocal { return }
                #expect(try await wait { engine.status.phase == .unavailable })
                await #expect(throws: EngineError.self) { try await engine.generate(request(1)) }
                try await worker.start()
            }
            #expect(found == expected)
            #expect(witness.count(of: .recovering) > 0)
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
        let (single, engine, witness) = try await over(workers, model)
        let first = await workers[0].address
        #expect(!single.setDrained("nowhere:1", true))
        let found = try await answers(engine) {
            #expect(single.setDrained(first, true))
            #expect(engine.status.slotsBusy > 0, "the worker was emptied after the streams")
        }
        #expect(found == expected)
        #expect(try await wait { witness.count(of: .recovering) > 0 })
        #expect(try await wait { engine.nodes.contains { $0.address == first && $0.state == .drained } })
        #expect(single.setDrained(first, false))
        #expect(try await wait { engine.nodes.allSatisfy { $0.state == .ready } })
        await single.shutdown()
        for worker in workers { await worker.stop() }
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

    @Test("a model that finds no room leaves nothing on the workers, unloads nobody in vain, and the next request asks anew")
    func loadsThatFail() async throws {
        let models = [try TinyModel(layers: 4), try TinyModel(layers: 2)]
        defer { withExtendedLifetime(models) {} }
        let expected = try await alone(models[0])
        let worker = LocalWorker()
        try await worker.start()
        let address = await worker.address
        let all = models.enumerated().map { number, model in
            var options = options(model, [address])
            options.alias = "model \(number)"
            // More than the worker has, whatever else is on it.
            if number == 1 { options.contextSize = 2_000_000 }
            return options
        }
        let library = try ModelLibrary(all, events: EventFeed())
        for _ in 0..<2 {
            await #expect(throws: EngineError.self) { try await library.lease("model 1") }
            #expect(library.models[1].state == .unavailable)
        }
        // Nobody uses it: a stock server would be free for others.
        #expect(try await wait { await worker.sessionCount == 0 })
        do {
            let lease = try await library.lease("model 0")
            #expect(try await answers(lease.engine) == expected)
        }
        await #expect(throws: EngineError.self) { try await library.lease("model 1") }
        #expect(library.models[0].state == .loaded)
        await library.shutdown()
        #expect(try await wait { await worker.sessionCount == 0 })
        await worker.stop()
    }

    @Test("two devices of this machine share a model as machines do, alone and beside a worker that is lost")
    func twoLocalDevices() async throws {
        let model = try TinyModel(layers: 6)
        let expected = try await alone(model)
        func layerCounts(_ engine: any TextEngine) -> [Int] {
            engine.nodes.first { $0.address == "local" }?.devices.map { $0.layers?.count ?? 0 } ?? []
        }
        var here = options(model, [], usesLocal: true)
        (here.head.devices, here.head.split) = (["CPU", "stand-in"], [1, 1])
        let both = try await Engines.text(here) { _ in }
        #expect(layerCounts(both) == [3, 3])
        #expect(try await answers(both) == expected)
        await both.shutdown()

        let worker = LocalWorker()
        try await worker.start()
        var beside = options(model, [await worker.address], usesLocal: true)
        (beside.head.devices, beside.head.split) = (["CPU", "stand-in"], [1, 1, 1])
        let pool = try NodePool(beside.head, events: EventFeed())
        let engine = try await Engines.text(beside, over: pool) { _ in }
        #expect(layerCounts(engine) == [2, 2])
        #expect(try await answers(engine) { await worker.stop() } == expected)
        #expect(layerCounts(engine).reduce(0, +) == 6)
        await SingleModel(engine, pool: pool).shutdown()
    }

    @Test("a device that lacks operations has a model alone, here and on a worker that lends it beside its processor")
    func deviceThatLacksOperations() async throws {
        let model = try TinyModel(layers: 6)
        let expected = try await alone(model)
        var here = options(model, [], usesLocal: true)
        here.head.devices = ["STAND-IN"]
        let engine = try await Engines.text(here) { _ in }
        #expect(engine.nodes.first { $0.address == "local" }?.devices.map(\.name) == ["stand-in"])
        #expect(try await answers(engine) == expected)
        await engine.shutdown()

        for (shares, layerCounts) in [([1.0, 1.0], [3, 3]), ([0, 1], [0, 6])] {
            let worker = LocalWorker(devices: ["CPU", "stand-in"])
            try await worker.start()
            var options = options(model, [await worker.address])
            options.head.split = shares
            let pool = try NodePool(options.head, events: EventFeed())
            let engine = try await Engines.text(options, over: pool) { _ in }
            let devices = engine.nodes.first { $0.address != "local" }?.devices ?? []
            #expect(devices.map { $0.layers?.count ?? 0 } == layerCounts)
            // Each counts its own memory, and says so. The processor has what it computes for the other besides.
            let lent = await worker.memoryLent
            #expect(lent.count == 2)
            for (device, lent) in zip(devices, lent) { #expect(lent > device.weightBytes) }
            #expect(try await answers(engine) == expected)
            await SingleModel(engine, pool: pool).shutdown()
            #expect(try await wait { await worker.memoryLent.allSatisfy { $0 == 0 } })
            await worker.stop()
        }
    }

    @Test("devices that there are not are named, by head and worker alike, with those that there are")
    func unknownDevices() async throws {
        let model = try TinyModel(layers: 2)
        for (devices, word) in [(["gpu"], "CPU, stand-in"), (["cpu", "CPU"], "named twice")] {
            var here = options(model, [], usesLocal: true)
            here.head.devices = devices
            await #expect { _ = try await Engines.text(here) { _ in } } throws: { "\($0)".contains(word) }
            await #expect { try await LocalWorker(devices: devices).start() } throws: { "\($0)".contains(word) }
        }
    }

    @Test("a worker that cannot pick the likeliest tokens itself is sent for all logits, by itself, and the answers are the same")
    func workerWithoutTopK() async throws {
        // With more tokens than candidates are asked for.
        let model = try TinyModel(rows: 300, layers: 3)
        let expected = try await alone(model)
        let server = try SessionServer(devices: 1, refusing: [.topK])
        let options = options(model, [server.address])
        let witness = Witness()
        let pool = try NodePool(options.head, events: EventFeed { witness.note($0) })
        let engine = try await Engines.text(options, over: pool) { _ in }
        #expect(try await answers(engine) == expected)
        #expect(witness.count(of: .recovering) > 0, "the worker was never asked for the likeliest tokens")
        #expect(engine.nodes.contains { $0.address == server.address && $0.state == .ready })
        await SingleModel(engine, pool: pool).shutdown()

        // As `run` and `bench` use it, without a pool that remembers.
        let stages = Mutex<[String]>([])
        let fixed = try await Engines.text(options) { progress in stages.withLock { $0.append(progress.stage) } }
        #expect(try await answers(fixed) == expected)
        #expect(stages.withLock { $0.contains { $0.contains("all logits") } })
        await fixed.shutdown()
    }

    @Test("two models that have lost their worker are ended at once, each with its requests, though no other place is in sight")
    func endingWhileRecovering() async throws {
        let models = [try TinyModel(layers: 4), try TinyModel(layers: 2)]
        defer { withExtendedLifetime(models) {} }
        let worker = LocalWorker()
        try await worker.start()
        let address = await worker.address
        let all = models.enumerated().map { number, model in
            var options = options(model, [address])
            options.alias = "model \(number)"
            return options
        }
        let library = try ModelLibrary(all, events: EventFeed())
        let leases = [try await library.lease("model 0"), try await library.lease("model 1")]
        let streams = await withTaskGroup(of: Bool.self) { group in
            for lease in leases {
                group.addTask {
                    // Ends with an error or an end of its own, but ends.
                    do {
                        for try await event in try await lease.engine.generate(request(0)) {
                            guard case .token = event else { continue }
                            await worker.stop()
                        }
                    } catch {}
                    return true
                }
            }
            group.addTask {
                let isWaiting = try? await wait { leases.allSatisfy { $0.engine.status.phase != .ready } }
                await library.shutdown()
                return isWaiting ?? false
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(streams == [true, true, true])
        #expect(leases.allSatisfy { $0.engine.status.phase == .stopped })
    }

    @Test("an engine that is let go of without being ended leaves no session on its workers")
    func lettingGo() async throws {
        let model = try TinyModel(layers: 4)
        let worker = LocalWorker()
        try await worker.start()
        do {
            let options = options(model, [await worker.address])
            let pool = try NodePool(options.head, events: EventFeed())
            let engine = try await Engines.text(options, over: pool) { _ in }
            #expect(engine.status.phase == .ready)
            #expect(try await wait { await worker.sessionCount == 1 })
        }
        #expect(try await wait { await worker.sessionCount == 0 })
        do {
            let engine = try await Engines.text(options(model, [await worker.address])) { _ in }
            #expect(engine.status.phase == .ready)
        }
        #expect(try await wait { await worker.sessionCount == 0 })
        await worker.stop()
    }
}
