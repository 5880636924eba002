import Kernels
import Tensor

/// A processor's backend in whose buffers every access outside shows, and which counts what it is asked.
final class WatchedBackend: Backend, @unchecked Sendable {
    // Sendable: used by one session at a time, on one thread.

    private struct Placed {
        weak var buffer: CPUBuffer?
    }

    struct Counts {
        /// Nodes of graphs that were whole enough to be prepared.
        var asked = 0
        var accepted = 0
        /// In runs that ended without a fault, recomputations among them.
        var computed = 0
    }

    private final class Watched: Plan {
        let plan: any Plan
        let kinds: [OperationKind]
        var computeByteCount: Int { plan.computeByteCount }

        init(_ plan: any Plan, _ kinds: [OperationKind]) {
            self.plan = plan
            self.kinds = kinds
        }
    }

    private let processor: CPUBackend
    /// The lane of the session that is being held, as each connection of a worker has one.
    private var cpu: CPUBackend
    /// Bytes of one buffer at most.
    private let limit: Int
    private var placed: [Placed] = []
    private(set) var counts: [OperationKind: Counts] = [:]
    /// Graphs refused since they would take too long, and graphs stopped since they did.
    private(set) var tooMuchCount = 0
    private(set) var stoppedCount = 0
    /// Set where a run wrote around a buffer.
    private(set) var violation: String?

    /// Whether each graph is printed before it is prepared.
    var describesGraphs = false

    init(_ cpu: CPUBackend, bufferLimit: Int) {
        processor = cpu
        self.cpu = cpu
        limit = bufferLimit
    }

    /// Before each session.
    func beginSession() throws(BackendError) {
        cpu = try processor.lane()
        placed.removeAll(keepingCapacity: true)
    }

    var name: String { cpu.name }
    var alignment: Int { cpu.alignment }

    func memory() throws(BackendError) -> DeviceMemory { DeviceMemory(free: 1 << 30, total: 1 << 31) }

    func allocate(byteCount: Int) throws(BackendError) -> any Buffer {
        guard byteCount <= limit else { throw BackendError(.outOfMemory, "more than \(limit) bytes") }
        let buffer = try cpu.allocateGuarded(byteCount: byteCount)
        placed.removeAll { $0.buffer == nil }
        placed.append(Placed(buffer: buffer))
        return buffer
    }

    func supports(_ id: TensorID, of graph: Graph) -> Bool { cpu.supports(id, of: graph) }

    func prepare(_ graph: Graph) throws(BackendError) -> any Plan {
        if describesGraphs { describe(graph) }
        let kinds = graph.nodes.map { graph[$0].operation.kind }
        for kind in kinds { counts[kind, default: Counts()].asked += 1 }
        let plan: any Plan
        do throws(BackendError) {
            plan = try cpu.prepare(graph)
        } catch {
            if error.code == .tooMuchWork { tooMuchCount += 1 }
            throw error
        }
        for kind in kinds { counts[kind, default: Counts()].accepted += 1 }
        return Watched(plan, kinds)
    }

    func run(_ step: Step) throws(BackendError) {
        guard let watched = step.plan as? Watched else { throw BackendError(.invalidArgument, "another's plan") }
        defer { checkPadding("computing \(watched.kinds.map(\.rawValue))") }
        do throws(BackendError) {
            try cpu.run(Step(writes: step.writes, plan: watched.plan, reads: step.reads))
        } catch {
            if error.code == .cancelled { stoppedCount += 1 }
            throw error
        }
        for kind in watched.kinds { counts[kind, default: Counts()].computed += 1 }
    }

    func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError) {
        try cpu.write(bytes, to: buffer, at: byteOffset)
    }

    func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError) {
        try cpu.read(buffer, at: byteOffset, into: bytes)
    }

    /// Notes if anything was written around the buffers there are.
    func checkPadding(_ after: String) {
        for place in placed where violation == nil {
            if let buffer = place.buffer, !buffer.isPaddingUntouched {
                violation = "the memory around a buffer of \(buffer.byteCount) bytes was written after \(after)"
            }
        }
    }

    private func describe(_ graph: Graph) {
        for id in graph.nodes {
            let node = graph[id]
            let all = [node] + node.sources.compactMap { $0.map { graph[$0] } }
            print("\(node.operation)")
            for tensor in all {
                guard case .placed(let buffer, let offset) = tensor.storage else { continue }
                let place = placed.firstIndex { $0.buffer === buffer } ?? -1
                print(
                    "  \(tensor.type.name) \(tensor.shape) strides \(tensor.strides), buffer \(place) of \(buffer.byteCount) bytes at \(offset)"
                )
            }
        }
    }
}
