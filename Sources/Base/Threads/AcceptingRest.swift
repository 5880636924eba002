/// A server that can take no connection for now, since the system gives it no descriptor: it rests, so that trying does not take a
/// core, and says so now and then instead of each time.
package struct AcceptingRest {
    /// Between two tries.
    package static let time = Duration.milliseconds(250)
    /// What goes on for long is told again after this.
    package static let quietTime = Duration.seconds(60)

    private var told: Duration?
    private let start = ContinuousClock.now

    package init() {}

    /// Whether it is to be told that accepting failed.
    ///
    /// - Parameter now: since some moment in the past; nil for the clock's.
    package mutating func isNews(at now: Duration? = nil) -> Bool {
        let now = now ?? ContinuousClock.now - start
        if let told, now - told < AcceptingRest.quietTime { return false }
        told = now
        return true
    }
}
