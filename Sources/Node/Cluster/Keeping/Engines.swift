internal import Base
internal import GGUF
public import NodeEngine

/// Where engines come from.
public enum Engines {
    public typealias Progress = LoadProgress.Report

    /// Loads a model to be shared by many requests: on this machine, or over workers all of which must be there.
    public static func text(_ options: EngineOptions, progress: @escaping Progress) async throws -> any TextEngine {
        try await BlockingWork.alone(name: "load") {
            if let engine = try embeddingEngine(options, progress) { return engine }
            let keeper = try FixedKeeper(options) { progress(LoadProgress(stage: $0.stage, fraction: 0.9 * $0.fraction)) }
            return try engine(options, keeper, progress)
        }
    }

    /// For a model that makes vectors of texts, which is all on this machine; nil for one that generates.
    private static func embeddingEngine(_ options: EngineOptions, _ progress: Progress) throws -> EmbeddingEngine? {
        progress(LoadProgress(stage: "reading metadata", fraction: 0))
        let file = try GGUFFile(path: options.modelPath)
        guard try EmbeddingEngine.reads(file) else { return nil }
        let engine = try EmbeddingEngine(options, file)
        progress(LoadProgress(stage: "ready", fraction: 1))
        return engine
    }

    private static func engine(_ options: EngineOptions, _ keeper: FixedKeeper, _ progress: Progress) throws -> GenerationEngine {
        progress(LoadProgress(stage: "warming up", fraction: 0.9))
        let engine = try GenerationEngine(options, keeper.outline, keeper: keeper)
        progress(LoadProgress(stage: "ready", fraction: 1))
        return engine
    }

    /// As ``text(_:progress:)``, over the workers of a pool as they come and go. Returns when the model is in its first places, or waits
    /// for them.
    ///
    /// - Parameter makeRoom: called where there is no room, on a thread that may wait; returns whether there is more now. Without it, the
    ///   engine waits for room, turning requests away.
    package static func text(
        _ options: EngineOptions, over pool: NodePool, makeRoom: (@Sendable () -> Bool)? = nil, progress: @escaping Progress
    ) async throws -> any TextEngine {
        try await BlockingWork.alone(name: "load") {
            if let engine = try embeddingEngine(options, progress) { return engine }
            progress(LoadProgress(stage: "asking the workers", fraction: 0))
            let spread = try SpreadModel(options)
            let keeper = ModelKeeper(spread, over: pool, makeRoom: makeRoom, progress)
            pool.waitUntilKnown(atMost: .seconds(10))
            let engine = try GenerationEngine(options, spread.outline, keeper: keeper)
            progress(LoadProgress(stage: "ready", fraction: 1))
            return engine
        }
    }

    /// As ``text(_:progress:)``, with the model cut after the given layers into stages that work side by side.
    package static func text(_ options: EngineOptions, cutAfter cuts: [Int]) async throws -> any TextEngine {
        try await BlockingWork.alone(name: "load") { try engine(options, FixedKeeper(options, cutAfter: cuts)) { _ in } }
    }

    /// Loads a model to be measured.
    public static func evaluator(_ options: EngineOptions, progress: @escaping Progress) async throws -> any Evaluator {
        try await BlockingWork.alone(name: "load") {
            progress(LoadProgress(stage: "reading metadata", fraction: 0))
            var options = options
            options.wantsAllResults = true
            let loaded =
                options.head.isProcessorAlone
                ? try LoadedModel(local: options) : try SpreadModel.load(options, progress).loaded
            let evaluator = ModelEvaluator(options, loaded)
            progress(LoadProgress(stage: "ready", fraction: 1))
            return evaluator
        }
    }

    /// Reads only the vocabulary of a model's file.
    public static func vocabulary(path: String) async throws -> any VocabularyReader {
        try await BlockingWork.alone(name: "load") { try FileVocabulary(path: path) }
    }
}
