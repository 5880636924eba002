internal import KernelTable
internal import Tensor

// Norms and softmax: one row in, one row out, each row's sums in the kernel's one order.
extension PlanBuilder {
    /// Each row of source 0 by a kernel that may use `extra` values of thread memory of its own. Where the result's elements
    /// lie apart, rows are made in thread memory first.
    mutating func addRowwise(
        _ id: TensorID, into result: Operand, extra: Int = 0, costPerElement: Double = 0.3, reads: [Range<UInt>] = [],
        _ body:
            @escaping (
                _ a: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ count: Int, _ extra: UnsafeMutablePointer<Float>
            ) -> Void
    ) throws(BackendError) {
        let a = try source(id, 0)
        let reader = try reader(id, a)
        let offset = reader.scratchCount
        let isPacked = result.hasContiguousRows
        let outOffset = offset + (extra + 15) & ~15
        try needScratch((outOffset + (isPacked ? 0 : result.n0)) * 4)
        addPhase(
            over: a.rowCount, costPerUnit: costPerElement * Double(a.n0) + 10, reads: a.ranges + reads,
            writes: result.ranges
        ) { worker, range in
            for row in range {
                let values = reader.row(row, worker.floats())
                let place = result.row(row)
                let out = isPacked ? place.assumingMemoryBound(to: Float.self) : worker.floats(outOffset)
                body(values, out, a.n0, worker.floats(offset))
                if isPacked { continue }
                for i in 0..<result.n0 { place.storeBytes(of: out[i], toByteOffset: i &* result.s0, as: Float.self) }
            }
        }
    }

    /// Root-mean-square norm; together with the product that follows it, where that is its weight row.
    mutating func addRMSNorm(_ id: TensorID, epsilon: Float, at position: Int) throws(BackendError) {
        let a = try source(id, 0)
        let kernel = vector.rmsNorm
        if let (product, weight) = try weighting(of: id, at: position) {
            isFused[product.id.index] = true
            let row = UnsafePointer(weight.base.assumingMemoryBound(to: Float.self))
            try addRowwise(id, into: product, reads: weight.ranges) { values, out, count, _ in
                kernel(values, row, out, count, epsilon)
            }
            return
        }
        let result = try floatOutput(id, a.shape)
        try addRowwise(id, into: result) { values, out, count, _ in kernel(values, nil, out, count, epsilon) }
    }

    /// The product with a row of weights right after norm `id`, if the two can be computed as one.
    private func weighting(of id: TensorID, at position: Int) throws(BackendError) -> (Operand, Operand)? {
        guard useCounts[id.index] == 1, !graph[id].flags.contains(.output), case .planned = graph[id].storage,
            graph[id].view == nil
        else { return nil }
        var next = position + 1
        while next < graph.nodes.count, graph[graph.nodes[next]].operation.isView { next += 1 }
        guard next < graph.nodes.count else { return nil }
        let product = graph.nodes[next]
        guard graph[product].operation == .mul, graph[product].flags.contains(.compute), graph[product].sources.count > 1,
            let other = graph[product].sources[0] == id ? graph[product].sources[1] : graph[product].sources[0],
            graph[product].sources[0] == id || graph[product].sources[1] == id, other != id
        else { return nil }
        let a = try source(id, 0)
        guard let weight = operands[other.index], weight.type == .f32, weight.hasContiguousRows, weight.n0 == a.n0,
            weight.rowCount == 1, let result = operands[product.index], result.isWritable, result.type == .f32,
            result.hasContiguousRows, result.shape == a.shape, graph[id].shape == a.shape, graph[id].type == .f32
        else { return nil }
        // The product's memory may be what the norm's source has just left: row over row that is fine, else not.
        let isInPlace =
            result.base == a.base && result.s1 == a.s1 && result.s2 == a.s2 && result.s3 == a.s3 && a.type == .f32
            && a.hasContiguousRows
        guard isInPlace || !result.addresses.overlaps(a.addresses), !result.addresses.overlaps(weight.addresses) else {
            return nil
        }
        return (result, weight)
    }

