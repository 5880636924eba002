import Foundation
import Logging
import Node
import RPCProto
import ServiceLifecycle
import Synchronization
import Testing

/// A model over workers of this process: the answers are those of one machine, what a worker refuses or loses is said, and
/// listings tell what is where.
@Suite(.timeLimit(.minutes(2))) struct SpreadTests {
    /// Workers on free ports, for as long as `body` runs.
    private func withWorkers(
        _ count: Int, dialects: [Dialect] = [], memory: Int = 256 << 20, _ body: @Sendable ([Worker]) async throws -> Void
    ) async throws {
        let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }
        let workers = try (0..<count).map { index in
            var options = WorkerOptions()
            options.port = 0
            options.threads = 1
            options.limits.memory = memory
            if index < dialects.count { options.dialect = dialects[index] }
            return try Worker(options, logger: quiet)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in workers { group.addTask { try await worker.run() } }
            do {
                try await body(workers)
            } catch {
                group.cancelAll()
                throw error
            }
            group.cancelAll()
            while let result = await group.nextResult() { _ = result }
        }
    }

    private func options(_ model: TinyModel, _ workers: [String], usesLocal: Bool = false, split: [Double]? = nil) -> EngineOptions {
        EngineOptions(
            modelPath: model.path, contextSize: 96, slotCount: 3, threads: 1, batchSize: 16,
            head: HeadOptions(workers: workers, usesLocal: usesLocal, split: split, timeout: 10))
    }

    private func request(_ seed: UInt32) -> GenerationRequest {
        let prompt = (0..<(3 + Int(seed * 13 % 50))).map { Int32(($0 * 7 + Int(seed)) % TinyModel.vocabulary) }
        return GenerationRequest(
            prompt: .tokens(prompt), sampling: SamplingSettings(temperature: seed % 2 == 0 ? 0 : 0.9, topK: 5, seed: seed),
            maxTokens: 5 + Int(seed % 20), ignoreEnd: seed % 3 == 0)
    }

    private func tokens(_ engine: any TextEngine, _ seed: UInt32) async throws -> [Int32] {
        var tokens: [Int32] = []
        for try await event in try await engine.generate(request(seed)) {
            if case .token(let token) = event { tokens.append(token.id) }
        }
        return tokens
    }

    private func answers(_ engine: any TextEngine) async throws -> [[Int32]] {
        try await withThrowingTaskGroup(of: (Int, [Int32]).self) { group in
            for seed in 0..<9 { group.addTask { (seed, try await tokens(engine, UInt32(seed))) } }
            var answers = [[Int32]](repeating: [], count: 9)
            for try await (seed, tokens) in group { answers[seed] = tokens }
            return answers
        }
    }

    /// Few and many tokens: with the latter, the last worker picks the likeliest ones. Where all are equally likely that
    /// leaves every choice open, and the logits are asked for after all.
    @Test(
        "answers over workers of every version are those of one machine",
        arguments: [(TinyModel.vocabulary, false), (300, false), (300, true)])
    func answersAreTheSame(_ rows: Int, _ isFlat: Bool) async throws {
        let model = try TinyModel(rows: rows, layers: 4, isFlat: isFlat)
        let alone = try await Engines.text(options(model, [])) { _ in }
        let expected = try await answers(alone)
        await alone.shutdown()
        try await withWorkers(3, dialects: Dialect.all) { workers in
            let addresses = workers.map { "127.0.0.1:\($0.port)" }
            for (count, usesLocal) in [(1, false), (1, true), (2, false), (3, true), (3, false)] {
                let engine = try await Engines.text(options(model, Array(addresses.prefix(count)), usesLocal: usesLocal)) { _ in }
                let nodes = engine.nodes
                #expect(nodes.map(\.address) == Array(addresses.prefix(count)) + (usesLocal ? ["local"] : []))
                #expect(try await answers(engine) == expected, "\(count) workers, local: \(usesLocal)")
                #expect(nodes.flatMap(\.devices).reduce(0) { $0 + ($1.layers?.count ?? 0) } == 4)
                #expect(nodes.flatMap(\.devices).filter(\.hasOutput).count == 1)
                #expect(engine.nodes.flatMap(\.devices).allSatisfy { ($0.steps > 0) == ($0.layers != nil || $0.hasOutput) })
                await engine.shutdown()
            }
        }
    }

    @Test("a split is followed, and what does not fit is refused with figures")
    func splits() async throws {
        let model = try TinyModel(layers: 4)
        try await withWorkers(2) { workers in
            let addresses = workers.map { "127.0.0.1:\($0.port)" }
            let engine = try await Engines.text(options(model, addresses, split: [3, 1])) { _ in }
            #expect(engine.nodes.map { $0.devices[0].layers?.count } == [3, 1])
            await engine.shutdown()
            var large = options(model, addresses)
            large.contextSize = 100_000_000
            await #expect(throws: HeadError.self) { try await Engines.text(large) { _ in } }
            await #expect(throws: HeadError.self) { try await Engines.text(options(model, addresses, split: [1])) { _ in } }
        }
    }

    @Test("the likeliest tokens alone come back where sampling looks at no others, and every row where it does")
    func fewComeBack() async throws {
        let model = try TinyModel(rows: 3000)
        var received: [Bool: Int] = [:]
        for sendsAll in [false, true] {
            let server = try SessionServer(devices: 1)
            var options = options(model, [server.address])
            options.head.sendsAllLogits = sendsAll
            let engine = try await Engines.text(options) { _ in }
            let before = engine.nodes[0].receivedBytes
            for seed in 0..<4 { _ = try await tokens(engine, UInt32(seed)) }
            received[sendsAll] = engine.nodes[0].receivedBytes - before
            await engine.shutdown()
        }
        let (few, all) = (received[false] ?? 0, received[true] ?? 0)
        #expect(few > 0 && few * 10 < all)
    }

    @Test("once a model is loaded, no step makes a server find more memory, which would cost it its graphs")
    func memoryStaysInPlace() async throws {
        let model = try TinyModel(rows: 300, layers: 4)
        let allocations = Mutex(0)
        let server = try SessionServer(devices: 2) { _, command in
            if command == .allocateBuffer { allocations.withLock { $0 += 1 } }
            return false
        }
        let engine = try await Engines.text(options(model, [server.address])) { _ in }
        let before = allocations.withLock { $0 }
        _ = try await answers(engine)
        #expect(allocations.withLock { $0 } == before)
        await engine.shutdown()
    }

    @Test("each of a server's devices is a stage of its own")
    func severalDevices() async throws {
        let model = try TinyModel(layers: 4)
        let alone = try await Engines.text(options(model, [])) { _ in }
        let expected = try await answers(alone)
        await alone.shutdown()
        let server = try SessionServer(devices: 3)
        let engine = try await Engines.text(options(model, [server.address])) { _ in }
        #expect(engine.nodes.count == 1)
        #expect(engine.nodes[0].devices.map(\.name) == ["device 0", "device 1", "device 2"])
        #expect(engine.nodes[0].devices.filter { $0.layers != nil }.count >= 2)
        #expect(try await answers(engine) == expected)
        await engine.shutdown()
    }

    @Test("a connection that is lost while weights are sent is made again, and what the server keeps is not sent again")
    func resumedLoading() async throws {
        let model = try TinyModel(rows: 3000)
        let outputBytes = 3000 * TinyModel.width * 4
        let folder = FileManager.default.temporaryDirectory.appending(path: "tensors-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let cache = try TensorCache(folder: folder)
        let breaks = Breaks()
        // At the question behind the last weights, once; and for good from the third connection on.
        let server = try SessionServer(devices: 1, cache: cache) { breaks.isDue($0, $1) }
        let engine = try await Engines.text(options(model, [server.address])) { _ in }
        #expect(breaks.connections == 2)
        #expect(engine.nodes[0].sentBytes < outputBytes)
        _ = try await tokens(engine, 3)
        await engine.shutdown()

        breaks.always = true
        do {
            _ = try await Engines.text(options(model, [server.address])) { _ in }
            Issue.record("weights arrived nowhere")
        } catch let error as HeadError {
            #expect("\(error)".contains(server.address))
        }
        #expect(breaks.connections == 2 + 3)
    }

    /// When connections break: a question that comes after weights, on the first one or on all.
    private final class Breaks: Sendable {
        private struct State {
            var sending: Set<Int> = []
            var seen: Set<Int> = []
            var always = false
        }

        private let state = Mutex(State())

        var connections: Int { state.withLock { $0.seen.count } }
        var always: Bool {
            get { state.withLock { $0.always } }
            set { state.withLock { $0.always = newValue } }
        }

        func isDue(_ connection: Int, _ command: Command) -> Bool {
            state.withLock { state in
                state.seen.insert(connection)
                if command == .setTensor || command == .setTensorHash { state.sending.insert(connection) }
                return command == .getAlignment && state.sending.contains(connection) && (connection == 0 || state.always)
            }
        }
    }

    @Test("workers that are not there, and lists that make no sense, are named")
    func absentWorkers() async throws {
        let model = try TinyModel()
        for list in [["127.0.0.1:1"], ["127.0.0.1:1", "127.0.0.1:2"], ["nowhere:port"], ["127.0.0.1:1", "127.0.0.1:1"]] {
            do {
                _ = try await Engines.text(options(model, list)) { _ in }
                Issue.record("\(list) was taken")
            } catch let error as HeadError {
                #expect("\(error)".contains(list[0]))
            }
        }
    }

    @Test("a worker that goes ends its requests with an error that names it, and the node is listed as failed")
    func lostWorker() async throws {
        let model = try TinyModel(layers: 4)
        let engine = Holder()
        try await withWorkers(1) { workers in
            engine.value = try await Engines.text(options(model, ["127.0.0.1:\(workers[0].port)"])) { _ in }
            _ = try await tokens(engine.value!, 1)
        }
        // Also before anybody asks for anything.
        #expect(engine.value?.nodes.first?.state == .failed)
        #expect(engine.value?.status.phase == .failed)
        do {
            _ = try await tokens(engine.value!, 2)
            Issue.record("an answer came from nowhere")
        } catch let error as EngineError {
            guard case .unavailable(let reason) = error else { throw error }
            #expect(reason.contains("127.0.0.1:"))
        }
        await engine.value?.shutdown()
    }

    private final class Holder: @unchecked Sendable {
        // Sendable: one task writes it, and others read it only after that.
        var value: (any TextEngine)?
    }
}
