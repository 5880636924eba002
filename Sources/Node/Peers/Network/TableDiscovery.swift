internal import Base
internal import Foundation
package import Logging
package import RPCProto
internal import Synchronization

/// Finds a network's nodes across the internet: each puts itself into a table that is open to all, under a key that only who has the token
/// can know (``RendezvousKeys``), and looks there for the others. What it finds are places to try, and nothing more.
package final class TableDiscovery: Sendable {
    private struct State {
        var isStopped = false
        var announced: [[UInt8]] = []
        var announcedPort = 0
        var schedule = LookSchedule()
    }

    private let service: TableService
    private let keys: RendezvousKeys
    private let network: PeerNetwork
    private let ownPort: @Sendable () -> Int?
    private let logger: Logger
    private let state = Monitor(State())
    private let start = ContinuousClock.now

    private static let period = Duration.milliseconds(500)

    /// - Parameters:
    ///   - service: is given places that are found by ``take(_:)``.
    ///   - ownPort: where this node takes tunnels, as others see it; nil if it takes none.
    package init(
        _ service: TableService, _ keys: RendezvousKeys, _ network: PeerNetwork, ownPort: @escaping @Sendable () -> Int?, logger: Logger
    ) {
        self.service = service
        self.keys = keys
        self.network = network
        self.ownPort = ownPort
        self.logger = logger
    }

    /// - Throws: where there is no UDP port, or no thread.
    package func begin() throws {
        do {
            try service.start()
            try startSearching()
        } catch {
            service.stop()
            throw error
        }
    }

    private func startSearching() throws {
        logger.info("looking for others in the distributed hash table, from UDP port \(service.port)")
        try SystemThread.start(name: "rendezvous", stackSize: 1 << 20) { [weak self, state] in
            while let next = self {
                next.refresh()
                _ = state.wait(atMost: TableDiscovery.period) { $0.isStopped ? true : nil }
                if state.read(\.isStopped) { return }
            }
        }
    }

    package func stop() {
        let isFirst = state.change { state in
            defer { state.isStopped = true }
            return !state.isStopped
        }
        if isFirst { service.stop() }
    }

    private func refresh() {
        let now = Date()
        if let port = ownPort() {
            let announced = keys.announced(at: now)
            let isNew = state.change { state in
                defer { (state.announced, state.announcedPort) = (announced, port) }
                return state.announced != announced || state.announcedPort != port
            }
            if isNew { service.announce(announced, port: port) }
        }
        let hasNodes = !network.nodes.isEmpty
        let elapsed = ContinuousClock.now - start
        if state.change({ $0.schedule.isDue(hasNodes: hasNodes, at: elapsed) }) { service.look(for: keys.sought(at: now)) }
    }
}

/// How often the table is looked into: often at first and while nobody is there, then every minute.
struct LookSchedule: Sendable {
    private var next = Duration.zero
    private var pause = LookSchedule.shortest

    private static let shortest = Duration.seconds(2)
    private static let longest = Duration.seconds(30)
    private static let regular = Duration.seconds(60)

    /// Whether to look now; if so it counts as done.
    mutating func isDue(hasNodes: Bool, at now: Duration) -> Bool {
        // All have left: they may be elsewhere.
        if !hasNodes, next - now > LookSchedule.longest {
            pause = LookSchedule.shortest
            next = now
        }
        guard now >= next else { return false }
        // Others may be a moment behind the first.
        let isEarly = pause < LookSchedule.longest
        next = now + (hasNodes && !isEarly ? LookSchedule.regular : pause)
        pause = min(LookSchedule.longest, pause * 2)
        return true
    }
}
