/// Tells a person how far the loading of one model has come.
public protocol LoadingReport: Sendable {
    /// A step; from any thread.
    func show(_ progress: LoadProgress)

    /// Says what was loaded.
    func finish(_ summary: String)

    /// Makes way for an error message.
    func abort()
}
