import Foundation
import Model
import Synchronization
import Tensor

/// The part of a generation engine that computes, on the engine's thread: one step after another for all live requests.
struct GenerationWorker: EngineThreadHandler {
    enum Message: Sendable {
        case generate(Submission)
        /// The consumer of this request's stream is gone.
        case abandon(Int)
        /// A step has come through the stages, or failed on its way.
        case done(StepPipeline.Ticket)
        /// The model is in its places: steps can be taken, from the beginning for those who were interrupted.
        case resume(PassHandover)
        /// Let go of the model, which is about to move, or of which something is lost.
        case suspend(String)
        /// There is no place for the model at present.
        case unavailable(String, TurnedAway)
    }

    /// A request whose prompt is tokens, and where its events go.
    struct Submission: Sendable {
        var id: Int
        var prompt: [Int32]
        var limit: Int
        var sampling: SamplingParameters
        var ignoreEnd: Bool
        var stopTokens: Set<Int32> = []
        var reusesPrompt = true
        var alternatives: Int?
        var probabilities: GenerationRequest.Probabilities
        var source: GenerationStream.Source
    }

    /// A request while it lives.
    private struct Live {
        var submission: Submission
        var sampler: Sampler
        var decoder: StreamingDecoder
        var reused = 0
        /// How many of the next choices are made by all logits, because the likeliest tokens left one open: they may again.
        var choicesByLogits = 0
        var started = ContinuousClock.now
        var promptDone: ContinuousClock.Instant?
    }

    /// The model in its places; nil while there are none.
    private var running: Running?
    private let contextLength: Int
    private let tokenizer: any Tokenizer
    private var scheduler: Scheduler
    private var live: [Int: Live] = [:]
    private let counters: EngineCounters
    private let clock = ContinuousClock()

    private struct Running {
        var pass: ForwardPass
        /// Nil where there is one station only. Steps that nothing could accompany are taken through the stages by the engine's
        /// thread: waking others for them would only cost time.
        var pipeline: StepPipeline?
        /// Whether the last stage is far away, so that less than a row of logits should come back where that is enough.
        var reducesLogits: Bool
    }

    private let send: @Sendable (Message) -> Void
    /// Told, with the reason, when the model was let go of.
    private let onSuspended: @Sendable (String) -> Void
    /// Why there will be no place any more, when that is so.
    private var refusal: EngineError?
    /// Steps under way: whose request each slot of theirs was.
    private var underWay: [Int: [Int: Int]] = [:]
    private var idleSteps: [ForwardStep] = []
    private var stepCount = 0

    init(
        _ tokenizer: any Tokenizer, _ cache: CacheShape, batchSize: Int, _ counters: EngineCounters,
        onSuspended: @escaping @Sendable (String) -> Void, send: @escaping @Sendable (Message) -> Void
    ) {
        self.tokenizer = tokenizer
        contextLength = cache.contextLength
        self.counters = counters
        self.onSuspended = onSuspended
        self.send = send
        scheduler = Scheduler(slotCount: cache.slotCount, batchSize: batchSize, cache: cache)
    }

    mutating func handle(_ message: Message) {
        switch message {
        case .generate(let submission):
            if let refusal {
                submission.source.fail(refusal)
                return report(arrived: 1)
            }
            var sampler = Sampler(submission.sampling)
            for token in submission.prompt { sampler.accept(token) }
            live[submission.id] = Live(
                submission: submission, sampler: sampler, decoder: StreamingDecoder(tokenizer: tokenizer))
            scheduler.enqueue(
                Scheduler.Request(id: submission.id, prompt: submission.prompt, limit: submission.limit, reuses: submission.reusesPrompt))
            report(arrived: 1)
        case .abandon(let id):
            drop(id)
            report()
        case .done(let ticket): finishStep(ticket)
        case .resume(let handover): resume(handover)
        case .suspend(let reason): if running != nil { suspend(reason) }
        case .unavailable(let reason, let whom): turnAway(reason, whom)
        }
    }

