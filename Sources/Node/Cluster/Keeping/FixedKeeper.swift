internal import Foundation
internal import Model
internal import NodeEngine
internal import Synchronization

/// Keeps a model where it was put, on this machine or over workers all of which must be there: what is lost ends it.
final class FixedKeeper: PassKeeper {
    private struct State {
        var roster: NodeRoster
        /// Until it is handed over.
        var pass: PassHandover?
        var engine: EngineControl?
    }

    let outline: ModelOutline
    private let state: Mutex<State>

    /// Blocks: brings weights to workers, sets the cache aside and runs one token to warm up.
    ///
    /// - Throws: `GGUFError`, `ModelError`, `BackendError`, ``HeadError``.
    convenience init(_ options: EngineOptions, _ progress: @escaping Engines.Progress) throws {
        guard !options.head.isProcessorAlone else {
            try self.init(options, cutAfter: [])
            return
        }
        var options = options
        while true {
            let (loaded, placed) = try SpreadModel.load(options, progress)
            let pass: LoadedPass
            do {
                pass = try FixedKeeper.pass(options, loaded)
            } catch let error as SeatError where error.isForCandidates && !options.head.sendsAllLogits {
                // It may well have closed its connection over that, so everything is brought anew.
                placed.close()
                options.head.sendsAllLogits = true
                progress(LoadProgress(stage: "a worker cannot pick the likeliest tokens itself: it sends all logits instead", fraction: 0))
                continue
            } catch let error as SeatError {
                throw error.error
            }
            self.init(loaded, pass, placed.roster(firstSeat: loaded.seats.count - placed.placement.stages.count, pass.meters))
            return
        }
    }

    /// On this machine, cut after the given layers.
    convenience init(_ options: EngineOptions, cutAfter cuts: [Int]) throws {
        let loaded = try LoadedModel(local: options, cutAfter: cuts)
        let nodes = try NodeRoster.local(loaded, options)
        let pass: LoadedPass
        do {
            pass = try FixedKeeper.pass(options, loaded)
        } catch let error as SeatError {
            throw error.error
        }
        self.init(loaded, pass, NodeRoster(nodes: nodes, meters: pass.meters))
    }

    private init(_ loaded: LoadedModel, _ pass: LoadedPass, _ roster: NodeRoster) {
        outline = loaded.outline
        state = Mutex(State(roster: roster, pass: PassHandover(pass)))
    }

    private static func pass(_ options: EngineOptions, _ loaded: LoadedModel) throws -> LoadedPass {
        let pass = try loaded.pass(slotCount: max(1, options.slotCount), contextLength: loaded.contextSize(options))
        try pass.warmUp()
        return pass
    }

    func start(_ engine: EngineControl) throws {
        let pass = state.withLock { state in
            state.engine = engine
            defer { state.pass = nil }
            return state.pass
        }
        if let pass { engine.resume(pass) }
    }

    func suspended(_ reason: String) {
        let (engine, roster) = state.withLock { ($0.engine, $0.roster) }
        engine?.turnAway(reason, .everybody)
        // What the other machines have is of no use without it.
        roster.close()
    }

    var nodes: [NodeStatus] { state.withLock { $0.roster }.statuses }
    var loss: String? { state.withLock { $0.roster }.loss }

    func breakOff() { state.withLock { $0.roster }.close() }

    func letGo() {}

    func stop() {
        let roster = state.withLock { state in
            state.pass = nil
            state.engine = nil
            return state.roster
        }
        roster.close()
    }

    deinit { state.withLock { $0.roster }.close() }
}

extension NodeRoster {
    /// This machine, with all of a model.
    fileprivate static func local(_ loaded: LoadedModel, _ options: EngineOptions) throws -> [Node] {
        let outline = loaded.outline
        let devices = try loaded.seats.enumerated().map { index, seat in
            let cache = outline.cacheByteCount(
                ofLayers: seat.extent.layers, slotCount: max(1, options.slotCount), contextLength: loaded.contextSize(options),
                alignment: seat.backend.alignment)
            let part = NodeRoster.Part(
                seat: index, layers: seat.extent.layers, hasOutput: seat.extent.hasOutput,
                weightByteCount: seat.extent.parts.reduce(0) { $0 + outline.weightByteCount(of: $1) },
                cacheByteCount: cache, computeByteCount: 0)
            return NodeRoster.Device(name: "CPU", memory: try seat.backend.memory(), part: part)
        }
        return [Node(address: NodeRoster.localAddress, devices: devices)]
    }
}
