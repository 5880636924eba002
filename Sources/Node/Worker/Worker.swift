internal import Base
internal import Kernels
public import Logging
package import RPCProto
public import ServiceLifecycle
internal import Synchronization
internal import Tensor

/// Serves this machine's devices to clients of ggml's RPC: stock llama.cpp heads, and this program's.
///
/// Every connection is a session on a thread of its own; sessions take turns on the devices and know nothing of each
/// other's memory. What a client asks for wrongly ends its session, with a line in the log, and nothing else.
public final class Worker: Service {
    /// The port that clients connect to, also where 0 asked for a free one.
    public let port: Int
    /// Where clients connect to, as `host:port`.
    public var addresses: [String] {
        var seen = Set<String>()
        return entrances.filter { !$0.isProven }.map { WorkerOptions.address($0.host, $0.door.port) }.filter { seen.insert($0).inserted }
    }
    /// What the worker does at this moment.
    public var status: WorkerStatus { WorkerStatus(connections, devices, cache) }

    /// A place where clients connect, and the version that is spoken there.
    private struct Entrance {
        let host: String
        let door: any Door
        let dialect: Dialect

        /// Whether whoever comes in has proven who it is.
        var isProven: Bool { !(door is SocketListener) }
    }

    private let options: WorkerOptions
    /// In the order of the numbers that clients know them by.
    private let devices: [OpenDevice]
    private let threadCount: Int
    private let cache: TensorCache?
    private let entrances: [Entrance]
    private let sessionOptions: SessionOptions
    private let connections: WorkerConnections
    private let watch: WorkerWatch
    private let statusLine: WorkerStatusLine
    private let cacheLine: CacheLine
    private let complaints: ComplaintLog
    private let logger: Logger

    /// Listens, so that clients can connect; ``run()`` serves them.
    ///
    /// - Throws: if an address cannot be listened on, the kernels cannot run here or the cache cannot be made.
    public convenience init(_ options: WorkerOptions, logger: Logger) throws {
        try self.init(options, doors: [], logger: logger)
    }

    /// - Parameter doors: where clients come in beside the addresses that the options name, which may be none then. Whoever has come in
    ///   by one has proven who it is, so no list of addresses holds there.
    package init(_ options: WorkerOptions, doors: [any Door], logger: Logger) throws {
        guard options.isLoopback || !options.allowed.isEmpty || !options.allowsCollectives else {
            throw WorkerError("collectives have clients tell this worker where to connect: name the machines that may take part (--allow)")
        }
        var options = options
        // `::` takes IPv4 clients too.
        if options.hosts.contains("::") { options.hosts.removeAll { $0 == "0.0.0.0" } }
        threadCount = options.threads ?? DeviceDescription.availableCoreCount()
        devices = try Worker.devices(options, threads: threadCount)
        cache = try Worker.cache(options)
        entrances = try Worker.listen(options) + doors.map { Entrance(host: "tunnels", door: $0, dialect: .newest) }
        port = entrances.first?.door.port ?? options.port
        var sessionOptions = SessionOptions()
        sessionOptions.graphByteCount = options.limits.graphByteCount
        sessionOptions.keptGraphByteCount = options.limits.keptGraphByteCount
        sessionOptions.keptGraphAllowance = ByteAllowance(2 * options.limits.keptGraphByteCount)
        sessionOptions.bufferCount = options.limits.buffers
        sessionOptions.cache = cache
        sessionOptions.hasLifeLines = true
        sessionOptions.workerNumber = .random(in: 1...UInt64.max)
        sessionOptions.collectives = options.collectives(port: port)
        let connections = WorkerConnections(options.limits)
        sessionOptions.isLeaving = { connections.isDraining }
        self.sessionOptions = sessionOptions
        self.connections = connections
        watch = WorkerWatch(connections, options.limits)
        statusLine = WorkerStatusLine(period: options.statusSeconds, logger: logger)
        cacheLine = CacheLine(logger)
        complaints = ComplaintLog(logger)
        self.options = options
        self.logger = logger
    }

