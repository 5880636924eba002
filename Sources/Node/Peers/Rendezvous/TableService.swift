package import Base
internal import DHT
internal import Foundation
package import Logging
internal import NIOCore
internal import NIOPosix
package import RPCProto
internal import Synchronization

/// This machine's part in a distributed hash table: a node for each family of addresses, at a UDP port, for as long as it runs.
package final class TableService: Sendable {
    package struct Options: Sendable {
        /// The UDP port; 0 for a free one.
        package var port = 0
        /// The address at which it is; nil for all that the machine has.
        package var host: String?
        /// Where nodes are that are asked first.
        package var bootstrap: [Endpoint]
        /// Where what is known is kept for the next time, a file for each family, by the beginning of their paths; nil for nowhere.
        package var savedAt: String?
        /// Whether it asks only, and is no node that others should know: for who is gone in a moment.
        package var isReadOnly = false
        /// Whether addresses near to each other are different people's, as in a network of somebody's own.
        package var sharesNeighbourhoods = false

        package init(bootstrap: [Endpoint]) { self.bootstrap = bootstrap }
    }

    /// What it is like at present.
    package struct Status: Hashable, Sendable {
        package var port = 0
        /// Nodes that are known to be there, of both families.
        package var nodes = 0
        /// What others have put here.
        package var storedPeers = 0
        /// This machine's addresses, as others see them.
        package var ownHosts: [String] = []
    }

    private struct State {
        var handlers: [NIOLoopBound<TableHandler>] = []
        var channels: [any Channel] = []
        var port = 0
        var isResolving = false
        var isStopped = false
    }

    private let options: Options
    private let logger: Logger
    private let found: @Sendable (_ key: [UInt8], _ place: Endpoint) -> Void
    private let ended: @Sendable (_ key: [UInt8]) -> Void
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let state = Mutex(State())

    /// - Parameters:
    ///   - found: called with places where programs are said to be, under keys that are looked for; on a thread of the service's own.
    ///   - ended: called, on that thread too, when a search for a key has ended, of one family of addresses.
    package init(
        _ options: Options, logger: Logger, found: @escaping @Sendable (_ key: [UInt8], _ place: Endpoint) -> Void,
        ended: @escaping @Sendable (_ key: [UInt8]) -> Void = { _ in }
    ) {
        self.ended = ended
        self.options = options
        self.logger = logger
        self.found = found
    }

    /// The UDP port, once it has started.
    package var port: Int { state.withLock { $0.port } }

    /// Opens the ports and begins. Blocks for a moment.
    ///
    /// - Throws: where there is no port of either family.
    package func start() throws {
        var failure: (any Error)?
        for isIPv6 in [false, true] {
            let host = options.host ?? (isIPv6 ? "::" : "0.0.0.0")
            guard host.contains(":") == isIPv6 else { continue }
            do {
                try open(host, isIPv6)
            } catch {
                logger.debug("the table has no port of \(isIPv6 ? "IPv6" : "IPv4"): \(error)")
                failure = failure ?? error
            }
        }
        if state.withLock({ $0.channels.isEmpty }) {
            throw ListeningError(host: options.host ?? "0.0.0.0", port: options.port, reason: TableService.text(of: failure))
        }
        resolve()
    }

    private static func text(of failure: (any Error)?) -> String {
        if let failure = failure as? IOError { return String(cString: strerror(failure.errnoCode)) }
        return failure.map { "\($0)" } ?? "this machine has no such address"
    }

    private func open(_ host: String, _ isIPv6: Bool) throws {
        let loop = group.next()
        // The other family has the same port where it is free.
        let port = state.withLock { $0.port == 0 ? options.port : $0.port }
        let (logger, found, ended, sharesNeighbourhoods) = (logger, found, ended, options.sharesNeighbourhoods)
        let isReadOnly = options.isReadOnly
        let path = options.savedAt.map { "\($0)-\(isIPv6 ? "v6" : "v4")" }
        let wantsPlaces: @Sendable () -> Void = { [weak self] in self?.resolve() }
        var bootstrap = DatagramBootstrap(group: loop)
        if isIPv6 { bootstrap = bootstrap.channelOption(ChannelOptions.socket(.init(IPPROTO_IPV6), IPV6_V6ONLY), value: 1) }
        let channel = try bootstrap.channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                var table = TableNode.Options()
                table.isIPv6 = isIPv6
                table.sharesNeighbourhoods = sharesNeighbourhoods
                table.isReadOnly = isReadOnly
                try channel.pipeline.syncOperations.addHandler(
                    TableHandler(table, savedAt: path, logger: logger, wantsPlaces: wantsPlaces, found: found, ended: ended))
            }
        }.bind(host: host, port: port).wait()
        let handler = try loop.submit {
            NIOLoopBound(try channel.pipeline.syncOperations.handler(type: TableHandler.self), eventLoop: loop)
        }
        .wait()
        state.withLock { state in
            state.port = channel.localAddress?.port ?? port
            state.channels.append(channel)
            state.handlers.append(handler)
        }
    }

    private func each(_ body: @escaping @Sendable (TableHandler) -> Void) {
        for handler in state.withLock({ $0.handlers }) { group.next().execute { body(handler.value) } }
    }

    /// Keeps a program of this machine under these keys from now on, and under no others.
    package func announce(_ keys: [[UInt8]], port: Int) { each { $0.announce(keys, port: port) } }

    /// Looks for programs under these keys.
    package func look(for keys: [[UInt8]]) { each { $0.look(for: keys) } }

    /// Blocks for a moment.
    package var status: Status {
        let handlers = state.withLock { $0.handlers }
        var status = Status(port: port)
        for handler in handlers {
            guard let part = try? group.next().submit({ handler.value.status }).wait() else { continue }
            status.nodes += part.nodes
            status.storedPeers += part.storedPeers
            status.ownHosts += part.ownHosts
        }
        return status
    }

    /// Closes the ports, and keeps what is known. Blocks for a moment.
    package func stop() {
        // On the loop before the ports close, so while there are handlers.
        each { $0.save() }
        let channels = state.withLock { state in
            state.isStopped = true
            defer { (state.channels, state.handlers) = ([], []) }
            return state.channels
        }
        for channel in channels { try? channel.close().wait() }
        try? group.syncShutdownGracefully()
    }

    // MARK: Where to begin

    /// Looks up the names of nodes that are asked first, and tells the handlers; on a thread for it, since a resolver takes its time.
    private func resolve() {
        let isNew = state.withLock { state in
            if state.isResolving || state.isStopped { return false }
            state.isResolving = true
            return true
        }
        guard isNew else { return }
        do throws(ThreadError) {
            try SystemThread.start(name: "bootstrap", stackSize: 1 << 20) { [weak self, options, logger] in
                var places: [NodeAddress] = []
                for place in options.bootstrap {
                    let found = TableService.addresses(of: place)
                    if found.isEmpty { logger.warning("\(place), where the table of nodes is to begin, has no address") }
                    places += found
                }
                self?.state.withLock { $0.isResolving = false }
                self?.each { [places] in $0.begin(at: places) }
            }
        } catch {
            state.withLock { $0.isResolving = false }
        }
    }

    private static func addresses(of place: Endpoint) -> [NodeAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = SystemSocket.streamType
        var first: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(place.host, String(place.port), &hints, &first) == 0 else { return [] }
        defer { freeaddrinfo(first) }
        var found: [NodeAddress] = []
        var next = first
        while let entry = next?.pointee {
            next = entry.ai_next
            guard let address = entry.ai_addr else { continue }
            let host: [UInt8] =
                switch entry.ai_family {
                case AF_INET:
                    address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { withUnsafeBytes(of: $0.pointee.sin_addr) { Array($0) } }
                case AF_INET6:
                    address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                        withUnsafeBytes(of: $0.pointee.sin6_addr) { Array($0) }
                    }
                default: []
                }
            if let node = NodeAddress(host: host, port: place.port) { found.append(node) }
        }
        return found
    }
}
