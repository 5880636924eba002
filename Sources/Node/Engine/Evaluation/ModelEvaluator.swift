import Foundation
import Kernels
import Model
import Tensor

/// A model, here or spread over machines, for raw logits and timings. See ``Evaluator``.
package final class ModelEvaluator: Evaluator {
    package let card: ModelCard
    package let conditions: BenchmarkConditions

    private let options: EngineOptions
    private let lock = NSLock()
    /// Only touched while `lock` is held.
    nonisolated(unsafe) private var state: State

    /// What is computed with, one caller at a time.
    private struct State {
        var loaded: LoadedModel
        var pass: LoadedPass?
        var threads: Int
    }

    /// - Parameter options: those that the model was loaded with, results being wanted for all tokens.
    package init(_ options: EngineOptions, _ loaded: LoadedModel) {
        self.options = options
        card = ModelCard(options, loaded.outline, hasChatTemplate: false)
        conditions = BenchmarkConditions(cpu: DeviceDescription.current().processor, backend: loaded.backendName)
        state = State(loaded: loaded, pass: nil, threads: options.threads ?? DeviceDescription.availableCoreCount())
    }

    package var vocabulary: any VocabularyReader {
        do {
            return try FileVocabulary(path: options.modelPath)
        } catch {
            return MissingVocabulary(vocabularySize: card.vocabularySize, reason: "\(error)")
        }
    }

    package func logits(
        for tokens: [Int32], options evaluation: EvaluationOptions,
        each: (_ position: Int, _ logits: UnsafeBufferPointer<Float>) throws -> Void
    ) throws {
        guard tokens.count <= card.contextSize else {
            throw EngineError.promptTooLong(tokens: tokens.count, limit: card.contextSize)
        }
        if let wrong = tokens.first(where: { $0 < 0 || Int($0) >= card.vocabularySize }) {
            throw EngineError.invalidToken(wrong, vocabularySize: card.vocabularySize)
        }
        try lock.withLock {
            let slots = max(options.slotCount, evaluation.slot + 1, evaluation.neighbours + 1)
            let pass = try pass(&state, slots: slots).pass
            let others = (0..<slots).filter { $0 != evaluation.slot }.prefix(evaluation.neighbours)
            let chunk = max(1, min(evaluation.chunkSize, pass.pieceLimit))
            for start in stride(from: 0, to: tokens.count, by: chunk) {
                let end = min(start + chunk, tokens.count)
                var pieces = [
                    BatchPiece(slot: evaluation.slot, firstPosition: start, tokens: Array(tokens[start..<end]), outputs: .all)
                ]
                for slot in others {
                    // Anything but the same text, and of another length, so that the company really differs.
                    let count = max(1, (end - start + slot) / 2)
                    let other = (0..<count).map { Int32(($0 &* 7 &+ slot &* 31 &+ start) % card.vocabularySize) }
                    if start + count <= card.contextSize {
                        pieces.append(BatchPiece(slot: slot, firstPosition: start, tokens: other, outputs: .last))
                    }
                }
                try pass.run(pieces) { slot, position, logits in
                    guard slot == evaluation.slot, position >= evaluation.first else { return }
                    try each(position, logits)
                }
            }
        }
    }

    package func measure(_ work: BenchmarkWork) throws(EngineError) -> Duration {
        do {
            return try lock.withLock {
                if state.threads != work.threads {
                    state.loaded = try state.loaded.with(threads: work.threads)
                    state.pass = nil
                    state.threads = work.threads
                }
                let pass = try pass(&state, slots: max(1, options.slotCount))
                return try time(work, pass)
            }
        } catch let error as EngineError {
            throw error
        } catch {
            throw .failed("\(error)")
        }
    }

    private func pass(_ state: inout State, slots: Int) throws -> LoadedPass {
        if let pass = state.pass, pass.pass.slotCount >= slots { return pass }
        // First gives the memory of the old one back.
        state.pass = nil
        let pass = try state.loaded.pass(slotCount: slots, contextLength: card.contextSize)
        state.pass = pass
        return pass
    }

    /// Tokens go in from position 0; what is in the cache from before is written over. Results come as generation wants
    /// them: where they are made far away, the likeliest alone.
    private func time(_ work: BenchmarkWork, _ loaded: LoadedPass) throws -> Duration {
        let total = work.depth + work.prompt + work.generate
        guard total <= card.contextSize else {
            throw EngineError.unsupported("\(total) tokens do not fit a context of \(card.contextSize): raise --ctx-size")
        }
        func token(_ position: Int) -> Int32 { Int32((position &* 2_654_435 &+ 17) % card.vocabularySize) }
        let runner = try StepRunner(loaded)
        defer { runner.stop() }
        func takeIn(_ range: Range<Int>, by size: Int) throws {
            // As generation does it: pieces small enough that every stage has one.
            let size = size <= 1 ? 1 : min(Scheduler.promptSize(batchSize: size, depth: runner.depth), loaded.pass.pieceLimit)
            for start in stride(from: range.lowerBound, to: range.upperBound, by: size) {
                let tokens = (start..<min(start + size, range.upperBound)).map(token)
                let isLast = start + tokens.count == range.upperBound
                // Within a prompt, a pipeline makes no result, as generation makes none.
                let isWanted = size == 1 || isLast || runner.depth == 1
                try runner.send(
                    [BatchPiece(slot: 0, firstPosition: start, tokens: tokens, outputs: isWanted ? .last : .none)],
                    // The next token would have to be chosen first.
                    isAlone: size == 1)
            }
            try runner.wait()
        }
        try takeIn(0..<work.depth, by: work.batchSize)
        let clock = ContinuousClock()
        return try clock.measure {
            let prompt = work.depth..<(work.depth + work.prompt)
            try takeIn(prompt, by: work.batchSize)
            try takeIn(prompt.upperBound..<(prompt.upperBound + work.generate), by: 1)
        }
    }
}
