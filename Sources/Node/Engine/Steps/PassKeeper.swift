/// Whoever keeps a model in its places: on this machine, or over others that come and go. The engine takes steps through what it is
/// given, lets go of it when it is told to or a step fails for the loss of a machine, and goes on when it is given it again.
package protocol PassKeeper: AnyObject, Sendable {
    /// Has the engine take steps as soon as the model is in its first places, for as long as ``stop()`` is not called. Blocks until it is
    /// there, or is waited for.
    ///
    /// - Throws: why there will be no places; nothing is held then.
    func start(_ engine: EngineControl) throws

    /// The engine has let go of the model, because.
    func suspended(_ reason: String)

    /// The machines that could have something of the model, with what each has.
    var nodes: [NodeStatus] { get }

    /// Why the model cannot be used any more, where that shows without a step.
    var loss: String? { get }

    /// Ends what is waited for of machines that nobody else uses, when it is not worth waiting any more.
    func breakOff()

    /// As ``stop()``, without waiting.
    func letGo()

    /// Returns when nothing is held any more.
    func stop()
}

/// What a keeper can have an engine do, from any thread; nothing of it waits.
package struct EngineControl: Sendable {
    /// Take steps here from now on, those that were interrupted from the beginning.
    package var resume: @Sendable (PassHandover) -> Void
    /// Let go of the model, which ``PassKeeper/suspended(_:)`` answers, if the engine has it.
    package var suspend: @Sendable (_ reason: String) -> Void
    /// There is no place at present.
    package var turnAway: @Sendable (_ reason: String, _ whom: TurnedAway) -> Void
    /// Whether requests are being worked on.
    package var isBusy: @Sendable () -> Bool
}

/// Who is told that there is no place for a model.
package enum TurnedAway: Hashable, Sendable {
    /// Those who have no answer yet.
    case waiting
    /// All.
    case all
    /// All, and whoever comes later: there will be no place any more.
    case everybody
}
