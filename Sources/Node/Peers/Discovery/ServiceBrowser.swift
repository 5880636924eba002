internal import Base

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Watches for the services of one network (``ServiceFilter``) on all interfaces, and tells what changes.
///
/// When the daemon goes, all that was found is gone; it is tried again, ever more seldom, until it is back.
package final class ServiceBrowser: Sendable {
    /// What else there is to tell.
    package enum Condition: Hashable, Sendable {
        case browsing
        /// Nothing can be found now; it is tried again after a while.
        case interrupted(DiscoveryError)
    }

    private let library: DNSServiceLibrary
    private let filter: ServiceFilter
    private let pipe: WakePipe
    private let isStopped = Monitor(false)
    private let onChange: @Sendable (ServiceChange) -> Void
    private let onCondition: @Sendable (Condition) -> Void

    /// Begins to browse, until ``stop()``.
    ///
    /// - Parameters:
    ///   - filter: which are looked for; asked on a thread of the browser's own.
    ///   - onCondition: as `onChange`.
    ///   - onChange: called on one thread of the browser's own; what it waits for, everything here waits for.
    /// - Throws: if the library is not there. That the daemon is not there is told as a condition, since it may come.
    package init(
        _ filter: ServiceFilter, onCondition: @escaping @Sendable (Condition) -> Void = { _ in },
        onChange: @escaping @Sendable (ServiceChange) -> Void
    ) throws(DiscoveryError) {
        library = try DNSServiceLibrary()
        pipe = try WakePipe()
        self.filter = filter
        self.onChange = onChange
        self.onCondition = onCondition
        do throws(ThreadError) {
            try SystemThread.start(name: "browse", stackSize: 1 << 20) { [self] in run() }
        } catch {
            throw .noThread(error)
        }
    }

    /// Ends it: nothing is told once the calls under way have returned.
    package func stop() {
        isStopped.change { $0 = true }
        pipe.wake()
    }

    private func run() {
        var session = BrowseSession(library, filter)
        var pause = Pause()
        while !isStopped.read({ $0 }) {
            do throws(DiscoveryError) {
                try session.begin()
                onCondition(.browsing)
                while !isStopped.read({ $0 }) {
                    let isWell = try session.step(pipe, onChange)
                    if isWell { pause.reset() }
                }
            } catch {
                session.end(onChange)
                onCondition(.interrupted(error))
                pause.wait(pipe) { isStopped.read { $0 } }
            }
        }
        session.close()
    }
}

/// Waiting between attempts, twice as long each time: from half a second to ten.
struct Pause {
    private static let shortest: UInt64 = 500_000_000
    private static let longest: UInt64 = 10_000_000_000
    private var time = Pause.shortest

    mutating func reset() { time = Pause.shortest }

    /// - Parameter isOver: asked whenever the pipe is woken.
    mutating func wait(_ pipe: WakePipe, unless isOver: () -> Bool) {
        let end = MonotonicClock.nanoseconds() &+ time
        time = min(time * 2, Pause.longest)
        while !isOver() {
            let now = MonotonicClock.nanoseconds()
            guard now < end else { return }
            _ = pipe.wait(for: [], until: end, at: now)
        }
    }
}

/// The operations of a browser, for its thread.
private struct BrowseSession {
    /// What the operations say goes in here while they are processed.
    private final class Inbox {
        var table: ServiceTable
        var now: UInt64 = 0
        /// Why browsing is over.
        var failure: Int32?

        init(_ table: ServiceTable) {
            self.table = table
        }

        func take(_ reply: ServiceReply) {
            switch reply {
            case .sighted(let key): table.apply(.sighted(key), at: now)
            case .unsighted(let key): table.apply(.unsighted(key), at: now)
            case .failed(let code): failure = code
            case .registered, .resolved, .address: break
            }
        }