    mutating func addNorm(_ id: TensorID, epsilon: Float) throws(BackendError) {
        let a = try source(id, 0)
        let result = try floatOutput(id, a.shape, mayHaveGaps: true)
        let (scale, mul, sum) = (vector.scale, vector.mul, vector.sum)
        try addRowwise(id, into: result, extra: a.n0) { values, out, count, extra in
            let mean = sum(values, count) / Float(count)
            scale(values, out, count, 1, -mean)
            mul(UnsafePointer(out), UnsafePointer(out), extra, count)
            let variance = sum(UnsafePointer(extra), count) / Float(count)
            scale(UnsafePointer(out), out, count, 1 / (variance + epsilon).squareRoot(), 0)
        }
    }

    mutating func addL2Norm(_ id: TensorID, epsilon: Float) throws(BackendError) {
        let a = try source(id, 0)
        let result = try floatOutput(id, a.shape, mayHaveGaps: true)
        let (scale, mul, sum) = (vector.scale, vector.mul, vector.sum)
        try addRowwise(id, into: result, extra: a.n0) { values, out, count, extra in
            mul(values, values, extra, count)
            let length = sum(UnsafePointer(extra), count).squareRoot()
            scale(values, out, count, 1 / (length > epsilon ? length : epsilon), 0)
        }
    }

    mutating func addSoftMax(_ id: TensorID, scale: Float, maxBias: Float) throws(BackendError) {
        let a = try source(id, 0)
        let result = try floatOutput(id, a.shape)
        if a.isEmpty { return }
        guard !(maxBias > 0) || a.n2 <= 1 << 20 else { throw unsupported(id, "\(a.n2) heads are too many") }
        let values = try reader(id, a)
        let kernel = vector.softMax
        let maskOffset = values.scratchCount
        var masks: RowReader?
        var reads = a.ranges
        if let mask = try optionalSource(id, 1) {
            guard mask.n0 == a.n0, mask.n1 >= a.n1, mask.n2 > 0, mask.n3 > 0, a.n2 % mask.n2 == 0, a.n3 % mask.n3 == 0
            else { throw invalid(id, "a mask \(mask.shape) does not fit \(a.shape)") }
            masks = try reader(id, mask)
            reads += mask.ranges
        }
        var sinks: UnsafePointer<Float>?
        if let sink = try optionalSource(id, 2) {
            guard sink.type == .f32, sink.n0 == a.n2, sink.hasContiguousRows, sink.rowCount == 1 else {
                throw invalid(id, "\(sink.shape) are not sinks for \(a.n2) heads")
            }
            sinks = UnsafePointer(sink.base.assumingMemoryBound(to: Float.self))
            reads += sink.ranges
        }
        let slopes = maxBias > 0 ? UnsafePointer(storage.table(ALiBi.slopes(heads: a.n2, maxBias: maxBias))) : nil
        try needScratch((maskOffset + (masks?.scratchCount ?? 0)) * 4)
        addPhase(
            over: a.rowCount, costPerUnit: Double(a.n0) + 20, reads: reads, writes: result.ranges
        ) { worker, range in
            for row in range {
                let (rest, i1) = row.quotientAndRemainder(dividingBy: a.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: a.n2)
                var mask: UnsafePointer<Float>?
                if let masks {
                    let place = masks.operand.row3(i1, i2 % masks.operand.n2, i3 % masks.operand.n3)
                    mask = masks.values(at: place, worker.floats(maskOffset))
                }
                kernel(
                    values.row(row, worker.floats()), mask, slopes.map { $0[i2] } ?? 1, sinks.map { $0[i2] } ?? -Float.infinity,
                    result.row(row).assumingMemoryBound(to: Float.self), a.n0, scale)
            }
        }
    }
}

extension Operation {
    /// Whether it only shows bytes under another shape.
    var isView: Bool {
        switch self {
        case .none, .reshape, .view, .permute, .transpose: true
        default: false
        }
    }
}
