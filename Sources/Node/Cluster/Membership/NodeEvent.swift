package import Base
public import Foundation
package import Logging
internal import NodeEngine
internal import Synchronization

/// Something that happened to the machines that models run on, or to where a model is.
public struct NodeEvent: Hashable, Sendable {
    public enum Kind: String, Hashable, Sendable {
        /// A worker is there, for the first time or again.
        case joined
        case lost
        /// A worker said that it is about to stop.
        case leaving
        /// A worker is emptied by command, or may be used again.
        case draining, resumed
        /// A model's requests wait, because something of it is lost or moves.
        case recovering
        /// A model is in its places, and goes on.
        case placed
        /// There is no room for a model at present.
        case unavailable
        /// A model was brought into memory, or left it for others.
        case loaded, unloaded
        /// Something about a model's file is odd, or it cannot be used.
        case warned
    }

    public var time: Date
    public var kind: Kind
    /// The worker that it is about; nil for none.
    public var node: String?
    /// What that worker calls itself, if it proves who it is.
    public var name: String?
    /// The model that it is about; nil for none.
    public var model: String?
    /// For people.
    public var message: String

    public init(
        _ kind: Kind, node: String? = nil, name: String? = nil, model: String? = nil, _ message: String, time: Date = Date()
    ) {
        self.time = time
        self.kind = kind
        self.node = node
        self.name = name
        self.model = model
        self.message = message
    }

    /// `10.0.0.7:50052: is there`, `cellar (5f0c1a2b): is there`. What a message begins with is not said twice.
    public var line: String {
        guard let subject = node.map({ NodeStatus.label($0, name: name) }) ?? model else { return message }
        for beginning in [subject, name ?? subject] where message.hasPrefix(beginning) {
            let behind = message.dropFirst(beginning.count)
            if let separator = [": ", " "].first(where: { behind.hasPrefix($0) }) {
                return "\(subject): \(behind.dropFirst(separator.count))"
            }
        }
        return "\(subject): \(message)"
    }

    /// How important it is in a log.
    package var level: Logger.Level {
        switch kind {
        case .lost, .recovering, .unavailable, .warned: .warning
        default: .notice
        }
    }

    package var json: JSONValue {
        [
            "time": .string(time.timestamp),
            "kind": .string(kind.rawValue),
            "node": node.map(JSONValue.string) ?? .null,
            "name": name.map(JSONValue.string) ?? .null,
            "model": model.map(JSONValue.string) ?? .null,
            "message": .string(message),
        ]
    }
}

/// Passes events on to whoever listens; the last ones are kept for those who come late.
public final class EventFeed: Sendable {
    private struct State {
        var recent: [NodeEvent] = []
        var listeners: [Int: AsyncStream<NodeEvent>.Continuation] = [:]
        var next = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let record: @Sendable (NodeEvent) -> Void

    /// Events kept for those who come late.
    private static let recentCount = 32

    /// - Parameter record: called with each event, on threads that must not be kept waiting.
    public init(_ record: @escaping @Sendable (NodeEvent) -> Void = { _ in }) { self.record = record }

    public func tell(_ event: NodeEvent) {
        let listeners = state.withLock { state in
            state.recent.append(event)
            if state.recent.count > EventFeed.recentCount { state.recent.removeFirst() }
            return Array(state.listeners.values)
        }
        record(event)
        for listener in listeners { listener.yield(event) }
    }

    /// The latest events, then each as it happens.
    public var events: AsyncStream<NodeEvent> {
        // A listener that takes nothing loses the oldest, not our memory.
        let (stream, source) = AsyncStream<NodeEvent>.makeStream(bufferingPolicy: .bufferingNewest(256))
        let number: Int? = state.withLock { state in
            for event in state.recent { source.yield(event) }
            if state.isClosed { return nil }
            state.next += 1
            state.listeners[state.next] = source
            return state.next
        }
        guard let number else {
            source.finish()
            return stream
        }
        source.onTermination = { [weak self] _ in self?.state.withLock { $0.listeners[number] = nil } }
        return stream
    }

    /// Ends all listening.
    public func close() {
        let listeners = state.withLock { state in
            state.isClosed = true
            defer { state.listeners = [:] }
            return Array(state.listeners.values)
        }
        for listener in listeners { listener.finish() }
    }
}
