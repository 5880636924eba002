/// Makes plans for two backends of a graph's runs: what goes from one to the next, and what of buffers the fallback needs.
struct Cutting {
    private let graph: Graph
    private let backend: SplitBackend
    private let runs: [NodeRun]
    private var excerpts: [Excerpt] = []
    /// For each tensor that is no view: the runs that write it, in order.
    private var writers: [[Int]]

    init(_ graph: Graph, _ runs: [NodeRun], for backend: SplitBackend) {
        self.graph = graph
        self.runs = runs
        self.backend = backend
        var isNode = [Bool](repeating: false, count: graph.tensors.count)
        for node in graph.nodes { isNode[node.index] = true }
        writers = [[Int]](repeating: [], count: graph.tensors.count)
        for (index, run) in runs.enumerated() {
            excerpts.append(Excerpt(run.nodes, of: graph, isNode: isNode))
            for node in run.nodes {
                let root = graph.root(of: node)
                if writers[root.index].last != index { writers[root.index].append(index) }
            }
        }
    }

    /// - Parameter changes: what each run changes in buffers.
    mutating func cut(changing changes: [[BufferBytes]]) throws(BackendError) -> CutGraph {
        markSharedResults()
        let holders = holdOutputs()
        var passages = runs.map { _ in Passages() }
        let valueByteCount = try layOutValues(&passages)
        let copies = try copyBuffers()
        let needs = try zip(runs, changes).map { run, changes throws(BackendError) in
            run.isOnPrimary ? [] : try self.needs(of: run, changing: changes, copies)
        }
        var parts: [CutGraph.Part] = []
        for index in runs.indices {
            let device = runs[index].isOnPrimary ? backend.primary : backend.fallback
            try excerpts[index].place { buffer, offset, tensor throws(BackendError) in
                let own = try backend.own(buffer, for: tensor.name)
                if runs[index].isOnPrimary { return .placed(own.inner, byteOffset: offset) }
                guard let copy = copies.copy(of: own, offset..<(offset + tensor.byteExtent)) else {
                    throw BackendError(.invalidGraph, tensor: tensor.name, "it is nowhere in its buffer")
                }
                return .placed(copy.buffer, byteOffset: copy.offset(of: offset))
            }
            let plan = try device.prepare(excerpts[index].graph)
            parts.append(
                CutGraph.Part(
                    plan: plan, isOnPrimary: runs[index].isOnPrimary, passages: passages[index], needs: needs[index],
                    changes: runs[index].isOnPrimary ? changes[index] : []))
        }
        return CutGraph(parts: parts, holders: holders, valueByteCount: valueByteCount)
    }

    // MARK: Values

    /// What one run computes and another reads must be left in its memory, whatever else the run does with it.
    private mutating func markSharedResults() {
        var makers: [TensorID: Int] = [:]
        for (index, run) in runs.enumerated() {
            for node in run.nodes { makers[node] = index }
        }
        for user in excerpts.indices {
            for id in excerpts[user].ids.keys {
                if let maker = makers[id], maker != user { excerpts[maker].markOutput(id) }
            }
        }
    }

    /// Where what is read after a run is then, by the tensor that is no view.
    private mutating func holdOutputs() -> [TensorID: CutGraph.Holder] {
        var holders: [TensorID: CutGraph.Holder] = [:]
        for index in graph.tensors.indices where graph.tensors[index].flags.contains(.output) {
            let root = graph.root(of: TensorID(index))
            guard holders[root] == nil, case .planned = graph[root].storage else { continue }
            // What nothing computes is as it was written, in any of them.
            let part = writers[root.index].last ?? 0
            excerpts[part].include(root, of: graph)
            excerpts[part].markOutput(root)
            if let id = excerpts[part].ids[root] { holders[root] = CutGraph.Holder(part: part, id: id) }
        }
        return holders
    }

    /// Says what goes into each run and comes out of it, and where it is in between.
    ///
    /// - Returns: bytes for all values that are between runs at the same time.
    private mutating func layOutValues(_ passages: inout [Passages]) throws(BackendError) -> Int {
        var users = [[Int]](repeating: [], count: graph.tensors.count)
        for (index, excerpt) in excerpts.enumerated() {
            // In order of the graph, so that the same graph is always laid out in the same way.
            for id in excerpt.ids.keys.sorted() where isValue(id) { users[id.index].append(index) }
        }
        var values: [TensorID: Range<Int>] = [:]
        var free = FreeList()
        for (index, excerpt) in excerpts.enumerated() {
            let roots = excerpt.ids.filter { isValue($0.key) }.sorted { $0.key < $1.key }
            for (root, own) in roots where !excerpt.computes(root) {
                if let bytes = values[root] {
                    passages[index].values.append(Passages.Value(id: own, bytes: bytes))
                } else {
                    passages[index].inputs.append(Passages.Input(root: root, id: own))
                }
            }
            for (root, own) in roots {
                guard writers[root.index].contains(index), let last = users[root.index].last, last > index else { continue }
                let extent = graph[root].byteExtent
                if values[root] == nil {
                    guard extent <= Int.max - 63, let offset = free.take((extent + 63) & ~63) else {
                        throw BackendError(.outOfMemory, tensor: graph[root].name, "the graph's values have more bytes than can be counted")
                    }
                    values[root] = offset..<(offset + extent)
                }
                guard let bytes = values[root] else { continue }
                passages[index].results.append(Passages.Value(id: own, bytes: bytes))
                excerpts[index].markOutput(root)
            }
            for (root, _) in roots {
                guard users[root.index].last == index, let bytes = values.removeValue(forKey: root) else { continue }
                free.give(bytes.lowerBound, (bytes.count + 63) & ~63)
            }
        }
        return free.end
    }

