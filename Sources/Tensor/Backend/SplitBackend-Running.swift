extension SplitPlan {
    /// Bytes moved at once where neither backend's memory is this process's.
    private static let chunk = 1 << 20

    /// Takes a step through all parts.
    func run(_ step: Step, _ cut: CutGraph, _ values: PassedValues) throws(BackendError) {
        let writes = try sort(step.writes)
        let reads = try sort(step.reads, cut)
        values.grow(toByteCount: cut.valueByteCount)
        for (index, part) in cut.parts.enumerated() {
            try owner.checkCancellation()
            let step = Step(
                writes: part.passages.inputs.flatMap { input in
                    (writes[input.root] ?? []).map { Step.Write(tensor: input.id, byteOffset: $0.byteOffset, bytes: $0.bytes) }
                } + part.passages.values.map { Step.Write(tensor: $0.id, bytes: UnsafeRawBufferPointer(values[$0.bytes])) },
                plan: part.plan,
                reads: part.passages.results.map { Step.Read(tensor: $0.id, into: values[$0.bytes]) } + (reads[index] ?? []))
            if part.isOnPrimary {
                defer { for change in part.changes { change.buffer.bytesChanged(in: change.bytes, isRepeated: true) } }
                try owner.primary.run(step)
            } else {
                try run(step, part.needs)
            }
        }
        for read in step.reads {
            guard let place = try owner.place(of: read.tensor, in: graph) else { continue }
            try owner.read(place.buffer, at: place.bytes.lowerBound + read.byteOffset, into: read.bytes)
        }
    }

    /// To be called when a step may have written tensors in buffers.
    func note(_ writes: [Step.Write]) {
        for write in writes where graph.tensors.indices.contains(write.tensor.index) {
            guard let place = try? owner.place(of: write.tensor, in: graph) else { continue }
            place.buffer.bytesChanged(in: [place.bytes])
        }
    }

    // MARK: What goes in and out

    /// Puts what goes to buffers there, and gives the rest by the tensor that it goes to, which is no view.
    private func sort(_ writes: [Step.Write]) throws(BackendError) -> [TensorID: [Step.Write]] {
        var sorted: [TensorID: [Step.Write]] = [:]
        for write in writes {
            try check(write.tensor, write.byteOffset, write.bytes.count)
            let tensor = graph[write.tensor]
            let root = graph.root(of: write.tensor)
            if case .planned = graph[root].storage, graph[root].operation != .none {
                throw BackendError(.invalidArgument, tensor: tensor.name, "it is computed, so it cannot be written")
            }
            if write.bytes.isEmpty { continue }
            if let place = try owner.place(of: write.tensor, in: graph) {
                try owner.write(write.bytes, to: place.buffer, at: place.bytes.lowerBound + write.byteOffset)
            } else {
                let offset = (tensor.view?.byteOffset ?? 0) + write.byteOffset
                sorted[root, default: []].append(Step.Write(tensor: root, byteOffset: offset, bytes: write.bytes))
            }
        }
        return sorted
    }

    /// What is read of no buffer, by the part that has it.
    private func sort(_ reads: [Step.Read], _ cut: CutGraph) throws(BackendError) -> [Int: [Step.Read]] {
        var sorted: [Int: [Step.Read]] = [:]
        for read in reads {
            try check(read.tensor, read.byteOffset, read.bytes.count)
            let tensor = graph[read.tensor]
            let root = graph.root(of: read.tensor)
            if case .placed = graph[root].storage { continue }
            guard tensor.flags.contains(.output) || graph[root].flags.contains(.output), let holder = cut.holders[root] else {
                let message = "it is not marked as an output, so its memory may have been used again"
                throw BackendError(.invalidArgument, tensor: tensor.name, message)
            }
            if read.bytes.isEmpty { continue }
            let offset = (tensor.view?.byteOffset ?? 0) + read.byteOffset
            sorted[holder.part, default: []].append(Step.Read(tensor: holder.id, byteOffset: offset, into: read.bytes))
        }
        return sorted
    }

    private func check(_ id: TensorID, _ byteOffset: Int, _ count: Int) throws(BackendError) {
        guard graph.tensors.indices.contains(id.index) else {
            throw BackendError(.invalidArgument, "the plan has no tensor \(id.index)")
        }
        let extent = graph[id].byteExtent
        guard byteOffset >= 0, count <= extent, byteOffset <= extent - count else {
            throw BackendError(
                .invalidArgument, tensor: graph[id].name, "\(count) bytes at \(byteOffset) leave its \(extent) bytes")
        }
    }

    // MARK: Buffers

    /// Runs a part of the fallback's on its copies of what it needs of buffers, and takes over what it changes there.
    private func run(_ step: Step, _ needs: [CutGraph.Need]) throws(BackendError) {
        for need in needs {
            let missing = need.copy.stale(of: need.read)
            for range in missing.ranges { try fetch(range, need) }
            need.copy.renew(missing)
        }
        do {
            try owner.fallback.run(step)
            for need in needs {
                for range in need.changed.ranges { try putBack(range, need) }
                need.copy.renew(need.changed)
            }
        } catch {
            // The primary's bytes are the ones that count.
            for need in needs where !need.changed.isEmpty { need.buffer.bytesChanged(in: need.changed, isRepeated: true) }
            throw error
        }
    }

    private func fetch(_ range: Range<Int>, _ need: CutGraph.Need) throws(BackendError) {
        if let host = need.copy.hostBytes(of: range) {
            return try owner.primary.read(need.buffer.inner, at: range.lowerBound, into: host)
        }
        try moveInPieces(range) { piece, bytes throws(BackendError) in
            try owner.primary.read(need.buffer.inner, at: piece.lowerBound, into: bytes)
            try owner.fallback.write(UnsafeRawBufferPointer(bytes), to: need.copy.buffer, at: need.copy.offset(of: piece.lowerBound))
        }
    }

    private func putBack(_ range: Range<Int>, _ need: CutGraph.Need) throws(BackendError) {
        defer { need.buffer.bytesChanged(in: RangeSet(range), from: need.copy, isRepeated: true) }
        if let host = need.copy.hostBytes(of: range) {
            return try owner.primary.write(UnsafeRawBufferPointer(host), to: need.buffer.inner, at: range.lowerBound)
        }
        try moveInPieces(range) { piece, bytes throws(BackendError) in
            try owner.fallback.read(need.copy.buffer, at: need.copy.offset(of: piece.lowerBound), into: bytes)
            try owner.primary.write(UnsafeRawBufferPointer(bytes), to: need.buffer.inner, at: piece.lowerBound)
        }
    }

    /// Calls `move` with one piece after another, each with memory for it.
    private func moveInPieces(
        _ range: Range<Int>, _ move: (Range<Int>, UnsafeMutableRawBufferPointer) throws(BackendError) -> Void
    ) throws(BackendError) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: min(range.count, SplitPlan.chunk), alignment: 64)
        defer { memory.deallocate() }
        var start = range.lowerBound
        while start < range.upperBound {
            let piece = start..<min(range.upperBound, start + memory.count)
            try move(piece, UnsafeMutableRawBufferPointer(rebasing: memory[0..<piece.count]))
            start = piece.upperBound
        }
    }
}
