internal import Tensor

/// What a connection knows of one of its server's devices: used by whoever holds the connection's lock, but for the
/// constants.
final class RemoteDevice: @unchecked Sendable {
    // Sendable: see above.

    /// Alignments above this are taken for mistakes.
    static let alignmentLimit: UInt64 = 1 << 20

    let number: UInt32
    let alignment: Int
    /// Bytes of one buffer at most.
    let largestBuffer: Int
    /// Whether parts of any tensor can be written by themselves. Some servers of others' rearrange what is quantized, which
    /// they can only do with all of it.
    let takesParts: Bool

    /// Memory on the server.
    struct Memory: Sendable {
        var handle: UInt64
        /// The address of its first byte.
        var base: UInt64
        var byteCount: Int
    }

    /// Where the plans' own tensors lie: all share it, since one plan runs at a time.
    private var compute: (memory: Memory, generation: UInt64)?
    private var generations: UInt64 = 0
    /// What steps take.
    var forecast = StepForecast()
    private var kept = KeptGraphs()
    private var allocationSizes: [AllocationQuestion: Int] = [:]

    /// - Parameter largestBuffer: as the server says it.
    init(number: UInt32, alignment: Int, largestBuffer: UInt64) {
        self.number = number
        self.alignment = alignment
        self.largestBuffer = Int(clamping: largestBuffer)
        takesParts = largestBuffer == Session.largestBuffer
    }

    // MARK: Memory

    /// New memory, zeroed where that is wanted.
    func allocate(_ byteCount: Int, zeroed: Bool, _ pipeline: RequestPipeline) throws(BackendError) -> Memory {
        let (memories, fault) = try allocate([byteCount], zeroed: zeroed, pipeline)
        guard let memory = memories.first else { throw fault ?? BackendError(.outOfMemory, "\(pipeline.endpoint) has no room") }
        return memory
    }

    /// New memory in several buffers, in two round trips for all of them.
    ///
    /// - Returns: what there is room for, and what is wrong if that is not all.
    func allocate(
        _ byteCounts: [Int], zeroed: Bool, _ pipeline: RequestPipeline
    ) throws(BackendError) -> (memories: [Memory], fault: BackendError?) {
        let place = "\(pipeline.endpoint) device \(number)"
        for byteCount in byteCounts {
            if byteCount < 0 { return ([], BackendError(.invalidArgument, "a buffer of \(byteCount) bytes")) }
            guard byteCount > largestBuffer else { continue }
            return ([], BackendError(.outOfMemory, "\(place) has buffers of at most \(largestBuffer) bytes, not \(byteCount)"))
        }
        // A buffer of nothing has no address.
        let sizes = byteCounts.map { max($0, alignment) }
        for size in sizes { pipeline.ask(.allocateBuffer(device: number, byteCount: UInt64(size))) }
        try pipeline.flush()
        var granted: [(handle: UInt64, byteCount: UInt64, index: Int)] = []
        var fault: BackendError?
        for (index, size) in sizes.enumerated() {
            guard case .buffer(let handle, let count) = try pipeline.answer(to: .allocateBuffer) else {
                throw pipeline.failure(.allocateBuffer, "the answer is no buffer")
            }
            if handle == 0 {
                fault = fault ?? BackendError(.outOfMemory, "\(place) has no room for \(size) bytes")
                continue
            }
            guard count >= UInt64(size) else {
                throw pipeline.failure(.allocateBuffer, "gives \(count) bytes instead of \(size)")
            }
            granted.append((handle, count, index))
        }
        for (handle, _, _) in granted { pipeline.ask(.getBase(buffer: handle)) }
        // Not confirmed in most versions: whatever comes next waits for it.
        if zeroed {
            for (handle, _, index) in granted { pipeline.ask(.clearBuffer(buffer: handle, value: 0), workByteCount: sizes[index]) }
        }
        try pipeline.flush()
        var memories: [Memory] = []
        for (handle, count, index) in granted {
            let base = try pipeline.number(answering: .getBase)
            guard base > 0, base % UInt64(alignment) == 0, !base.addingReportingOverflow(count).overflow else {
                throw pipeline.failure(.getBase, "a buffer of \(count) bytes cannot be at \(base), aligned to \(alignment)")
            }
            memories.append(Memory(handle: handle, base: base, byteCount: byteCounts[index]))
        }
        return (memories, fault)
    }