    /// Whether a tensor's bytes have to be passed on: it is in no buffer, and no view of another.
    private func isValue(_ id: TensorID) -> Bool {
        guard case .planned = graph[id].storage else { return false }
        return graph[id].view == nil && graph[id].byteExtent > 0
    }

    // MARK: Buffers

    /// The fallback's memory for all that its runs touch of buffers. What lies over each other there does so in a copy too.
    private func copyBuffers() throws(BackendError) -> CopiesByBuffer {
        var touched: [ObjectIdentifier: (buffer: SplitBuffer, ranges: [Range<Int>])] = [:]
        for (run, excerpt) in zip(runs, excerpts) where !run.isOnPrimary {
            for tensor in excerpt.graph.tensors {
                guard case .placed(let buffer, let offset) = tensor.storage else { continue }
                let own = try backend.own(buffer, for: tensor.name)
                touched[ObjectIdentifier(own), default: (own, [])].ranges.append(offset..<(offset + tensor.byteExtent))
            }
        }
        var copies = CopiesByBuffer()
        for (buffer, ranges) in touched.values {
            var merged: [Range<Int>] = []
            for range in ranges.sorted(by: { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }) {
                if let last = merged.last, range.lowerBound < last.upperBound || range.isEmpty && range.lowerBound == last.upperBound {
                    merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
                } else {
                    merged.append(range)
                }
            }
            for range in merged { copies.add(try buffer.copy(of: range), for: range, of: buffer) }
        }
        return copies
    }

    /// What a run of the fallback takes from buffers, and what it changes there, by copy.
    private func needs(
        of run: NodeRun, changing changes: [BufferBytes], _ copies: CopiesByBuffer
    ) throws(BackendError) -> [CutGraph.Need] {
        var read = BytesByBuffer()
        var made = BytesByBuffer()
        for node in run.nodes {
            for case let source? in graph[node].sources {
                guard let place = try backend.place(of: source, in: graph) else { continue }
                read.insert(RangeSet(place.bytes).subtracting(made[place.buffer]), of: place.buffer)
            }
            guard let place = try backend.place(of: node, in: graph) else { continue }
            // Where not every byte is written for certain, those that were there stay.
            if try !writesEveryByte(node) {
                read.insert(RangeSet(place.bytes).subtracting(made[place.buffer]), of: place.buffer)
            }
            made.insert(place.bytes, of: place.buffer)
        }
        var needs: [CutGraph.Need] = []
        func add(_ list: [BufferBytes], _ member: WritableKeyPath<CutGraph.Need, RangeSet<Int>>) {
            for (buffer, copy, bytes) in copies.split(list) {
                if let index = needs.firstIndex(where: { $0.copy === copy }) {
                    needs[index][keyPath: member].formUnion(bytes)
                } else {
                    var need = CutGraph.Need(buffer: buffer, copy: copy)
                    need[keyPath: member] = bytes
                    needs.append(need)
                }
            }
        }
        add(read.list, \.read)
        add(changes, \.changed)
        return needs
    }

    private func writesEveryByte(_ node: TensorID) throws(BackendError) -> Bool {
        do throws(GraphError) {
            let result = try graph.inferredResult(of: node)
            return result.viewOfSource == nil && graph[node].isContiguous
        } catch {
            throw BackendError(error)
        }
    }
}

/// The fallback's copies that a plan works on, each for the bytes it was asked for. These bytes do not overlap, so that all
/// who use the same byte use the same copy of it.
private struct CopiesByBuffer {
    private var copies: [ObjectIdentifier: [(range: Range<Int>, copy: FallbackCopy)]] = [:]

    mutating func add(_ copy: FallbackCopy, for range: Range<Int>, of buffer: SplitBuffer) {
        copies[ObjectIdentifier(buffer), default: []].append((range, copy))
    }

    /// The one with all these bytes.
    func copy(of buffer: SplitBuffer, _ bytes: Range<Int>) -> FallbackCopy? {
        copies[ObjectIdentifier(buffer)]?.first {
            $0.range.lowerBound <= bytes.lowerBound && bytes.upperBound <= $0.range.upperBound
        }?.copy
    }

    /// Bytes of buffers by the copy that they are in.
    func split(_ list: [BufferBytes]) -> [(buffer: SplitBuffer, copy: FallbackCopy, bytes: RangeSet<Int>)] {
        list.flatMap { change in
            (copies[ObjectIdentifier(change.buffer)] ?? []).compactMap { range, copy in
                let bytes = change.bytes.intersection(RangeSet(range))
                return bytes.isEmpty ? nil : (change.buffer, copy, bytes)
            }
        }
    }
}
