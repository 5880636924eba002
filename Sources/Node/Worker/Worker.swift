internal import Foundation
internal import Kernels
public import Logging
internal import RPCProto
public import ServiceLifecycle
internal import Synchronization
internal import Tensor

/// Serves this machine's processor to clients of ggml's RPC: stock llama.cpp heads, and this program's.
///
/// Every connection is a session on a thread of its own; sessions take turns on the processor and know nothing of each
/// other's memory. What a client asks for wrongly ends its session, with a line in the log, and nothing else.
public final class Worker: Service {
    /// The devices that workers on this machine can offer.
    public static let deviceNames = ["CPU"]

    /// The port that clients connect to, also where 0 asked for a free one.
    public let port: Int
    /// Where clients connect to, as `host:port`.
    public var addresses: [String] { options.hosts.map { WorkerOptions.address($0, port) } }
    /// What the worker does at this moment.
    public var status: WorkerStatus { WorkerStatus(connections, backend, cache) }

    private let options: WorkerOptions
    private let backend: CPUBackend
    private let cache: TensorCache?
    private let listeners: [SocketListener]
    private let sessionOptions: SessionOptions
    private let connections: WorkerConnections
    private let watch: WorkerWatch
    private let statusLine: WorkerStatusLine
    private let logger: Logger

    /// Listens, so that clients can connect; ``run()`` serves them.
    ///
    /// - Throws: if an address cannot be listened on, the kernels cannot run here or the cache cannot be made.
    public init(_ options: WorkerOptions, logger: Logger) throws {
        for name in options.devices where !Worker.deviceNames.contains(name) {
            throw WorkerError("there is no device '\(name)' here; there is: \(Worker.deviceNames.joined(separator: ", "))")
        }
        backend = try Worker.processor(options)
        var sessionOptions = SessionOptions()
        sessionOptions.graphByteCount = options.limits.graphByteCount
        sessionOptions.keptGraphByteCount = options.limits.keptGraphByteCount
        sessionOptions.bufferCount = options.limits.buffers
        if let folder = options.cacheFolder {
            do {
                sessionOptions.cache = try TensorCache(
                    folder: folder, limits: TensorCacheLimits(byteCount: options.cacheByteCount))
            } catch {
                throw WorkerError("the cache's folder '\(folder)' cannot be used: \(error)")
            }
        }
        cache = sessionOptions.cache
        self.sessionOptions = sessionOptions
        var options = options
        // `::` takes IPv4 clients too.
        if options.hosts.contains("::") { options.hosts.removeAll { $0 == "0.0.0.0" } }
        listeners = try Worker.listen(options)
        port = listeners.first?.port ?? options.port
        connections = WorkerConnections(limit: options.limits.connections)
        watch = WorkerWatch(connections, options.limits)
        statusLine = WorkerStatusLine(period: options.statusSeconds, logger: logger)
        self.options = options
        self.logger = logger
    }

    private static func processor(_ options: WorkerOptions) throws -> CPUBackend {
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
        return try CPUBackend(variant: variant, threads: options.threads ?? DeviceListing.coreCount, limits: limits)
    }

    private static func listen(_ options: WorkerOptions) throws -> [SocketListener] {
        var listeners: [SocketListener] = []
        for host in options.hosts {
            do throws(StreamError) {
                listeners += try SocketListener.listen(host: host, port: listeners.first?.port ?? options.port)
            } catch {
                throw ListeningError(host: host, port: options.port, reason: error.message)
            }
        }
        return listeners
    }

    /// Serves until the surrounding service group stops. Then requests under way may finish for the grace period, and
    /// what is left is broken off.
    public func run() async throws {
        for listener in listeners {
            let accepting = Thread { [self] in accept(listener) }
            accepting.name = "worker"
            accepting.start()
        }
        watch.start { [self] in statusLine.show(status) }
        try await gracefulShutdown()
        await stop()
    }

    /// Takes no more clients, lets requests under way finish for the grace period, and ends what is left.
    public func stop() async {
        for listener in listeners { listener.stop() }
        connections.drain()
        let deadline = ContinuousClock.now + .seconds(options.graceSeconds)
        while connections.count > 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
        connections.endAll("the worker stops")
        // Moments, for sessions to leave the pieces that they are in.
        for _ in 0..<200 where connections.count > 0 { try? await Task.sleep(for: .milliseconds(10)) }
        watch.stop()
    }

    /// For people: version, devices, limits.
    public var summary: String {
        var lines = ["swiftlet worker \(Version.current), ggml RPC \(OperationTable.newest.version)"]
        let memory = (try? backend.memory()) ?? DeviceMemory(free: 0, total: 0)
        lines.append("  CPU: \(backend.name), \(backend.threadCount) threads, \(memory.free >> 20) MiB free of \(memory.total >> 20) MiB")
        if let cache { lines.append("  cache: \(cache.folder), at most \(cache.limits.byteCount >> 20) MiB") }
        return lines.joined(separator: "\n")
    }

    private func accept(_ listener: SocketListener) {
        while true {
            do throws(StreamError) {
                guard let stream = try listener.accept() else { return }
                serve(stream)
            } catch {
                // Out of descriptors, most likely: sessions that end give some back.
                logger.warning("\(error)")
                Thread.sleep(forTimeInterval: 0.1)
            }
        }
    }

    private func isAllowed(_ address: NetworkAddress?) -> Bool {
        if options.allowed.isEmpty { return true }
        guard let address else { return false }
        return options.allowed.contains { $0.contains(address) }
    }

    private func serve(_ stream: SocketStream) {
        guard isAllowed(stream.address) else {
            connections.countTurnedAway()
            logger.notice("\(stream.peer) turned away: not among those allowed")
            return stream.interrupt()
        }
        guard let lane = try? backend.lane() else {
            connections.countTurnedAway()
            logger.warning("\(stream.peer) turned away: no memory for another session")
            return stream.interrupt()
        }
        let connection = WorkerConnections.Connection(stream, SessionActivity(), [lane])
        guard let number = connections.add(connection) else {
            logger.warning("\(stream.peer) turned away: there are \(options.limits.connections) connections")
            return stream.interrupt()
        }
        stream.keepAlive(within: options.limits.keepAliveSeconds)
        let thread = Thread { [self] in
            logger.debug("\(stream.peer) connected")
            var options = sessionOptions
            // What one machine stored is served to no other: ggml's names for contents can be forged.
            options.cacheScope = stream.address?.description ?? stream.peer
            let end = Session(devices: connection.devices, options: options, activity: connection.activity).serve(stream)
            // Its memory is back by now. At once, not when the thread's last reference goes: the peer waits for it.
            stream.interrupt()
            connections.remove(number, end)
            report(end, connection)
        }
        thread.name = "session"
        thread.stackSize = 1 << 20
        thread.start()
    }

    private func report(_ end: SessionEnd, _ connection: WorkerConnections.Connection) {
        let peer = connection.stream.peer
        let did = "\(connection.activity.requestCount) requests, \(connection.activity.graphCount) graphs"
        if let reason = connection.endReason {
            logger.warning("\(peer): connection closed after \(did): \(reason)")
            return
        }
        switch end {
        case .closed: logger.debug("\(peer) closed after \(did)")
        case .refused(let error): logger.warning("\(peer): connection closed: \(error)")
        case .lost(let error): logger.info("\(peer) lost after \(did): \(error)")
        }
    }
}
