/// Something that runs graphs: this machine's processor, a worker at the other end of a socket.
///
/// `prepare` once, `run` often: a prepared plan has its kernels chosen, its memory laid out and its work split, so that
/// a run of it does none of that. Calls block the calling thread until done; never make them from a task of the
/// concurrency runtime's cooperative pool. A backend serialises its own runs.
public protocol Backend: AnyObject, Sendable {
    /// For people: `CPU (AVX-512)`, `RPC 127.0.0.1:50052`.
    var name: String { get }

    /// Where in a buffer tensors may begin: a power of two.
    var alignment: Int { get }

    /// Bytes of one buffer at most.
    var largestBuffer: Int { get }

    /// What whoever uses it should know, whichever it is.
    var traits: BackendTraits { get }

    /// Memory as it stands now.
    func memory() throws(BackendError) -> DeviceMemory

    /// Memory of the backend's own, zeroed.
    func allocate(byteCount: Int) throws(BackendError) -> any Buffer

    /// Has weights ready for graphs, which may only read them: where they are if the backend can reach them there, else brought
    /// over. Blocks until all are there.
    ///
    /// - Parameters:
    ///   - isInVain: asked now and then whether to give up; nothing is left of the load then.
    ///   - progress: told now and then how far it has come, and at the end.
    /// - Returns: where each tensor is, in their order.
    /// - Throws: `outOfMemory`, `invalidArgument` for a content of another size than its tensor, `connection`, `cancelled` when it
    ///   was given up.
    func load(
        _ tensors: [TensorUpload], isInVain: @escaping @Sendable () -> Bool, progress: @escaping @Sendable (TransferProgress) -> Void
    ) throws(BackendError) -> [LoadedTensor]

    /// Another backend on the same device, for another user: neither can use the other's buffers and plans, and while one computes a
    /// long graph the other gets its turns.
    ///
    /// - Throws: `outOfMemory`; `unsupported` by devices that have one user.
    func makeLane() throws(BackendError) -> any Backend

    /// Whether ``prepare(_:)`` would accept this tensor as a node of `graph`.
    func supports(_ id: TensorID, of graph: Graph) -> Bool

    /// Checks the graph whole and makes it ready to run.
    ///
    /// Every check of sizes, extents, types and parameters happens here; nothing after it can fail for them.
    func prepare(_ graph: Graph) throws(BackendError) -> any Plan

    /// Sets memory aside for the graphs' own tensors, so that preparing plans of up to so many bytes needs no other.
    func reserve(computeByteCount: Int) throws(BackendError)

    /// Bytes of the memory that plans' own tensors are in by turns: whatever is prepared next takes it over.
    func computeByteCount() throws(BackendError) -> Int

    /// Writes inputs, computes the plan, reads results: one exchange.
    func run(_ step: Step) throws(BackendError)

    /// For loading, and for cache contents that outlive steps.
    func write(_ bytes: UnsafeRawBufferPointer, to buffer: any Buffer, at byteOffset: Int) throws(BackendError)

    /// The counterpart of ``write(_:to:at:)``.
    func read(_ buffer: any Buffer, at byteOffset: Int, into bytes: UnsafeMutableRawBufferPointer) throws(BackendError)

    /// Stops the graph that runs, and every later one: whoever wanted them is gone. Callable from any thread.
    func cancel()
}

extension Backend {
    /// Where nothing else is said, a buffer may take all memory.
    public var largestBuffer: Int { .max }

    /// In this process, beside all others.
    public var traits: BackendTraits { BackendTraits() }

    /// Where memory is found as it is needed, nothing is set aside.
    public func reserve(computeByteCount: Int) throws(BackendError) {}

    /// Where each plan has memory of its own, none is left for the next.
    public func computeByteCount() throws(BackendError) -> Int { 0 }

    /// Where runs cannot be stopped, they end by themselves.
    public func cancel() {}

    /// Most devices elsewhere have a connection to each user instead.
    public func makeLane() throws(BackendError) -> any Backend { throw BackendError(.unsupported, "\(name) has one user") }

    /// Loads without being given up, or telling anybody.
    public func load(_ tensors: [TensorUpload]) throws(BackendError) -> [LoadedTensor] {
        try load(tensors, isInVain: { false }, progress: { _ in })
    }
}

/// What a backend is like, for those who decide what is done where.
public struct BackendTraits: Hashable, Sendable {
    /// Whether it is elsewhere: what goes in and out of a step crosses a wire, and graphs that repeat save much.
    public var isFar: Bool
    /// Backends of the same queue run one after another; nil for one that waits for no other.
    public var queue: ObjectIdentifier?

    public init(isFar: Bool = false, queue: ObjectIdentifier? = nil) {
        self.isFar = isFar
        self.queue = queue
    }
}

/// Bytes a device has, and has left.
public struct DeviceMemory: Hashable, Sendable {
    public var free: Int
    public var total: Int
    /// Bytes of buffers and plans that the device's users in this process have, as far as it counts them.
    public var lent: Int

    public init(free: Int, total: Int, lent: Int = 0) {
        self.free = free
        self.total = total
        self.lent = lent
    }
}

/// A graph made ready by a backend. Only that backend can run it.
public protocol Plan: AnyObject, Sendable {
    /// Bytes set aside for the graph's own tensors.
    var computeByteCount: Int { get }
}

/// One exchange with a backend: writes, then the plan, then reads.
///
/// Pointers need to be valid only during ``Backend/run(_:)``.
public struct Step {
    public struct Write {
        public var tensor: TensorID
        public var byteOffset: Int
        public var bytes: UnsafeRawBufferPointer

        public init(tensor: TensorID, byteOffset: Int = 0, bytes: UnsafeRawBufferPointer) {
            self.tensor = tensor
            self.byteOffset = byteOffset
            self.bytes = bytes
        }
    }

    public struct Read {
        public var tensor: TensorID
        public var byteOffset: Int
        public var bytes: UnsafeMutableRawBufferPointer

        public init(tensor: TensorID, byteOffset: Int = 0, into bytes: UnsafeMutableRawBufferPointer) {
            self.tensor = tensor
            self.byteOffset = byteOffset
            self.bytes = bytes
        }
    }

    public var writes: [Write]
    public var plan: any Plan
    public var reads: [Read]

    public init(writes: [Write] = [], plan: any Plan, reads: [Read] = []) {
        self.writes = writes
        self.plan = plan
        self.reads = reads
    }
}

/// Why a backend did not do what was asked.
public struct BackendError: Error, CustomStringConvertible {
    public enum Code: Hashable, Sendable {
        /// The graph is malformed, or names memory outside of its buffers.
        case invalidGraph
        /// The backend has no kernel for an operation with these types.
        case unsupported
        /// A buffer, plan or pointer range does not fit: wrong backend, out of bounds.
        case invalidArgument
        /// Not enough memory.
        case outOfMemory
        /// An index in tensor data lies outside of what it indexes; found while computing.
        case indexOutOfRange
        /// The graph would take longer than one may.
        case tooMuchWork
        /// The work was stopped by request, or because it took longer than it may.
        case cancelled
        /// The connection to a remote backend is gone.
        case connection
    }

    public var code: Code
    /// The tensor it happened at, where there is one.
    public var tensor: String?
    public var message: String

    public init(_ code: Code, tensor: String? = nil, _ message: String) {
        self.code = code
        self.tensor = tensor
        self.message = message
    }

    public init(_ error: GraphError) {
        self.init(.invalidGraph, tensor: error.tensor, error.message)
    }

    public var description: String {
        tensor.map { "tensor \"\($0)\": \(message)" } ?? message
    }
}