    mutating func step() -> Bool {
        guard let running else {
            report()
            return false
        }
        let now = clock.now
        for (id, reused) in scheduler.admit() {
            live[id]?.reused = reused
            live[id]?.started = now
            live[id]?.submission.source.accept()
        }
        if running.pipeline != nil, underWay.count >= scheduler.stepLimit {
            report()
            return false
        }
        let pieces = scheduler.nextStep()
        report()
        if pieces.isEmpty { return false }
        let step = idleSteps.popLast() ?? running.pass.makeStep()
        do {
            try running.pass.begin(step, pieces, wantsCandidates: running.reducesLogits && canReduce(pieces))
            stepCount += 1
            var owners: [Int: Int] = [:]
            for piece in pieces { owners[piece.slot] = scheduler.request(inSlot: piece.slot)?.id }
            if let pipeline = running.pipeline, !underWay.isEmpty || scheduler.hasMore {
                underWay[stepCount] = owners
                pipeline.send(StepPipeline.Ticket(step: step, number: stepCount))
                return true
            }
            try takeThrough(step, owners, running.pass)
            idleSteps.append(step)
        } catch {
            fail(error)
        }
        report()
        return true
    }

    mutating func end() {
        running?.pipeline?.stop()
        running = nil
        for request in live.values { request.submission.source.fail(.stopped) }
        live = [:]
        counters.set(phase: .stopped)
    }

    // MARK: Coming and going

    private mutating func resume(_ handover: PassHandover) {
        guard let loaded = handover.take() else { return }
        let send = send
        running = Running(
            // Where the system has no threads for the stages, this one takes the steps through them all.
            pass: loaded.pass, pipeline: loaded.stations.count > 1 ? try? StepPipeline(loaded.stations) { send(.done($0)) } : nil,
            reducesLogits: loaded.reducesLogits)
        scheduler.spread(depth: loaded.depth)
        counters.set(phase: .ready)
    }

    /// Keeps the requests and what was chosen for them, and nothing else.
    private mutating func suspend(_ reason: String) {
        running?.pipeline?.stop()
        running = nil
        underWay = [:]
        idleSteps = []
        scheduler.rewind()
        counters.set(phase: .recovering, reason: reason)
        report()
        onSuspended(reason)
    }

    private mutating func turnAway(_ reason: String, _ whom: TurnedAway) {
        guard running == nil else { return }
        counters.set(phase: whom == .everybody ? .failed : .unavailable, reason: reason)
        switch whom {
        case .waiting:
            for (id, request) in live where request.promptDone == nil {
                request.submission.source.fail(.unavailable(reason))
                drop(id)
            }
            report()
        case .everybody:
            refusal = .unavailable(reason)
            endAll(.unavailable(reason))
        case .all: endAll(.unavailable(reason))
        }
    }

    // MARK: Steps

    /// Whether the likeliest tokens are enough for every choice that these pieces lead to.
    private func canReduce(_ pieces: [BatchPiece]) -> Bool {
        pieces.allSatisfy { piece in
            if piece.outputs == .none { return true }
            guard let id = scheduler.request(inSlot: piece.slot)?.id, let request = live[id] else { return true }
            guard request.choicesByLogits == 0, request.submission.alternatives == nil, let count = request.sampler.candidateCount else {
                return false
            }
            return count < BatchLayout.candidateCount
        }
    }

    /// Runs a step on this thread, choosing tokens as logits come.
    private mutating func takeThrough(_ step: ForwardStep, _ owners: [Int: Int], _ pass: ForwardPass) throws {
        var choices: [Choice] = []
        let wanted = step.batch.wanted
        // Also what was chosen before a failure counts: samplers have moved on by it.
        defer { for choice in choices { take(choice) } }
        try pass.run(step) { range in
            for (row, output) in wanted[range].enumerated() {
                choices.append(choose(step.result(row: row), slot: output.slot, owners))
            }
        }
    }

    /// Takes in a step that came back from the pipeline.
    private mutating func finishStep(_ ticket: StepPipeline.Ticket) {
        // A step of before a failure: its requests have been told.
        guard let owners = underWay.removeValue(forKey: ticket.number) else { return }
        if let failure = ticket.failure { return fail(failure) }
        var choices: [Choice] = []
        for (row, output) in ticket.step.batch.wanted.enumerated() {
            choices.append(choose(ticket.step.result(row: row), slot: output.slot, owners))
        }
        idleSteps.append(ticket.step)
        for choice in choices { take(choice) }
        report()
    }

    /// Choices by all logits after one that was left open, since each such costs a step.
    private static let choicesAfterOpen = 16