        func take(_ reply: ServiceReply, of number: UInt64) {
            switch reply {
            case .resolved(let hostName, let port, let text):
                table.apply(.resolved(number, hostName: hostName, port: port, text: text), at: now)
            case .address(let bytes, let isThere): table.apply(.address(number, bytes, isThere: isThere), at: now)
            case .failed: table.apply(.failed(number), at: now)
            case .registered, .sighted, .unsighted: break
            }
        }
    }

    private let library: DNSServiceLibrary
    private let inbox: Inbox
    private var browsing: ServiceOperation?
    private var lookups: [UInt64: ServiceOperation] = [:]

    init(_ library: DNSServiceLibrary, _ filter: ServiceFilter) {
        self.library = library
        inbox = Inbox(ServiceTable(filter) { BrowseSession.interfaceName($0) })
    }

    /// Begins to browse (again).
    mutating func begin() throws(DiscoveryError) {
        browsing?.close()
        browsing = nil
        inbox.failure = nil
        inbox.now = MonotonicClock.nanoseconds()
        inbox.table.apply(.browsing, at: inbox.now)
        let inbox = inbox
        browsing = try ServiceOperation(.browse(type: ServiceAnnouncer.type), library) { inbox.take($0) }
    }

    /// Waits for something to happen, and does what follows from it.
    ///
    /// - Returns: whether the daemon said something.
    /// - Throws: if browsing is over.
    mutating func step(_ pipe: WakePipe, _ onChange: (ServiceChange) -> Void) throws(DiscoveryError) -> Bool {
        guard let browsing else { throw .daemonSilent }
        let numbers = Array(lookups.keys)
        // What is not read stays with the daemon until there is room for it.
        let descriptors = [inbox.table.isCrowded ? -1 : browsing.descriptor] + numbers.map { lookups[$0]?.descriptor ?? -1 }
        let before = MonotonicClock.nanoseconds()
        let ready = pipe.wait(for: descriptors, until: inbox.table.nextMoment(at: before), at: before)
        inbox.now = MonotonicClock.nanoseconds()
        for place in ready {
            if place == 0 {
                try browsing.process()
                if let code = inbox.failure { throw DiscoveryError(operation: "browsing", code: code) }
            } else {
                let number = numbers[place - 1]
                do throws(DiscoveryError) {
                    try lookups[number]?.process()
                } catch {
                    inbox.table.apply(.failed(number), at: inbox.now)
                }
            }
        }
        for effect in inbox.table.advance(at: inbox.now) { try perform(effect, onChange) }
        return !ready.isEmpty
    }

    private mutating func perform(_ effect: ServiceTable.Effect, _ onChange: (ServiceChange) -> Void) throws(DiscoveryError) {
        switch effect {
        case .open(let operation):
            let kind: ServiceOperation.Kind =
                switch operation.lookup {
                case .resolve: .resolve(operation.key, type: ServiceAnnouncer.type)
                case .ipv4, .ipv6:
                    .address(hostName: operation.hostName, interface: operation.key.interface, isIPv6: operation.lookup == .ipv6)
                }
            let inbox = inbox
            do throws(DiscoveryError) {
                lookups[operation.number] = try ServiceOperation(kind, library) { inbox.take($0, of: operation.number) }
            } catch {
                // The name may be one that the daemon does not take; that the daemon is gone is told by browsing.
                inbox.table.apply(.failed(operation.number), at: inbox.now)
            }
        case .close(let number): lookups.removeValue(forKey: number)?.close()
        case .tell(let change): onChange(change)
        case .browseAgain: try begin()
        }
    }

    /// Browsing is over, and what was found is gone.
    mutating func end(_ onChange: (ServiceChange) -> Void) {
        inbox.table.apply(.lost, at: inbox.now)
        for case .tell(let change) in inbox.table.advance(at: inbox.now) { onChange(change) }
        close()
    }

    mutating func close() {
        for lookup in lookups.values { lookup.close() }
        lookups = [:]
        browsing?.close()
        browsing = nil
    }

    private static func interfaceName(_ index: UInt32) -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(IF_NAMESIZE)) { name in
            guard let start = name.baseAddress, if_indextoname(index, start) != nil else { return "" }
            return String(cString: start)
        }
    }
}
