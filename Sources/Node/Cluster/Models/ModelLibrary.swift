internal import Foundation
internal import GGUF
internal import Model
package import NodeEngine
internal import Synchronization

/// Several models over the same machines: each is loaded when a request asks for it, and unloaded when another wants its memory and
/// nobody uses it, the one unused for longest first.
package final class ModelLibrary: ModelDirectory {
    private struct Entry {
        let options: EngineOptions
        let card: ModelCard
        var engine: (any TextEngine)?
        /// Under way for all who wait for it.
        var loading: Task<any TextEngine, any Error>?
        var leases = 0
        var lastUse = ContinuousClock.now
        /// Why the last attempt to load it failed.
        var failure: String?
        var isFailureFinal = false
        /// The file's when the last attempt began: a failure that lies in it stays until it is another.
        var stamp: FileStamp?
        var loadCount = 0
        var loadSeconds: Double?
    }

    private struct State {
        var entries: [Entry]
        var isStopped = false
    }

    private let state: Mutex<State>
    /// Those that were found and cannot be used.
    private let unusable: [ModelListing]
    private let pool: NodePool
    package let events: EventFeed

    /// Reads what the files say of their models, so that those which cannot be used are known at once. Those that are optional are told
    /// of and listed.
    ///
    /// - Parameter network: where workers are learnt of beside those that the options name.
    /// - Throws: `GGUFError`, `ModelError`; ``EngineError/unsupported(_:)`` for two models of one name, and where no model is left;
    ///   ``HeadError``.
    package init(_ models: [EngineOptions], network: (any WorkerNetwork)? = nil, events: EventFeed) throws {
        var entries: [Entry] = []
        var unusable: [ModelListing] = []
        for options in models {
            do {
                entries.append(try ModelLibrary.entry(options, beside: entries))
            } catch {
                guard options.isOptional else { throw error }
                let (name, path) = (ModelCard.name(options), options.modelPath)
                var reason = "\(error)"
                if !reason.contains(path) { reason = "\(path): \(reason)" }
                events.tell(NodeEvent(.warned, model: name, "is left out: \(reason)"))
                unusable.append(ModelListing(id: name, unusable: reason))
            }
        }
        guard !entries.isEmpty else { throw EngineError.unsupported("none of the \(models.count) files holds a model that can be used") }
        self.unusable = unusable
        pool = try NodePool(models.first?.head ?? HeadOptions(), network: network, events: events)
        self.events = events
        state = Mutex(State(entries: entries))
    }

    private static func entry(_ options: EngineOptions, beside others: [Entry]) throws -> Entry {
        var options = options
        let card = try ModelCard(reading: options)
        guard let other = others.first(where: { $0.card.id == card.id }) else { return Entry(options: options, card: card) }
        // In the folders of one are often others of the same name.
        let folder = URL(fileURLWithPath: options.modelPath).deletingLastPathComponent().lastPathComponent
        let longer = "\(folder)/\(card.id)"
        guard options.isOptional, !others.contains(where: { $0.card.id == longer }) else {
            throw EngineError.unsupported("\(other.options.modelPath) and \(options.modelPath) are both named \(card.id)")
        }
        options.alias = longer
        return Entry(options: options, card: try ModelCard(reading: options))
    }

    // MARK: Seeing

    package var models: [ModelListing] {
        usable + unusable
    }

    private var usable: [ModelListing] {
        state.withLock { $0.entries }.map { entry in
            var listing = ModelListing(card: entry.card, state: .unloaded, reason: entry.failure)
            if let engine = entry.engine {
                let status = engine.status
                listing.state = ModelListing.State(status.phase)
                listing.reason = status.reason
                listing.places = NodeStatus.summary(engine.nodes)
            } else if entry.loading != nil {
                listing.state = .loading
            } else if entry.failure != nil {
                listing.state = entry.isFailureFinal ? .failed : .unavailable
            }
            listing.loadCount = entry.loadCount
            listing.loadSeconds = entry.loadSeconds
            return listing
        }
    }

    package var nodes: [NodeStatus] {
        var nodes = pool.statuses
        for engine in state.withLock({ $0.entries.compactMap(\.engine) }) {
            for node in engine.nodes {
                guard let index = nodes.firstIndex(where: { $0.address == node.address }) else {
                    nodes.append(node)
                    continue
                }
                nodes[index].add(node)
            }
        }
        return nodes
    }

    package var status: EngineStatus {
        var sum = EngineStatus(phase: .ready, slotsBusy: 0, slotCount: 0, queued: 0)
        let (engines, isStopped) = state.withLock { ($0.entries.compactMap(\.engine), $0.isStopped) }
        for status in engines.map(\.status) {
            sum.slotsBusy += status.slotsBusy
            sum.slotCount += status.slotCount
            sum.queued += status.queued
            // One model that waits for a place is no reason to call the server unusable.
            if sum.phase == .ready, status.phase == .recovering || status.phase == .unavailable {
                sum.phase = .recovering
                sum.reason = status.reason
            }
        }
        if isStopped { sum.phase = .stopped }
        return sum
    }

    package func setDrained(_ address: String, _ isDrained: Bool) -> Bool { pool.setDrained(address, isDrained) }

    // MARK: Using

    package func lease(_ name: String?) async throws(EngineError) -> ModelLease {
        let index = try index(of: name)
        while true {
            if let lease = try take(index) { return lease }
            try refuse(index)
            let loading = state.withLock { state -> Task<any TextEngine, any Error> in
                if let loading = state.entries[index].loading { return loading }
                let loading = Task { try await self.load(index) }
                state.entries[index].loading = loading
                return loading
            }
            do {
                _ = try await loading.value
            } catch let error as EngineError {
                throw error
            } catch HeadError.noRoom(let reason) {
                throw .unavailable(reason)
            } catch  where ModelLibrary.liesInTheFile(error) {
                throw .unsupported("\(error)")
            } catch {
                throw .failed("\(error)")
            }
        }
    }

    private func index(of name: String?) throws(EngineError) -> Int {
        guard let name else { return 0 }
        let ids = state.withLock { $0.entries.map(\.card.id) }
        if let index = ids.firstIndex(of: name) { return index }
        if let reason = unusable.first(where: { $0.id == name })?.reason { throw .unsupported(reason) }
        throw .unknownModel(name, known: ids)
    }

    /// Whether loading the model again would fail as it did before.
    private func refuse(_ index: Int) throws(EngineError) {
        let entry = state.withLock { $0.entries[index] }
        guard entry.isFailureFinal, let failure = entry.failure else { return }
        if entry.stamp == FileStamp(path: entry.options.modelPath) { throw .unsupported(failure) }
    }

    /// A lease of a model that is loaded; nil if it is not.
    private func take(_ index: Int) throws(EngineError) -> ModelLease? {
        let (engine, isStopped) = state.withLock { state -> ((any TextEngine)?, Bool) in
            state.entries[index].lastUse = .now
            if state.entries[index].engine != nil { state.entries[index].leases += 1 }
            return (state.entries[index].engine, state.isStopped)
        }
        if isStopped { throw .stopped }
        guard let engine else { return nil }
        return ModelLease(engine) { [weak self] in
            self?.state.withLock { state in
                state.entries[index].leases -= 1
                state.entries[index].lastUse = .now
            }
        }
    }

    // MARK: Loading

    private func load(_ index: Int) async throws -> any TextEngine {
        let stamp = FileStamp(path: state.withLock { $0.entries[index].options.modelPath })
        let entry = state.withLock { state in
            state.entries[index].stamp = stamp
            return state.entries[index]
        }
        let start = ContinuousClock.now
        do {
            let engine = try await Engines.text(
                entry.options, over: pool, makeRoom: { [weak self] in self?.makeRoom(for: index) ?? false }
            ) { _ in }
            let seconds = start.duration(to: .now) / .seconds(1)
            let isStopped = state.withLock { state in
                state.entries[index].engine = engine
                state.entries[index].loading = nil
                state.entries[index].failure = nil
                state.entries[index].isFailureFinal = false
                state.entries[index].loadCount += 1
                state.entries[index].loadSeconds = seconds
                return state.isStopped
            }
            if isStopped { await engine.shutdown() }
            events.tell(NodeEvent(.loaded, model: entry.card.id, "loaded in \(String(format: "%.1f", seconds)) s"))
            for warning in engine.card.warnings { events.tell(NodeEvent(.warned, model: entry.card.id, warning)) }
            return engine
        } catch {
            let isFinal = ModelLibrary.liesInTheFile(error)
            state.withLock { state in
                state.entries[index].loading = nil
                state.entries[index].failure = "\(error)"
                state.entries[index].isFailureFinal = isFinal
            }
            throw error
        }
    }

    /// Whether only another file would load: everything else may pass.
    private static func liesInTheFile(_ error: any Error) -> Bool {
        if case EngineError.unsupported = error { return true }
        return error is ModelError || error is GGUFError
    }

    /// Unloads the model that was unused for longest, of those that nobody uses. Blocks; for the threads of those who load.
    ///
    /// - Returns: false if all are used.
    private func makeRoom(for wanting: Int) -> Bool {
        let evicted = state.withLock { state -> (engine: any TextEngine, name: String)? in
            // One that is being unloaded itself must not wait for another, which may wait for it.
            if state.entries[wanting].engine == nil, state.entries[wanting].loading == nil { return nil }
            let idle = state.entries.indices.filter { index in
                index != wanting && state.entries[index].engine != nil && state.entries[index].leases == 0
            }
            guard let index = idle.min(by: { state.entries[$0].lastUse < state.entries[$1].lastUse }),
                let engine = state.entries[index].engine
            else { return nil }
            state.entries[index].engine = nil
            return (engine, state.entries[index].card.id)
        }
        guard let evicted else { return false }
        let done = DispatchSemaphore(value: 0)
        Task {
            await evicted.engine.shutdown()
            done.signal()
        }
        done.wait()
        events.tell(NodeEvent(.unloaded, model: evicted.name, "unloaded, since another model wants its memory"))
        return true
    }

    package func shutdown() async {
        let (engines, loading) = state.withLock { state in
            state.isStopped = true
            return (state.entries.compactMap(\.engine), state.entries.compactMap(\.loading))
        }
        // Together: what one waits for is no reason to let the others wait.
        await withTaskGroup(of: Void.self) { group in
            for engine in engines { group.addTask { await engine.shutdown() } }
        }
        // What is being loaded fails with its connections, or is shut down by whoever loads it.
        pool.stop()
        for task in loading { _ = await task.result }
    }
}

