import Logging
import Node

/// A worker in this process that can be ended and begun again at its port.
actor LocalWorker {
    private(set) var port = 0
    private var task: Task<Void, any Error>?
    private var worker: Worker?
    private let memory: Int
    private let devices: [String]

    private static let quiet = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }

    /// - Parameters:
    ///   - memory: bytes of the processor's memory that it lends.
    ///   - devices: what it lends, in this order; empty for the processor.
    init(memory: Int = 256 << 20, devices: [String] = []) {
        self.memory = memory
        self.devices = devices
    }

    /// Bytes that each device lends at this moment.
    var memoryLent: [Int] { worker?.status.devices.map(\.memoryLent) ?? [] }

    var sessionCount: Int { worker?.status.sessions ?? 0 }
    var address: String { "127.0.0.1:\(port)" }
    var isRunning: Bool { task != nil }

    func start(grace: Double = 0) throws {
        if task != nil { return }
        var options = WorkerOptions()
        options.port = port
        options.threads = 1
        options.devices = devices
        options.limits.memory = memory
        options.graceSeconds = grace
        let worker = try Worker(options, logger: LocalWorker.quiet)
        port = worker.port
        self.worker = worker
        task = Task { try await worker.run() }
    }

    func stop() async {
        let ending = task
        ending?.cancel()
        _ = await ending?.result
        task = nil
        worker = nil
    }
}