    private static func cache(_ options: WorkerOptions) throws -> TensorCache? {
        guard let folder = options.cacheFolder else { return nil }
        do {
            return try TensorCache(folder: folder, limits: TensorCacheLimits(byteCount: options.cacheByteCount))
        } catch {
            throw WorkerError("the cache's folder '\(folder)' cannot be used: \(error)")
        }
    }

    private static func devices(_ options: WorkerOptions, threads: Int) throws -> [OpenDevice] {
        var variant: KernelVariant?
        if let name = options.variant {
            guard let known = KernelVariant(rawValue: name) else {
                let names = KernelVariant.allCases.map(\.rawValue).joined(separator: ", ")
                throw WorkerError("there are no kernels '\(name)'; there are: \(names)")
            }
            variant = known
        }
        var limits = CPUBackend.Limits()
        limits.memory = options.limits.memory
        limits.refusesOvercommitment = true
        limits.graphSeconds = options.limits.graphSeconds
        let devices: [LocalDevice]
        do throws(BackendError) {
            devices = try LocalDevices.named(options.devices)
        } catch {
            throw WorkerError(error.message)
        }
        return try LocalDevices.open(devices, DeviceSettings(variant: variant, threads: threads, limits: limits))
    }

    private static func listen(_ options: WorkerOptions) throws -> [Entrance] {
        var entrances: [Entrance] = []
        for (port, dialect) in [(options.port, options.dialect)] + options.otherPorts.map({ ($0.port, $0.dialect) }) {
            var port = port
            for host in options.hosts {
                do throws(StreamError) {
                    let listeners = try SocketListener.listen(host: host, port: port)
                    // A port that was free here is to be the same at every address.
                    port = listeners.first?.port ?? port
                    entrances += listeners.map { Entrance(host: host, door: $0, dialect: dialect) }
                } catch {
                    throw ListeningError(host: host, port: port, reason: error.message)
                }
            }
        }
        return entrances
    }

    /// Serves until the surrounding service group stops. Then requests under way may finish for the grace period, and
    /// what is left is broken off.
    ///
    /// - Throws: if the system has no threads for it.
    public func run() async throws {
        do throws(ThreadError) {
            for entrance in entrances { try SystemThread.start(name: "accept", stackSize: 1 << 20) { [self] in accept(entrance) } }
            try watch.start { [self] in
                statusLine.show(status)
                if let cache { cacheLine.show(cache.obstacle, in: cache.folder) }
            }
        } catch {
            await stop()
            throw error
        }
        // Also where the surrounding task is cancelled: nothing must go on serving.
        try? await gracefulShutdown()
        await stop()
    }