extension NodeStatus {
    /// Adds what another model has on the node.
    fileprivate mutating func add(_ other: NodeStatus) {
        models += other.models
        if other.state == .failed || other.state == .leaving { (state, reason) = (other.state, other.reason) }
        if state == .unused { state = other.state }
        for (index, device) in other.devices.enumerated() {
            guard index < devices.count else {
                devices.append(device)
                continue
            }
            // Layers of different models do not add up: each model's are told with it.
            devices[index].layers = devices[index].layers ?? device.layers
            devices[index].hasOutput = devices[index].hasOutput || device.hasOutput
            devices[index].weightBytes += device.weightBytes
            devices[index].cacheBytes += device.cacheBytes
            devices[index].computeBytes = max(devices[index].computeBytes, device.computeBytes)
            devices[index].steps += device.steps
            devices[index].busyNanoseconds += device.busyNanoseconds
        }
    }
}

/// The model files that a command line names.
public enum ModelFiles {
    public struct Entry: Hashable, Sendable {
        public var path: String
        /// Whether it was found in a folder, rather than named.
        public var isFound: Bool
    }

    /// The files of a list, and of the folders in it and below them: every GGUF file, of split ones the first part. What begins with a
    /// dot is passed over.
    ///
    /// - Throws: ``EngineError/unsupported(_:)`` for a folder without any.
    public static func expand(_ paths: [String]) throws -> [Entry] {
        var files: [Entry] = []
        for path in paths {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
                files.append(Entry(path: path, isFound: false))
                continue
            }
            // A loop of links is not gone through: links to folders are not followed.
            let found = (FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []).filter { name in
                isFirstPart(name) && !name.split(separator: "/").contains { $0.hasPrefix(".") }
            }
            if found.isEmpty { throw EngineError.unsupported("the folder \(path) has no file that ends in .gguf") }
            let folder = URL(fileURLWithPath: path)
            files += found.sorted().map { Entry(path: folder.appendingPathComponent($0).path, isFound: true) }
        }
        return files
    }

    /// `name.gguf` and `name-00001-of-00003.gguf`, not `name-00002-of-00003.gguf`.
    private static func isFirstPart(_ name: String) -> Bool {
        guard name.hasSuffix(".gguf") else { return false }
        let stem = name.dropLast(5)
        guard let part = stem.wholeMatch(of: /.*-(\d{5})-of-\d{5}/) else { return true }
        return part.1 == "00001"
    }
}
