/// Where in one block of memory a graph's planned tensors live, so that tensors which are never needed at the same
/// time share their bytes.
///
/// A tensor lives from the node that computes it to the last node that reads it or a view of it; inputs live from the
/// start, outputs to the end. Places are given in order of execution, each in the lowest gap that is large enough.
/// O(nodes × live tensors).
public struct MemoryPlan: Hashable, Sendable {
    /// For each tensor of the graph, its root's offset in bytes; nil for tensors placed in buffers of their own.
    public private(set) var offsets: [Int?]

    /// Bytes needed in all.
    public private(set) var byteCount: Int

    /// - Parameters:
    ///   - alignment: of every tensor: a power of two.
    ///   - padding: bytes that kernels may touch past a tensor's end.
    ///   - byteCounts: what tensors take at least, by their index, where that may be more than they have bytes.
    ///   - rest: nodes for which memory stays unused after its last reader, because that many may be computed as one.
    public init(
        _ graph: Graph, alignment: Int, padding: Int = 0, byteCounts: [Int: Int] = [:], rest: Int = 0
    ) throws(GraphError) {
        offsets = [Int?](repeating: nil, count: graph.tensors.count)
        byteCount = 0
        let lifetimes = Lifetimes(graph)
        let release = MemoryPlan.releases(graph, rest: rest)

        var free = FreeList()
        var expiring = [Int: [TensorID]]()
        for root in lifetimes.planned {
            let end = lifetimes.end[root.index]
            expiring[end < 0 || end >= graph.nodes.count ? end : release[end], default: []].append(root)
        }
        var next = lifetimes.planned.makeIterator()
        var pending = next.next()
        for position in -1..<graph.nodes.count {
            while let root = pending, lifetimes.start[root.index] == position {
                guard let extent = graph[root].checkedByteExtent,
                    let size = MemoryPlan.roundedUp(max(extent, byteCounts[root.index] ?? 0), padding: padding, to: alignment)
                else { throw GraphError(.extent, tensor: graph[root].name, "the size of shape \(graph[root].shape) overflows") }
                guard let offset = free.take(size) else {
                    throw GraphError(.extent, tensor: graph[root].name, "the sizes of the graph's tensors overflow together")
                }
                offsets[root.index] = offset
                pending = next.next()
            }
            // Freed only after this node's own result has its place, so that a node never writes over what it reads.
            for root in expiring[position] ?? [] {
                guard let offset = offsets[root.index],
                    let size = MemoryPlan.roundedUp(
                        max(graph[root].byteExtent, byteCounts[root.index] ?? 0), padding: padding, to: alignment)
                else { continue }
                free.give(offset, size)
            }
        }
        byteCount = free.end
        for index in graph.tensors.indices {
            guard let view = graph.tensors[index].view else { continue }
            offsets[index] = offsets[view.root.index].map { $0 &+ view.byteOffset }
        }
    }

    /// For each node, the one after which what it read last can be used again: `rest` nodes on, those that compute nothing
    /// not counted.
    private static func releases(_ graph: Graph, rest: Int) -> [Int] {
        if rest == 0 { return Array(graph.nodes.indices) }
        let computing = graph.nodes.indices.filter { !graph[graph.nodes[$0]].operation.isPureView }
        var following = 0
        return graph.nodes.indices.map { position in
            while following < computing.count, computing[following] <= position { following += 1 }
            let last = following + rest - 1
            return last < computing.count ? computing[last] : graph.nodes.count
        }
    }

    private static func roundedUp(_ size: Int, padding: Int, to alignment: Int) -> Int? {
        let (sum, overflow) = size.addingReportingOverflow(padding + alignment - 1)
        return overflow ? nil : sum & ~(alignment - 1)
    }
}

/// From which node to which each planned root tensor is needed; positions are those of the node list, -1 before it.
private struct Lifetimes {
    var start: [Int]
    var end: [Int]
    /// Roots that need a place, by start.
    var planned: [TensorID] = []

    init(_ graph: Graph) {
        start = [Int](repeating: -1, count: graph.tensors.count)
        end = [Int](repeating: -1, count: graph.tensors.count)
        var used = [Bool](repeating: false, count: graph.tensors.count)
        for (position, node) in graph.nodes.enumerated() {
            let tensor = graph[node]
            if tensor.view == nil { start[node.index] = position }
            let own = graph.root(of: node)
            used[own.index] = true
            end[own.index] = max(end[own.index], position)
            for case let source? in tensor.sources {
                let root = graph.root(of: source)
                used[root.index] = true
                end[root.index] = max(end[root.index], position)
            }
        }
        for index in graph.tensors.indices {
            let tensor = graph.tensors[index]
            let root = graph.root(of: TensorID(index))
            if tensor.flags.contains(.output) { end[root.index] = graph.nodes.count }
            guard tensor.view == nil, case .planned = tensor.storage else { continue }
            if used[index] || tensor.flags.contains(.input) || tensor.flags.contains(.output) {
                planned.append(TensorID(index))
            }
        }
        planned.sort { (start[$0.index], $0.index) < (start[$1.index], $1.index) }
    }
}

/// Gaps in a growing block of memory, by offset.
struct FreeList {
    private var gaps: [Range<Int>] = []
    private(set) var end = 0

    /// The offset of `size` free bytes; nil if the block would become larger than can be counted.
    mutating func take(_ size: Int) -> Int? {
        if size == 0 { return 0 }
        if let index = gaps.firstIndex(where: { $0.count >= size }) {
            let offset = gaps[index].lowerBound
            let rest = (offset + size)..<gaps[index].upperBound
            if rest.isEmpty { gaps.remove(at: index) } else { gaps[index] = rest }
            return offset
        }
        // A gap at the very end is extended instead of left behind.
        let extendsGap = gaps.last?.upperBound == end
        let offset = extendsGap ? gaps.last?.lowerBound ?? end : end
        let (newEnd, overflow) = offset.addingReportingOverflow(size)
        if overflow { return nil }
        if extendsGap { gaps.removeLast() }
        end = newEnd
        return offset
    }

    mutating func give(_ offset: Int, _ size: Int) {
        if size == 0 { return }
        var gap = offset..<(offset + size)
        var index = gaps.firstIndex { $0.lowerBound > offset } ?? gaps.count
        if index < gaps.count, gaps[index].lowerBound == gap.upperBound {
            gap = gap.lowerBound..<gaps.remove(at: index).upperBound
        }
        if index > 0, gaps[index - 1].upperBound == gap.lowerBound {
            index -= 1
            gap = gaps.remove(at: index).lowerBound..<gap.upperBound
        }
        gaps.insert(gap, at: index)
    }
}
