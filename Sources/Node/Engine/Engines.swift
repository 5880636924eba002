internal import Base

/// Where engines come from.
public enum Engines {
    public typealias Progress = @Sendable (LoadProgress) -> Void

    /// Loads a model to be shared by many requests.
    public static func text(_ options: EngineOptions, progress: @escaping Progress) async throws -> any TextEngine {
        try await BlockingWork.alone(name: "load") {
            let loaded = try LoadedModel(options) { progress(LoadProgress(stage: $0.stage, fraction: 0.9 * $0.fraction)) }
            return try GenerationEngine(options, loaded) { progress(LoadProgress(stage: $0.stage, fraction: 0.9 + 0.1 * $0.fraction)) }
        }
    }

    /// As ``text(_:progress:)``, over the workers of a pool as they come and go.
    ///
    /// - Parameter makeRoom: called where there is no room, on a thread that may wait; returns whether there is more now. Without it, the
    ///   engine waits for room, turning requests away.
    package static func text(
        _ options: EngineOptions, over pool: NodePool, makeRoom: (@Sendable () -> Bool)? = nil, progress: @escaping Progress
    ) async throws -> any TextEngine {
        try await BlockingWork.alone(name: "load") {
            try GenerationEngine(options, over: pool, makeRoom: makeRoom, progress: progress)
        }
    }

    /// As ``text(_:progress:)``, with the model cut after the given layers into stages that work side by side.
    package static func text(_ options: EngineOptions, cutAfter cuts: [Int]) async throws -> any TextEngine {
        try await BlockingWork.alone(name: "load") { try GenerationEngine(options, LoadedModel(options, cutAfter: cuts)) { _ in } }
    }

    /// Loads a model to be measured.
    public static func evaluator(_ options: EngineOptions, progress: @escaping Progress) async throws -> any Evaluator {
        try await BlockingWork.alone(name: "load") { try ModelEvaluator(options, progress: progress) }
    }

    /// Reads only the vocabulary of a model's file.
    public static func vocabulary(path: String) async throws -> any VocabularyReader {
        try await BlockingWork.alone(name: "vocabulary") { try FileVocabulary(path: path) }
    }
}