    /// Takes no more clients, lets requests under way finish and heads move away for the grace period, and ends what is left.
    public func stop() async {
        for entrance in entrances { entrance.door.stop() }
        connections.drain()
        let (connections, grace, cache) = (connections, options.graceSeconds, cache)
        // A task of its own: in one that is cancelled nothing can be waited for.
        await Task {
            let deadline = ContinuousClock.now + .seconds(grace)
            while connections.count > 0, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(20)) }
            connections.endAll("the worker stops")
            // Moments, for sessions to leave the pieces that they are in.
            for _ in 0..<200 where connections.count > 0 { try? await Task.sleep(for: .milliseconds(10)) }
            // And some for the disk. What it does not take in time is left out.
            for _ in 0..<500 where cache?.statistics.waitingByteCount ?? 0 > 0 { try? await Task.sleep(for: .milliseconds(10)) }
        }.value
        watch.stop()
    }

    /// Ends the sessions of clients that have proven to be one of these.
    package func endSessions(with identities: Set<String>, _ reason: String) {
        for connection in connections.live.values where connection.stream.identity.map(identities.contains) ?? false {
            connection.end(reason)
        }
    }

    /// For people: version, devices, limits.
    public var summary: String {
        let versions = Set(entrances.map(\.dialect)).sorted { $0.version > $1.version }.map { "\($0.version)" }
        var lines = ["swiftlet worker \(Version.current), ggml RPC \(versions.joined(separator: ", "))"]
        lines += deviceTexts { "\($0.free >> 20) MiB free of \($0.total >> 20) MiB" }.map { "  " + $0 }
        if let cache { lines.append("  cache: \(cache.folder), at most \(cache.limits.byteCount >> 20) MiB") }
        return lines.joined(separator: "\n")
    }

    /// For people: what there is, one each, as long as the worker runs.
    package var deviceTexts: [String] { deviceTexts { "\($0.total >> 20) MiB" } }

    private func deviceTexts(_ text: (DeviceMemory) -> String) -> [String] {
        let threads = "\(threadCount) thread\(threadCount == 1 ? "" : "s")"
        return devices.map { device in
            let memory = (try? device.backend.memory()) ?? DeviceMemory(free: 0, total: 0)
            return "\(device.name): \(device.backend.name), \(threads), \(text(memory))"
        }
    }

    private func accept(_ entrance: Entrance) {
        var rest = AcceptingRest()
        while true {
            do throws(StreamError) {
                guard let stream = try entrance.door.accept() else { return }
                serve(stream, entrance.dialect)
            } catch {
                // Out of descriptors, most likely: sessions that end give some back.
                if rest.isNews() { complaints.note(.warning, "\(error); more connections wait until others end") }
                SystemThread.sleep(for: AcceptingRest.time)
            }
        }
    }

    private func serve(_ stream: SocketStream, _ dialect: Dialect) {
        guard stream.identity != nil || options.isAllowed(stream.address) else { return turnAway(stream, "it is not among those allowed") }
        guard let lanes = try? devices.map({ try $0.backend.makeLane() }) else {
            return turnAway(stream, "there is no memory for another session")
        }
        let connection = WorkerConnections.Connection(stream, SessionActivity(), lanes)
        let number: Int
        switch connections.add(connection) {
        case .served(let given): number = given
        case .turnedAway(let reason):
            complaints.note(.warning, "\(stream.peer) turned away: \(reason)")
            return stream.interrupt()
        }
        stream.keepAlive(within: options.limits.keepAliveSeconds)
        do throws(ThreadError) {
            try SystemThread.start(name: "session \(number)", stackSize: 1 << 20) { [self] in
                logger.debug("\(stream.peer) connected")
                let end = converse(connection, dialect)
                connection.releaseDevices()
                // At once, not when the thread's last reference goes: the peer waits for it.
                stream.interrupt()
                connections.remove(number, end)
                report(end, connection)
            }
        } catch {
            connection.end("there is no thread for it")
            connections.remove(number, .closed)
            complaints.note(.warning, "\(stream.peer) turned away: \(error)")
        }
    }

    private func turnAway(_ stream: SocketStream, _ reason: String) {
        connections.countTurnedAway()
        complaints.note(.warning, "\(stream.peer) turned away: \(reason)")
        stream.interrupt()
    }

    /// One session, whose memory is back when this returns.
    private func converse(_ connection: WorkerConnections.Connection, _ dialect: Dialect) -> SessionEnd {
        let stream = connection.stream
        var options = sessionOptions
        // What one client stored is served to no other: ggml's names for contents can be forged. Who has proven who it is stays
        // the same wherever it comes from.
        options.cacheScope = stream.identity ?? stream.address?.description ?? stream.peer
        let session = Session(
            devices: connection.devices, options: options, dialect: dialect, activity: connection.activity,
            interruption: connection.interruption)
        return session.serve(stream)
    }

    private func report(_ end: SessionEnd, _ connection: WorkerConnections.Connection) {
        let peer = connection.stream.peer
        // How the connection beside it ends is what is worth telling.
        if connection.activity.isLifeLine { return logger.debug("\(peer) ended its life line: \(end)") }
        let did = "\(connection.activity.requestCount) requests, \(connection.activity.graphCount) graphs"
        if let reason = connection.endReason {
            complaints.note(.warning, "\(peer): connection closed after \(did): \(reason)")
            return
        }
        switch end {
        case .closed: logger.debug("\(peer) closed after \(did)")
        case .refused(let error): complaints.note(.warning, "\(peer): connection closed: \(error)")
        // Probes of load balancers and scanners that asked nothing: counted (`sessions_lost_total`), and no news.
        case .lost(let error) where connection.activity.requestCount == 0: logger.debug("\(peer) lost before it asked anything: \(error)")
        case .lost(let error): complaints.note(.info, "\(peer) lost after \(did): \(error)")
        }
    }
}
