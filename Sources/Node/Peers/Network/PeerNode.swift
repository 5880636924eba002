package import Base
internal import Foundation
package import Logging
internal import NodeCluster
package import RPCProto
internal import Synchronization

/// A program's whole part in a network of peers: its key, where it takes tunnels, what it announces, and whom it finds.
package final class PeerNode: Sendable {
    package let settings: PeersSettings
    package let role: NodeCard.Role
    package let network: PeerNetwork
    /// Where tunnels come in; nil for one that only looks.
    package let door: TunnelDoor?
    package let revocations: RevocationList
    private let keyFile: NodeKeyFile?
    private let keys: NetworkKeys
    private let logger: Logger
    private let devices: Devices
    private let announcing: Announcing
    private let browser = Mutex<ServiceBrowser?>(nil)
    private let table = Mutex<TableDiscovery?>(nil)
    private let mapping = Mapping()
    /// Where the table's state is kept.
    /// Where this node waits to be called; nil for one that nobody calls.
    private let attendance: Attendance?

    /// What is announced at present.
    private final class Announcing: Sendable {
        private let announcer = Mutex<ServiceAnnouncer?>(nil)

        func begin(_ new: ServiceAnnouncer) { announcer.withLock { $0 = new } }

        /// Takes it back, which may take a moment.
        func end() {
            let last = announcer.withLock { announcer in
                defer { announcer = nil }
                return announcer
            }
            last?.stop()
        }
    }

    /// What the node's card says of its devices: known only when they are open.
    private final class Devices: Sendable {
        private let texts = Mutex<[String]>([])

        var value: [String] {
            get { texts.withLock { $0 } }
            set { texts.withLock { $0 = newValue } }
        }
    }

    /// Makes ready; ``start()`` begins.
    ///
    /// - Parameters:
    ///   - refusal: why a node is not let in for a purpose; nil if it is. That it is revoked is seen to here.
    ///   - receiver: what takes streams in the place of a worker (``TunnelDoor/House/receiver``).
    /// - Throws: ``NodeKeyError``, ``TunnelError``, `NoHomeError`, or a ``StreamError`` for a port that cannot be listened on.
    package init(
        _ settings: PeersSettings, _ role: NodeCard.Role, environment: [String: String],
        refusal: @escaping @Sendable (NodeCard, TunnelGreeting.Purpose) -> String? = { _, _ in nil },
        receiver: (@Sendable (NodeCard) throws(TunnelError) -> @Sendable (SocketStream) -> Void)? = nil, logger: Logger
    ) throws {
        self.settings = settings
        self.role = role
        self.logger = logger
        keys = settings.token.keys(networkID: settings.networkID)
        // One that only looks is nobody that others would know again.
        keyFile = role == .visitor ? nil : try NodeKeyFile(folder: UserFolders(environment).state("peers"), role: role.rawValue)
        let key = keyFile?.key ?? NodeKey()
        let credentials = try TunnelCredentials(keys, key)
        let list = RevocationList(path: try RevocationList.path(tag: keys.tag, environment: environment)) { logger.warning("\($0)") }
        // Who cannot know who was put out lets nobody in.
        try list.load()
        revocations = list
        let devices = Devices()
        self.devices = devices
        let relays = settings.relays
        let ownCard: @Sendable () -> NodeCard = { [id = key.id, name = settings.name] in
            NodeCard(id: id, name: name, role: role, devices: devices.value, relays: relays)
        }
        let announcing = Announcing()
        self.announcing = announcing
        let kept = KeptRevocations(list: list, logger: logger)
        let network = PeerNetwork(credentials, ownCard: ownCard, kept, logger: logger)
        self.network = network
        guard role != .visitor else {
            door = nil
            attendance = nil
            return
        }
        let guests = Guests()
        var house = TunnelDoor.House(
            ownCard: ownCard,
            refusal: { card, purpose in
                if kept.contains(card.id) { return "it is revoked" }
                if purpose == .reach || purpose == .punch, !relays { return "this node joins nobody with others (--relay)" }
                return refusal(card, purpose)
            },
            revoked: { kept.ids },
            noteGuest: { card, revoked in
                network.noteRevoked(revoked, from: card)
                guests.note(card.id)
            })
        house.receiver = receiver
        house.desk = relays || role == .head ? network.desk : nil
        house.onStop = {
            announcing.end()
            guests.stop()
        }
        let door = try PeerNode.door(settings, credentials, house, RefusalLog(logger))
        self.door = door
        attendance = role == .head ? nil : Attendance(network, door, logger: logger)
        guests.attendance.withLock { [attendance] in $0 = { [weak attendance] in attendance } }
    }

    /// Those who connect to this node, as ``Attendance`` is told of them, which comes after the door and holds it.
    private final class Guests: Sendable {
        let attendance = Mutex<@Sendable () -> Attendance?>({ nil })

        func note(_ id: String) { attendance.withLock { $0 }()?.noteGuest(id) }
        func stop() { attendance.withLock { $0 }()?.stop() }
    }

    /// At every address, unless one is named: of both families where there are both.
    private static func door(
        _ settings: PeersSettings, _ credentials: TunnelCredentials, _ house: TunnelDoor.House, _ refusals: RefusalLog
    ) throws(ListeningError) -> TunnelDoor {
        let hosts = settings.host.map { [$0] } ?? ["::", "0.0.0.0"]
        var last: ListeningError?
        for host in hosts {
            do throws(StreamError) {
                return try TunnelDoor(host: host, port: settings.port, credentials, house, refusals)
            } catch {
                last = ListeningError(host: host, port: settings.port, reason: error.message, option: "--p2p-port")
                if error.code == .addressInUse { break }
            }
        }
        throw last ?? ListeningError(host: "::", port: settings.port, reason: "there is no address", option: "--p2p-port")
    }

    package var id: String { network.credentials.node.id }
    package var tag: String { keys.tag }

    /// What this node says of its devices, a line each.
    package func setDevices(_ texts: [String]) { devices.value = texts }

    /// Lets others in, announces this node and looks for others. Without multicast it goes on with the nodes that were named, and says so.
    ///
    /// - Throws: if the system has no threads for it.
    package func start() throws(ThreadError) {
        try door?.start()
        try network.begin()
        try attendance?.begin()
        for peer in settings.peers { network.name(peer) }
        if settings.usesMDNS { startMulticast() }
        if settings.mapsPort, let door { mapping.begin(door.port, logger) }
        if let bootstrap = settings.bootstrap { startTable(bootstrap) }
    }

    /// What the router lets in.
    private final class Mapping: Sendable {
        private struct State {
            var mapper: PortMapper?
            var external: Endpoint?
        }

        private let state = Mutex(State())

        /// Where tunnels come in from outside; nil while that is nowhere.
        var external: Endpoint? { state.withLock { $0.external } }

        func begin(_ port: Int, _ logger: Logger) {
            let port = UInt16(clamping: port)
            do throws(MappingError) {
                let mapper = try PortMapper([MappedPort(.tcp, inside: port, outside: port)]) { [weak self] change in
                    switch change {
                    case .mapped(let mapping, let method):
                        let place = mapping.external(.tcp)
                        self?.state.withLock { $0.external = place }
                        logger.notice("the router lets tunnels in at \(place.map { "\($0)" } ?? "no port"), by \(method)")
                    case .failed(let error):
                        self?.state.withLock { $0.external = nil }
                        logger.warning("the router lets nothing in: \(error)")
                    }
                }
                state.withLock { $0.mapper = mapper }
            } catch {
                logger.warning("the router is not asked to let tunnels in: \(error)")
            }
        }

        /// Takes back what was granted, which may take a moment.
        func end() {
            let mapper = state.withLock { state in
                defer { state.mapper = nil }
                return state.mapper
            }
            mapper?.stop()
            mapper?.join()
        }
    }

    /// Looks for others, and can be found, across the internet.
    private func startTable(_ bootstrap: [Endpoint]) {
        var options = TableService.Options(bootstrap: bootstrap)
        options.port = door == nil ? 0 : settings.port
        options.host = settings.host
        // Two programs of one user are two nodes of the table.
        options.savedAt = keyFile.map { "\($0.path.dropLast(4)).table" }
        options.isReadOnly = door == nil
        let (network, door, logger) = (network, door, logger)
        let service = TableService(options, logger: logger) { _, place in
            if place.port == door?.port, OwnAddresses.current().contains(place) { return }
            network.suggest(place)
        }
        let keys = RendezvousKeys(keys, interval: settings.token.discovery.interval)
        // The router may have another port for it.
        let table = TableDiscovery(service, keys, network, ownPort: { [mapping] in mapping.external?.port ?? door?.port }, logger: logger)
        do {
            try table.begin()
            self.table.withLock { $0 = table }
        } catch {
            logger.warning("other machines are not found across the internet: \(error)")
        }
    }

    private func startMulticast() {
        let (keys, network, logger, door) = (keys, network, logger, door)
        do throws(DiscoveryError) {
            let browser = try ServiceBrowser(
                ServiceFilter(keys), onCondition: PeerNode.teller(logger),
                onChange: { change in
                    switch change {
                    case .found(let record):
                        let source = PeerTable.Source.record(PeerNode.name(of: record.key))
                        guard let announcement = Announcement(record.text, port: record.port, keys) else { return network.unhint(source) }
                        let own = OwnAddresses.current()
                        let routes = record.endpoints.filter { $0.port != door?.port || !own.contains($0) }
                        network.hint(source, id: announcement.id, routes)
                    case .gone(let key): network.unhint(.record(PeerNode.name(of: key)))
                    }
                })
            self.browser.withLock { $0 = browser }
            guard let door else { return }
            let announcer = try ServiceAnnouncer(
                name: InstanceNames(keys).name(of: settings.name, id: id), port: door.port,
                text: Announcement(id: id, role: role, port: door.port).text(keys, program: Version.current))
            announcing.begin(announcer)
        } catch {
            logger.warning("other machines are not found by themselves: \(error). Name them with --p2p-peer HOST:PORT meanwhile.")
        }
    }

    private static func name(of key: ServiceKey) -> String { "\(key.name)\u{0}\(key.domain)\u{0}\(key.interface)" }

    /// What tells of changes, not of each attempt.
    private static func teller(_ logger: Logger) -> @Sendable (ServiceBrowser.Condition) -> Void {
        let last = LastCondition()
        return { condition in
            guard last.isNews(condition) else { return }
            switch condition {
            case .browsing: logger.info("looking for others by multicast")
            case .interrupted(let error):
                logger.warning("others are not found by multicast at present, which is tried again: \(error)")
            }
        }
    }

    private final class LastCondition: Sendable {
        private let last = Mutex<ServiceBrowser.Condition?>(nil)

        func isNews(_ condition: ServiceBrowser.Condition) -> Bool {
            last.withLock { last in
                defer { last = condition }
                return last != condition
            }
        }
    }

    /// Takes back what was announced, and looks for nobody any more. Tunnels that are open stay.
    package func stop() {
        announcing.end()
        let browser = browser.withLock { browser in
            defer { browser = nil }
            return browser
        }
        browser?.stop()
        let table = table.withLock { table in
            defer { table = nil }
            return table
        }
        table?.stop()
        mapping.end()
        attendance?.stop()
        network.end()
        door?.stop()
        network.desk.endAll()
    }

    /// Something that is said once.
    private final class OnceFlag: Sendable {
        private let isSet = Mutex(false)

        /// - Returns: whether it was not set before.
        func set() -> Bool {
            isSet.withLock { isSet in
                defer { isSet = true }
                return !isSet
            }
        }
    }

    /// The list on disk, as the network asks it.
    private struct KeptRevocations: Revocations {
        let list: RevocationList
        let logger: Logger
        /// Whether it was told that there is no room for what others say.
        private let isFullTold = OnceFlag()

        init(list: RevocationList, logger: Logger) {
            self.list = list
            self.logger = logger
        }

        func contains(_ id: String) -> Bool { list.contains(id) }
        var ids: [String] { Array(list.ids) }

        /// Half of the list is for what other nodes say, so that none of them can keep this machine's owner from adding to it.
        func merge(_ ids: [String], from node: NodeCard) -> Bool {
            let known = list.ids
            let new = Set(ids).subtracting(known)
            if new.isEmpty { return false }
            let taken = new.sorted().prefix(max(0, RevocationList.limit / 2 - known.count))
            if taken.count < new.count, isFullTold.set() {
                logger.warning(
                    "the list of revoked nodes has no room for more of what others say, as \(node.label) does: look at \(list.path)")
            }
            if taken.isEmpty { return false }
            do throws(RevocationError) {
                guard try list.merge(taken) > 0 else { return false }
            } catch {
                if isFullTold.set() { logger.warning("what another node knows of revoked ones cannot be kept: \(error)") }
                return false
            }
            let rest = taken.count > 3 ? " and \(taken.count - 3) more" : ""
            logger.warning("revoked, as \(node.label) says: \(taken.prefix(3).joined(separator: ", "))\(rest)")
            return true
        }
    }
}
