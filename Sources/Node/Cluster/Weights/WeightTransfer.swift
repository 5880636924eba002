internal import Base
internal import Foundation
internal import GGUF
internal import Model
internal import NodeEngine
internal import RPCProto
internal import Synchronization
internal import Tensor

/// Brings a model's weights to the servers that are to have them: to up to sixteen at the same time, telling how far it is.
struct WeightTransfer {
    /// What one device of a server takes.
    struct Consignment: Sendable {
        var device: Int
        var tensors: [TensorUpload]
        /// At which of them another buffer begins.
        var apart: Set<Int> = []
    }

    /// What came of a server: its connection, which is a new one if the first was lost on the way, and where things are.
    struct Delivery: Sendable {
        var connection: ServerConnection
        /// By consignment.
        var places: [[LoadedTensor]]
    }

    /// Why a server could not be served, and at which of its consignments.
    struct Failure: Error {
        var error: BackendError
        var consignment: Int
    }

    /// Attempts at one server. Those after the first send only what the server does not have in its cache.
    static let attempts = 3

    private let progress: Progress
    private let isPatient: Bool
    private let terms: Terms

    /// How each consignment is brought.
    private struct Terms: Sendable {
        var hashes: ContentHashes
        var fillsCaches: Bool
        var isInVain: @Sendable () -> Bool
        var onAllocated: Allocated
    }

    /// Told of memory that a device has given, by the server's place in the list, the device's number, and bytes.
    typealias Allocated = @Sendable (_ server: Int, _ device: Int, _ byteCount: Int) -> Void

    /// - Parameter isPatient: connect again to a server that is lost, and once one is lost for good, end all others' transfers too;
    ///   else each has one attempt, whatever becomes of the others.
    /// - Parameter fillsCaches: see ``RPCBackend/load(_:apart:hashes:fillsCaches:isInVain:onAllocated:progress:)``.
    /// - Parameter isInVain: asked now and then whether to give up.
    /// - Parameter onAllocated: called on the transfers' threads, once for each consignment.
    init(
        _ report: @escaping LoadProgress.Report, from start: Double, to end: Double, isPatient: Bool, hashes: ContentHashes, fillsCaches: Bool,
        isInVain: @escaping @Sendable () -> Bool = { false }, onAllocated: @escaping Allocated = { _, _, _ in }
    ) {
        progress = Progress(report, start, end)
        self.isPatient = isPatient
        terms = Terms(hashes: hashes, fillsCaches: fillsCaches, isInVain: isInVain, onAllocated: onAllocated)
    }

    /// - Parameter servers: each with what it is to get, all of them different.
    /// - Returns: what came of each, in their order; nil where it was ended because another failed.
    func deliver(_ servers: [(connection: ServerConnection, consignments: [Consignment])]) -> [Result<Delivery, Failure>?] {
        let (progress, isPatient, terms) = (progress, isPatient, terms)
        progress.begin(servers.map { $0.consignments.reduce(0) { $0 + $1.tensors.reduce(0) { $0 + $1.content.bytes.count } } })
        let connections = ConnectionList(servers.map(\.connection))
        let numbered = servers.enumerated().map {
            (number: $0.offset, connection: $0.element.connection, consignments: $0.element.consignments)
        }
        return Parallel.map(numbered) { server -> Result<Delivery, Failure>? in
            let outcome = Result { () throws(Failure) in
                try WeightTransfer.deliver(
                    server.consignments, over: server.connection, connections, server.number,
                    attempts: isPatient ? WeightTransfer.attempts : 1, terms
                ) {
                    progress.tell(server.number, done: $0, sent: $1)
                }
            }
            // What else is under way is in vain, and its end no news.
            if case .failure = outcome, isPatient, !connections.closeAll() { return nil }
            return outcome
        }
    }

