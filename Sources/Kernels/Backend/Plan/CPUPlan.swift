public import Tensor

/// A graph made ready for one ``CPUBackend``: its sections in order, with every pointer resolved.
public final class CPUPlan: Plan, @unchecked Sendable {
    // Sendable: immutable after `init`, but for how far a section has come, which only a run changes. Sections hold
    // pointers into memory that `backend`, `buffers` and `storage` keep, and are run only under the backend's lock.

    public let computeByteCount: Int

    let backend: CPUBackend
    let graph: Graph
    let operands: [Operand?]
    let sections: [Section]
    /// Whether any section is for more than one thread.
    let sharesWork: Bool
    /// Bytes of each thread's own memory.
    let scratchByteCount: Int
    /// Bytes that the plan itself takes, as the ledger knows.
    private let planByteCount: Int
    /// Pointer tables and small constants of the sections.
    private let storage: PlanStorage

    /// How often the threads meet in a run.
    package var sharedSectionCount: Int { sections.lazy.filter { !$0.isSerial }.count }
    package var sectionCount: Int { sections.count }

    init(
        backend: CPUBackend, graph: Graph, operands: [Operand?], sections: [Section], storage: PlanStorage,
        computeByteCount: Int, scratchByteCount: Int, planByteCount: Int
    ) {
        self.backend = backend
        self.graph = graph
        self.operands = operands
        self.sections = sections
        sharesWork = sections.contains { !$0.isSerial }
        self.storage = storage
        self.computeByteCount = computeByteCount
        self.scratchByteCount = scratchByteCount
        self.planByteCount = planByteCount
    }

    deinit { backend.processor.ledger.giveBack(planByteCount) }

    /// The memory of a part of a tensor, for a step's writes and reads.
    func range(of id: TensorID, at byteOffset: Int, count: Int, writing: Bool) throws(BackendError) -> UnsafeMutableRawPointer {
        guard id.index >= 0, id.index < operands.count else {
            throw BackendError(.invalidArgument, "the plan has no tensor \(id.index)")
        }
        let tensor = graph[id]
        guard let operand = operands[id.index] else {
            throw BackendError(.invalidArgument, tensor: tensor.name, "nothing computes or reads this tensor")
        }
        guard byteOffset >= 0, count >= 0, count <= operand.extent, byteOffset <= operand.extent - count else {
            let message = "\(count) bytes at \(byteOffset) leave its \(operand.extent) bytes"
            throw BackendError(.invalidArgument, tensor: tensor.name, message)
        }
        if writing {
            guard operand.isWritable else {
                throw BackendError(.invalidArgument, tensor: tensor.name, "its buffer is read-only")
            }
        }
        let root = graph[graph.root(of: id)]
        if case .planned = root.storage, case .planned = tensor.storage {
            if writing, root.operation != .none {
                throw BackendError(.invalidArgument, tensor: tensor.name, "it is computed, so it cannot be written")
            }
            if !writing, !root.flags.contains(.output), !tensor.flags.contains(.output) {
                let message = "it is not marked as an output, so its memory may have been used again"
                throw BackendError(.invalidArgument, tensor: tensor.name, message)
            }
        }
        return operand.base + byteOffset
    }
}

/// Memory that a plan's steps refer to and that goes with the plan.
final class PlanStorage {
    private var blocks: [UnsafeMutableRawPointer] = []
    private(set) var byteCount = 0

    deinit {
        for block in blocks { block.deallocate() }
    }

    func table<Element: BitwiseCopyable>(_ values: [Element]) -> UnsafeMutablePointer<Element> {
        let stride = MemoryLayout<Element>.stride
        let size = max(64, values.count * stride)
        let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        byteCount += size
        blocks.append(block)
        let table = block.bindMemory(to: Element.self, capacity: values.count)
        table.initialize(from: values, count: values.count)
        return table
    }
}
