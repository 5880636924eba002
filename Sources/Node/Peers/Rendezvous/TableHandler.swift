internal import DHT
internal import Foundation
internal import Logging
internal import NIOCore
internal import RPCProto

/// One family's node of a distributed hash table at its socket: brings datagrams and time to ``TableNode``, and does what that says. On its
/// event loop alone.
final class TableHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>

    private var node: TableNode
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?
    private var announced: Set<[UInt8]> = []
    private var sought: [[UInt8]] = []
    private var lastSaving = ContinuousClock.now
    private let start = ContinuousClock.now
    private let path: String?
    private let logger: Logger
    private let wantsPlaces: @Sendable () -> Void
    private let found: @Sendable (_ key: [UInt8], _ place: Endpoint) -> Void
    private let ended: @Sendable (_ key: [UInt8]) -> Void

    /// Between two times that what is known is kept.
    private static let savingPeriod = Duration.seconds(300)
    /// Bytes of a file that are read.
    private static let largestFile = 64 << 10

    init(
        _ options: TableNode.Options, savedAt path: String?, logger: Logger, wantsPlaces: @escaping @Sendable () -> Void,
        found: @escaping @Sendable (_ key: [UInt8], _ place: Endpoint) -> Void, ended: @escaping @Sendable (_ key: [UInt8]) -> Void
    ) {
        self.ended = ended
        self.path = path
        self.logger = logger
        self.wantsPlaces = wantsPlaces
        self.found = found
        var saved: [UInt8]?
        if let path, let file = FileHandle(forReadingAtPath: path) {
            saved = (try? file.read(upToCount: TableHandler.largestFile)).map { Array($0) }
        }
        node = TableNode(options, saved: saved)
    }

    private var now: TableNode.Time { ContinuousClock.now - start }

    // MARK: What is asked of it

    func begin(at places: [NodeAddress]) {
        node.begin(at: places, now: now)
        perform()
    }

    func announce(_ keys: [[UInt8]], port: Int) {
        for key in announced.subtracting(keys) { NodeNumber(key).map { node.withdraw($0) } }
        for key in keys { NodeNumber(key).map { node.announce($0, port: port, at: now) } }
        announced = Set(keys)
        perform()
    }

    func look(for keys: [[UInt8]]) {
        sought = keys
        for key in keys { NodeNumber(key).map { node.look(for: $0, at: now) } }
        perform()
    }

    var status: TableService.Status {
        var status = TableService.Status()
        status.nodes = node.goodCount(at: now)
        status.storedPeers = node.storedPeerCount
        if let host = node.ownHost { status.ownHosts = [NetworkAddress(bytes: host).map { "\($0)" } ?? ""] }
        return status
    }

    /// Keeps what is known.
    func save() {
        lastSaving = .now
        guard let path, node.nodeCount > 0 else { return }
        do {
            try Data(node.saved).write(to: URL(fileURLWithPath: path), options: .atomic)
        } catch {
            logger.debug("what is known of the table cannot be kept: \(error.localizedDescription)")
        }
    }

    // MARK: What happens

    func channelActive(context: ChannelHandlerContext) {
        self.context = context
        perform()
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        self.context = nil
        logger.debug("table: the port is closed")
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let address = NodeAddress(envelope.remoteAddress) else { return }
        node.receive(Array(envelope.data.readableBytesView), from: address, at: now)
        perform()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // As where somebody has no port there (ICMP): the question stays without an answer.
        logger.trace("table: \(error)")
    }

    private func tick() {
        node.tick(at: now)
        if ContinuousClock.now - lastSaving >= TableHandler.savingPeriod { save() }
        perform()
    }

    private func perform() {
        guard let context else { return }
        var hasSent = false
        var hasBegun = false
        for effect in node.takeEffects() {
            switch effect {
            case .send(let bytes, let address):
                guard let remote = try? SocketAddress(packedIPAddress: ByteBuffer(bytes: address.host), port: Int(address.port)) else {
                    break
                }
                context.write(wrapOutboundOut(AddressedEnvelope(remoteAddress: remote, data: ByteBuffer(bytes: bytes))), promise: nil)
                hasSent = true
            case .found(let key, let places):
                for place in places {
                    guard let host = NetworkAddress(bytes: place.host) else { continue }
                    found(key.bytes, Endpoint(host: "\(host)", port: Int(place.port)))
                }
            case .ended(let key, let answers):
                logger.trace("table: a search for \(key) has ended, \(answers) nodes have answered")
                ended(key.bytes)
            case .wantsPlaces: wantsPlaces()
            case .hasBegun:
                for key in sought { NodeNumber(key).map { node.look(for: $0, at: now) } }
                hasBegun = true
            }
        }
        if hasSent { context.flush() }
        // What comes of that.
        if hasBegun { return perform() }
        timer?.cancel()
        let pause = max(.milliseconds(10), node.nextTime - now)
        let loopBound = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: TimeAmount(pause)) { loopBound.value.tick() }
    }
}

extension NodeAddress {
    /// Nil for what is no address of the internet.
    fileprivate init?(_ address: SocketAddress) {
        switch address {
        case .v4(let address):
            var host = address.address.sin_addr
            self.init(host: withUnsafeBytes(of: &host) { Array($0) }, port: Int(UInt16(bigEndian: address.address.sin_port)))
        case .v6(let address):
            var host = address.address.sin6_addr
            self.init(host: withUnsafeBytes(of: &host) { Array($0) }, port: Int(UInt16(bigEndian: address.address.sin6_port)))
        case .unixDomainSocket: return nil
        }
    }
}
