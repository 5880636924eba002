internal import Foundation
internal import Kernels
public import Logging
internal import RPCProto
public import ServiceLifecycle
internal import Synchronization
internal import Tensor

/// Serves this machine's processor to clients of ggml's RPC: stock llama.cpp heads, and this program's.
///
/// Every connection is a session on a thread of its own; sessions share the processor, one graph at a time, and know
/// nothing of each other's memory. What a client asks for wrongly ends its session, with a line in the log, and nothing
/// else.
public final class Worker: Service {
    /// The devices that workers on this machine can offer.
    public static let deviceNames = ["CPU"]

    /// What clients connect to: the host as given, and the port, also where 0 asked for a free one.
    public var host: String { options.host }
    public var port: Int { listener.port }

    private let options: WorkerOptions
    private let backend: CPUBackend
    private let listener: SocketListener
    private let sessionOptions: SessionOptions
    private let connections = ConnectionList()
    private let logger: Logger

    /// Listens, so that clients can connect; ``run()`` serves them.
    ///
    /// - Throws: if the address cannot be listened on, the kernels cannot run here or the cache cannot be made.
    public init(_ options: WorkerOptions, logger: Logger) throws {
        for name in options.devices where !Worker.deviceNames.contains(name) {
            throw WorkerError("there is no device '\(name)' here; there is: \(Worker.deviceNames.joined(separator: ", "))")
        }
        var variant: KernelVariant?
        if let name = options.variant {
            guard let known = KernelVariant(rawValue: name) else {
                let names = KernelVariant.allCases.map(\.rawValue).joined(separator: ", ")
                throw WorkerError("there are no kernels '\(name)'; there are: \(names)")
            }
            variant = known
        }
        backend = try CPUBackend(variant: variant, threads: options.threads ?? DeviceListing.coreCount)
        var sessionOptions = SessionOptions()
        if let folder = options.cacheFolder {
            do {
                sessionOptions.cache = try TensorCache(folder: folder)
            } catch {
                throw WorkerError("the cache's folder '\(folder)' cannot be made: \(error.localizedDescription)")
            }
        }
        self.sessionOptions = sessionOptions
        do throws(StreamError) {
            listener = try SocketListener(host: options.host, port: options.port)
        } catch {
            throw ListeningError(host: options.host, port: options.port, reason: error.message)
        }
        self.options = options
        self.logger = logger
    }

    /// Serves until the surrounding service group stops, then ends all sessions and returns.
    public func run() async throws {
        let accepting = Thread { [self] in accept() }
        accepting.name = "worker"
        accepting.start()
        try await gracefulShutdown()
        stop()
    }

    /// Takes no more clients and ends the sessions that there are.
    public func stop() {
        listener.stop()
        connections.interruptAll()
    }

    /// For people: version, address, devices.
    public var summary: String {
        var lines = ["swiftlet worker \(Version.current), ggml RPC \(OperationTable.newest.version)"]
        let memory = (try? backend.memory()) ?? DeviceMemory(free: 0, total: 0)
        lines.append("  CPU: \(backend.name), \(backend.threadCount) threads, \(memory.free >> 20) MiB free of \(memory.total >> 20) MiB")
        if let cache = sessionOptions.cache { lines.append("  cache: \(cache.folder)") }
        return lines.joined(separator: "\n")
    }

    private func accept() {
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

    private func serve(_ stream: SocketStream) {
        guard let number = connections.add(stream) else { return stream.interrupt() }
        let thread = Thread { [self] in
            let session = Session(devices: [backend], options: sessionOptions)
            logger.debug("\(stream.peer) connected")
            let end = session.serve(stream)
            // At once, not when the thread's last reference goes: the peer waits for it.
            stream.interrupt()
            connections.remove(number)
            report(end, stream.peer, session.statistics)
        }
        thread.name = "session"
        thread.stackSize = 1 << 20
        thread.start()
    }

    private func report(_ end: SessionEnd, _ peer: String, _ statistics: SessionStatistics) {
        let did = "\(statistics.requestCount) requests, \(statistics.graphCount) graphs"
        switch end {
        case .closed: logger.debug("\(peer) closed after \(did)")
        case .refused(let error): logger.warning("\(peer): connection closed: \(error)")
        case .lost(let error): logger.info("\(peer) lost after \(did): \(error)")
        }
    }
}

/// The connections being served, so that stopping can end them.
private final class ConnectionList: Sendable {
    private struct State {
        var streams: [Int: SocketStream] = [:]
        var next = 0
        var isStopped = false
    }

    private let state = Mutex(State())

    /// Nil once stopped.
    func add(_ stream: SocketStream) -> Int? {
        state.withLock { state in
            if state.isStopped { return nil }
            state.next += 1
            state.streams[state.next] = stream
            return state.next
        }
    }

    func remove(_ number: Int) {
        state.withLock { _ = $0.streams.removeValue(forKey: number) }
    }

    func interruptAll() {
        state.withLock { state in
            state.isStopped = true
            for stream in state.streams.values { stream.interrupt() }
        }
    }
}