    private static func deliver(
        _ consignments: [Consignment], over first: ServerConnection, _ connections: ConnectionList, _ number: Int, attempts: Int,
        _ terms: Terms, progress: @escaping @Sendable (_ done: Int, _ sent: Int) -> Void
    ) throws(Failure) -> Delivery {
        var connection = first
        var attempt = 1
        while true {
            var places: [[LoadedTensor]] = []
            do throws(BackendError) {
                var before = (done: 0, sent: 0)
                for consignment in consignments {
                    if terms.isInVain() { throw BackendError(.cancelled, "the transfer was given up") }
                    let isFirst = attempt == 1
                    let base = before
                    let last = Mutex(base)
                    places.append(
                        try connection.devices[consignment.device].load(
                            consignment.tensors, apart: consignment.apart, hashes: terms.hashes, fillsCaches: terms.fillsCaches,
                            isInVain: terms.isInVain,
                            onAllocated: { if isFirst { terms.onAllocated(number, consignment.device, $0) } }
                        ) { part in
                            let sum = (done: base.done + part.done, sent: base.sent + part.sent)
                            last.withLock { $0 = sum }
                            progress(sum.done, sum.sent)
                        })
                    before = last.withLock { $0 }
                }
                return Delivery(connection: connection, places: places)
            } catch {
                // One that says nothing any more has had its time.
                guard error.code == .connection, attempt < attempts, !connection.wasSilent else {
                    throw Failure(error: error, consignment: places.count)
                }
                attempt += 1
                // Its buffers went with the connection; its cache did not.
                connection.close()
                do throws(BackendError) {
                    connection = try reconnect(first, connections)
                } catch {
                    throw Failure(error: error, consignment: places.count)
                }
                connections.replace(number, connection)
            }
        }
    }

    /// A new connection in the place of a lost one.
    private static func reconnect(_ lost: ServerConnection, _ connections: ConnectionList) throws(BackendError) -> ServerConnection {
        let end = ContinuousClock.now + patience
        while true {
            Thread.sleep(forTimeInterval: pause)
            do throws(BackendError) {
                let connection = try ServerConnection.connect(to: lost.endpoint, limits: lost.limits)
                let (count, expected) = (connection.devices.count, lost.devices.count)
                if count == expected { return connection }
                throw BackendError(.invalidArgument, "\(lost.endpoint): came back with \(count) devices instead of \(expected)")
            } catch {
                guard error.code == .connection, ContinuousClock.now < end, !connections.isClosed else { throw error }
            }
        }
    }

    /// Seconds before each attempt to connect again.
    private static let pause = 1.0
    /// For so long: a worker that is started again needs some time.
    private static let patience = Duration.seconds(20)

    /// The connections of all transfers, so that one that fails for good can end the others.
    private final class ConnectionList: Sendable {
        private let state: Mutex<(connections: [ServerConnection], isClosed: Bool)>

        init(_ connections: [ServerConnection]) { state = Mutex((connections, false)) }

        var isClosed: Bool { state.withLock { $0.isClosed } }

        func replace(_ number: Int, _ connection: ServerConnection) {
            let isLate = state.withLock { state in
                state.connections[number] = connection
                return state.isClosed
            }
            if isLate { connection.close() }
        }

        /// Returns false if all were closed already.
        func closeAll() -> Bool {
            let open: [ServerConnection]? = state.withLock { state in
                defer { state.isClosed = true }
                return state.isClosed ? nil : state.connections
            }
            for connection in open ?? [] { connection.close() }
            return open != nil
        }
    }

    /// The transfers to all servers as one.
    private final class Progress: Sendable {
        private struct State {
            var totals: [Int] = []
            var done: [Int] = []
            var sent: [Int] = []
            var start = ContinuousClock.now
        }

        private let state = Mutex(State())
        private let report: LoadProgress.Report
        private let start: Double
        private let end: Double

        init(_ report: @escaping LoadProgress.Report, _ start: Double, _ end: Double) {
            self.report = report
            self.start = start
            self.end = end
        }

        func begin(_ totals: [Int]) {
            let none = [Int](repeating: 0, count: totals.count)
            state.withLock { $0 = State(totals: totals, done: none, sent: none) }
        }

        func tell(_ server: Int, done: Int, sent: Int) {
            let (done, sent, total, seconds) = state.withLock { state in
                state.done[server] = done
                state.sent[server] = sent
                let elapsed = ContinuousClock.now - state.start
                return (state.done.reduce(0, +), state.sent.reduce(0, +), state.totals.reduce(0, +), elapsed / .seconds(1))
            }
            let fraction = total > 0 ? Double(done) / Double(total) : 1
            let rate = seconds > 0.1 ? ", \(Int(Double(sent) / seconds) >> 20) MiB/s" : ""
            let kept = done > sent ? ", \((done - sent) >> 20) MiB were there already" : ""
            report(
                LoadProgress(
                    stage: "sending weights: \(done >> 20) of \(total >> 20) MiB\(rate)\(kept)", fraction: start + (end - start) * fraction)
            )
        }
    }
}