    /// The compute memory, of at least so many bytes, and which one it is: everything planned for another has to be moved.
    func computeMemory(
        atLeast byteCount: Int, _ pipeline: RequestPipeline
    ) throws(BackendError) -> (memory: Memory, generation: UInt64) {
        if let compute, compute.memory.byteCount >= byteCount { return compute }
        // Freed first: what plans leave in it is nobody's, and there may be no room for both.
        if let old = compute?.memory.handle {
            compute = nil
            pipeline.ask(.freeBuffer(buffer: old))
        }
        let memory = try allocate(byteCount, zeroed: false, pipeline)
        generations += 1
        compute = (memory, generations)
        return (memory, generations)
    }

    /// Bytes of the compute memory, which the next plans take over.
    var computeByteCount: Int { compute?.memory.byteCount ?? 0 }

    // MARK: Graphs

    /// Adds what makes the server compute a plan's graph: its number, where the server still has it, or all of it.
    func compute(_ plan: RPCPlan, _ pipeline: RequestPipeline) {
        if kept.has(plan, pipeline.graphEpoch) {
            pipeline.add(UnsafeRawBufferPointer(plan.recompute.bytes))
            return pipeline.note(.recomputeGraph)
        }
        let number = kept.number(for: plan, pipeline)
        plan.setGraphNumber(number)
        pipeline.add(UnsafeRawBufferPointer(plan.message.bytes))
        pipeline.note(.computeGraph)
    }

    // MARK: Sizes

    /// Makes the server say what it wants to have allocated for tensors, those it was asked before left out.
    ///
    /// - Parameter questions: each with the tensor's own size, which is the least.
    /// - Returns: bytes, in the order of the questions.
    func allocationSizes(
        _ questions: [(question: AllocationQuestion, request: Request, byteCount: Int)], _ pipeline: RequestPipeline
    ) throws(BackendError) -> [Int] {
        if allocationSizes.count > RemoteDevice.keptSizeCount { allocationSizes.removeAll() }
        var open: [AllocationQuestion: Request] = [:]
        var order: [AllocationQuestion] = []
        for (question, request, _) in questions where allocationSizes[question] == nil && open[question] == nil {
            open[question] = request
            order.append(question)
        }
        // Some at a time: neither side's socket is to fill while both write.
        for start in stride(from: 0, to: order.count, by: RemoteDevice.window) {
            let part = order[start..<min(order.count, start + RemoteDevice.window)]
            for question in part {
                if let request = open[question] { pipeline.ask(request) }
            }
            try pipeline.flush()
            for question in part {
                let size = try pipeline.number(answering: .getAllocationSize)
                guard size <= RemoteDevice.sizeLimit else {
                    throw pipeline.failure(.getAllocationSize, "\(size) bytes for one tensor")
                }
                allocationSizes[question] = Int(size)
            }
        }
        return questions.map { max(allocationSizes[$0.question] ?? 0, $0.byteCount) }
    }

    /// Questions of a few kilobytes that are asked before the first answer is taken.
    static let window = 32
    /// Sizes remembered at most; then they are asked for anew.
    private static let keptSizeCount = 8192
    /// Sizes above this are no sizes.
    static let sizeLimit: UInt64 = 1 << 48
}

/// What a tensor's allocated size may depend on. Stock clients leave the sources out, and can, because they ask about their
/// largest graph first; some servers set more aside for longer sources.
struct AllocationQuestion: Hashable {
    struct Source: Hashable {
        var type: UInt32
        var extents: SIMD4<UInt32>
        var strides: SIMD4<UInt32>

        init(_ record: TensorRecord) {
            type = record.type
            extents = record.extents
            strides = record.strides
        }
    }

    var type: ElementType
    var operation: UInt32
    var parameters: OperationTable.Slots
    var shape: Shape
    var strides: Strides
    var sources: [Source] = []
}
