import Foundation
import Model

/// The part of a generation engine that computes, on the engine's thread: one step after another for all live requests.
struct GenerationWorker: EngineThreadHandler {
    enum Message: Sendable {
        case generate(Submission)
        /// The consumer of this request's stream is gone.
        case abandon(Int)
    }

    /// A request whose prompt is tokens, and where its events go.
    struct Submission: Sendable {
        var id: Int
        var prompt: [Int32]
        var limit: Int
        var sampling: SamplingParameters
        var ignoreEnd: Bool
        var alternatives: Int?
        var source: GenerationStream.Source
    }

    /// A request while it lives.
    private struct Live {
        var submission: Submission
        var sampler: Sampler
        var decoder: StreamingDecoder
        var reused = 0
        var started = ContinuousClock.now
        var promptDone: ContinuousClock.Instant?
    }

    private let pass: ForwardPass
    private let tokenizer: any Tokenizer
    private var scheduler: Scheduler
    private var live: [Int: Live] = [:]
    private let counters: EngineCounters
    private let clock = ContinuousClock()

    init(_ pass: ForwardPass, _ tokenizer: any Tokenizer, batchSize: Int, _ counters: EngineCounters) {
        self.pass = pass
        self.tokenizer = tokenizer
        self.counters = counters
        scheduler = Scheduler(slotCount: pass.cache.slotCount, batchSize: batchSize)
    }

    mutating func handle(_ message: Message) {
        switch message {
        case .generate(let submission):
            var sampler = Sampler(submission.sampling)
            for token in submission.prompt { sampler.accept(token) }
            live[submission.id] = Live(
                submission: submission, sampler: sampler, decoder: StreamingDecoder(tokenizer: tokenizer))
            scheduler.enqueue(
                Scheduler.Request(id: submission.id, prompt: submission.prompt, limit: submission.limit))
            report(arrived: 1)
        case .abandon(let id):
            drop(id)
            report()
        }
    }

    mutating func step() -> Bool {
        let now = clock.now
        for (id, reused) in scheduler.admit() {
            live[id]?.reused = reused
            live[id]?.started = now
        }
        let pieces = scheduler.nextStep()
        report()
        if pieces.isEmpty { return false }
        var chosen: [(slot: Int, token: Int32, event: GeneratedToken?)] = []
        do {
            try pass.run(pieces) { slot, _, logits in
                // In place: a copy of the request would take the sampler's scratch memory along for every token.
                guard let id = scheduler.request(inSlot: slot)?.id, let token = live[id]?.sampler.sample(logits) else { return }
                let event = describe(token, logits, live[id]?.submission.alternatives)
                chosen.append((slot, token, event))
            }
        } catch {
            failAll("a step failed: \(error)")
            return true
        }
        for (slot, token, event) in chosen { take(token, event, slot: slot) }
        report()
        return true
    }

    mutating func end() {
        for request in live.values { request.submission.source.fail(.stopped) }
        live = [:]
        counters.set(phase: .stopped)
    }

    // MARK: Requests

    /// Passes a chosen token on, and ends the request if it was the last.
    private mutating func take(_ token: Int32, _ event: GeneratedToken?, slot: Int) {
        // Taken out and put back, so that changing it copies nothing.
        guard let id = scheduler.request(inSlot: slot)?.id, var request = live.removeValue(forKey: id) else { return }
        if request.promptDone == nil {
            request.promptDone = clock.now
            request.submission.source.send(.prompt(tokens: request.submission.prompt.count, cached: request.reused))
        }
        let isEnd = tokenizer.vocabulary.isEndOfGeneration(token) && !request.submission.ignoreEnd
        if isEnd || request.submission.limit == 0 {
            live[id] = request
            finish(id, isEnd ? .stop : .length)
            return
        }
        request.sampler.accept(token)
        var described = event ?? GeneratedToken(id: token, text: "")
        described.text = request.decoder.append(token)
        let isFull = scheduler.choose(token, slot: slot, contextLength: pass.cache.contextLength)
        if isFull { described.text += request.decoder.finish() }
        live[id] = request
        if !request.submission.source.send(.token(described)) {
            drop(id)
        } else if isFull {
            finish(id, .length)
        }
    }

    private mutating func finish(_ id: Int, _ reason: FinishReason) {
        guard var request = live[id] else { return }
        let rest = request.decoder.finish()
        if !rest.isEmpty { request.submission.source.send(.token(GeneratedToken(id: -1, text: rest))) }
        let now = clock.now
        let promptDone = request.promptDone ?? now
        request.submission.source.send(
            .finished(
                reason, GenerationTimings(prompt: promptDone - request.started, generation: now - promptDone)))
        drop(id)
    }

    private mutating func drop(_ id: Int) {
        scheduler.remove(id)
        live[id] = nil
    }

    private mutating func failAll(_ message: String) {
        for id in scheduler.fail() { live[id]?.submission.source.fail(.failed(message)) }
        live = [:]
        report()
    }

    private func report(arrived: Int = 0) {
        counters.set(slotsBusy: scheduler.busyCount, waiting: scheduler.waiting.count, arrived: arrived)
    }

    // MARK: Probabilities

    /// The token with its probability and the likeliest others, if the request wants to know.
    private func describe(_ token: Int32, _ logits: UnsafeBufferPointer<Float>, _ count: Int?) -> GeneratedToken? {
        guard let count else { return nil }
        let normaliser = logNormaliser(logits)
        func alternative(_ id: Int32) -> GeneratedToken.Alternative {
            GeneratedToken.Alternative(
                id: id, bytes: tokenizer.piece(of: id, renderSpecial: true), logProbability: logits[Int(id)] - normaliser)
        }
        let best = largest(count, of: logits)
        return GeneratedToken(id: token, text: "", chosen: alternative(token), alternatives: best.map(alternative))
    }

    private func logNormaliser(_ logits: UnsafeBufferPointer<Float>) -> Float {
        let maximum = logits.max() ?? 0
        let sum = logits.reduce(into: 0.0) { $0 += exp(Double($1 - maximum)) }
        return maximum + Float(log(sum))
    }

    /// Indices of the `count` largest, best first. O(n · count), for the few that clients ask for.
    private func largest(_ count: Int, of logits: UnsafeBufferPointer<Float>) -> [Int32] {
        var best: [Int32] = []
        for index in logits.indices {
            if best.count == count, let last = best.last, logits[index] <= logits[Int(last)] { continue }
            let place = best.firstIndex { logits[Int($0)] < logits[index] } ?? best.count
            best.insert(Int32(index), at: place)
            if best.count > count { best.removeLast() }
        }
        return best
    }
}
