/// A graph made ready by a ``SplitBackend``.
final class SplitPlan: Plan {
    enum Content: Sendable {
        /// All of it on the primary, which changes these bytes of buffers.
        case whole(any Plan, [BufferBytes])
        case cut(CutGraph)
    }

    let owner: SplitBackend
    let graph: Graph
    let content: Content

    init(_ owner: SplitBackend, _ graph: Graph, _ content: Content) {
        self.owner = owner
        self.graph = graph
        self.content = content
    }

    /// Of the primary's memory: its parts run one after another.
    var computeByteCount: Int {
        switch content {
        case .whole(let plan, _): plan.computeByteCount
        case .cut(let cut): cut.parts.lazy.filter(\.isOnPrimary).map(\.plan.computeByteCount).max() ?? 0
        }
    }
}

/// Plans for the runs of a graph, in order, and what goes between them.
struct CutGraph: Sendable {
    struct Part: Sendable {
        var plan: any Plan
        var isOnPrimary: Bool
        var passages: Passages
        /// Of the fallback's: what of buffers it works on.
        var needs: [Need]
        /// Of the primary's: what of buffers it changes.
        var changes: [BufferBytes]
    }

    /// What a part of the fallback's needs of a buffer.
    struct Need: Sendable {
        var buffer: SplitBuffer
        var copy: FallbackCopy
        /// Bytes of the buffer that must be in the copy before.
        var read = RangeSet<Int>()
        /// Bytes that must be in the buffer afterwards.
        var changed = RangeSet<Int>()
    }

    /// Where a tensor is that is read after a run.
    struct Holder: Sendable {
        var part: Int
        var id: TensorID
    }

    var parts: [Part]
    /// By the tensor of the whole graph that is no view.
    var holders: [TensorID: Holder]
    /// Bytes for what is passed on.
    var valueByteCount: Int
}

/// What goes into a part of a graph and comes out of it.
struct Passages: Sendable {
    /// A tensor that is passed on, and where among what is.
    struct Value: Sendable {
        var id: TensorID
        var bytes: Range<Int>
    }

    /// A tensor that is written by whoever runs the graph.
    struct Input: Sendable {
        var root: TensorID
        var id: TensorID
    }

    var inputs: [Input] = []
    var values: [Value] = []
    var results: [Value] = []
}

/// Memory for what is passed between the parts of a graph.
final class PassedValues: @unchecked Sendable {
    // Sendable: a backend's is used by its runs alone, under their lock.

    private var bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 64)

    deinit { bytes.deallocate() }

    func grow(toByteCount count: Int) {
        if bytes.count >= count { return }
        bytes.deallocate()
        bytes = .allocate(byteCount: count, alignment: 64)
    }

    subscript(range: Range<Int>) -> UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: bytes[range]) }
}