    /// What was chosen for a slot.
    private enum Choice {
        case token(Int32, GeneratedToken?, slot: Int)
        /// The likeliest tokens leave the choice open.
        case open(slot: Int)
        /// Who asked is gone.
        case nobody
    }

    private mutating func choose(_ result: ForwardStep.Result, slot: Int, _ owners: [Int: Int]) -> Choice {
        // While the step was under way the slot may have been given to another request.
        guard let id = scheduler.request(inSlot: slot)?.id, owners[slot] == id else { return .nobody }
        switch result {
        case .logits(let logits):
            // In place: a copy of the request would take the sampler's scratch memory along for every token.
            guard let token = live[id]?.sampler.sample(logits) else { return .nobody }
            if let left = live[id]?.choicesByLogits { live[id]?.choicesByLogits = max(0, left - 1) }
            return .token(token, describe(token, logits, id), slot: slot)
        case .candidates(let entries):
            guard live[id] != nil else { return .nobody }
            guard let token = live[id]?.sampler.sample(entries) else { return .open(slot: slot) }
            return .token(token, nil, slot: slot)
        }
    }

    private mutating func take(_ choice: Choice) {
        switch choice {
        case .token(let token, let event, let slot): take(token, event, slot: slot)
        case .open(let slot):
            guard let id = scheduler.request(inSlot: slot)?.id else { return }
            live[id]?.choicesByLogits = GenerationWorker.choicesAfterOpen
            scheduler.repeatLast(slot: slot)
        case .nobody: break
        }
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
        let isEnd =
            tokenizer.vocabulary.isEndOfGeneration(token) && !request.submission.ignoreEnd || request.submission.stopTokens.contains(token)
        if isEnd || request.submission.limit == 0 {
            live[id] = request
            finish(id, isEnd ? .stop : .length)
            return
        }
        request.sampler.accept(token)
        var described = event ?? GeneratedToken(id: token, text: "")
        described.text = request.decoder.append(token)
        let isFull = scheduler.choose(token, slot: slot, contextLength: contextLength)
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

    private mutating func fail(_ error: any Error) {
        // What is with another machine cannot be reached again over a connection that is broken.
        if (error as? BackendError)?.code == .connection { return suspend("\(error)") }
        endAll(.failed("a step failed: \(error)"))
    }

    private mutating func endAll(_ told: EngineError) {
        for id in scheduler.fail() { live[id]?.submission.source.fail(told) }
        live = [:]
        underWay = [:]
        report()
    }

    private func report(arrived: Int = 0) {
        counters.set(slotsBusy: scheduler.busyCount, waiting: scheduler.waiting.count, arrived: arrived)
    }

    // MARK: Probabilities

    /// The token with its probability and the likeliest others, if the request wants to know.
    private func describe(_ token: Int32, _ logits: UnsafeBufferPointer<Float>, _ id: Int) -> GeneratedToken? {
        guard let submission = live[id]?.submission, let count = submission.alternatives else { return nil }
        func alternative(_ token: Int32, _ logProbability: Float) -> GeneratedToken.Alternative {
            GeneratedToken.Alternative(id: token, bytes: tokenizer.piece(of: token, renderSpecial: true), logProbability: logProbability)
        }
        switch submission.probabilities {
        case .ofModel:
            let normaliser = logNormaliser(logits)
            let best = largest(count, of: logits)
            return GeneratedToken(
                id: token, text: "", chosen: alternative(token, logits[Int(token)] - normaliser),
                alternatives: best.map { alternative($0, logits[Int($0)] - normaliser) })
        case .ofChoice:
            guard let (share, best) = live[id]?.sampler.shares(of: token, likeliest: count) else { return nil }
            return GeneratedToken(
                id: token, text: "", chosen: alternative(token, log(share)),
                alternatives: best.map { alternative($0.token, log($0.probability)) })
        }
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

/// A model in its places on its way to the thread that takes steps through it.
package final class PassHandover: @unchecked Sendable {
    // Sendable: whoever makes it keeps no other reference to the pass, and only one can take it out.

    private let isTaken = Atomic(false)
    private var loaded: LoadedPass?

    package init(_ loaded: LoadedPass) { self.loaded = loaded }

    func take() -> LoadedPass? {
        guard !isTaken.exchange(true, ordering: .acquiringAndReleasing) else { return nil }
        defer { loaded = nil }
        return loaded
    }
}
