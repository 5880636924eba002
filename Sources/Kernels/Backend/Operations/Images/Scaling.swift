internal import KernelTable
internal import Tensor

// Images at another size. Each mode weighs a few neighbours along each dimension, one dimension after the other: first
// rows are mixed, then the elements of the mixed row. Beyond the edges the outermost elements go on.
extension PlanBuilder {
    /// Source 0 at the size of the result; dimensions 2 and 3 take the nearest.
    mutating func addUpscale(_ id: TensorID, _ parameters: UpscaleParameters) throws(BackendError) {
        let a = try source(id, 0)
        let result = try floatOutput(id, graph[id].shape)
        guard a.type == .f32, !a.isEmpty else { throw unsupported(id) }
        guard !parameters.antialiases || parameters.mode == .bilinear else { throw unsupported(id) }
        if result.isEmpty { return }
        let reader = try reader(id, a)
        let columns = try taps(id, ScaledAxis(from: a.n0, to: result.n0, parameters))
        let rows = try taps(id, ScaledAxis(from: a.n1, to: result.n1, parameters))
        let outer2 = ScaledAxis(from: a.n2, to: result.n2, UpscaleParameters(.nearest))
        let outer3 = ScaledAxis(from: a.n3, to: result.n3, UpscaleParameters(.nearest))
        let mixedOffset = reader.scratchCount
        try needScratch((mixedOffset + a.n0 + 16) * 4)
        let cost = Double(a.n0) * Double(rows.limit) * 0.4 + Double(result.n0) * (1 + Double(columns.limit) * 0.8) + 10
        let isNearest = parameters.mode == .nearest
        let scale = vector.scale
        addPhase(
            over: result.rowCount, costPerUnit: cost, reads: a.ranges + columns.ranges + rows.ranges,
            writes: result.ranges
        ) { worker, range in
            for row in range {
                let (rest, i1) = row.quotientAndRemainder(dividingBy: result.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let (j2, j3) = (outer2.nearest(i2), outer3.nearest(i3))
                let target = result.row3(i1, i2, i3).assumingMemoryBound(to: Float.self)
                let list = rows.list(i1)
                if isNearest {
                    let values = reader.values(at: a.row3(Int(list.indices[0]), j2, j3), worker.floats())
                    columns.pick(values, target)
                    continue
                }
                let mixed = worker.floats(mixedOffset)
                for tap in 0..<list.count {
                    let values = reader.values(at: a.row3(Int(list.indices[tap]), j2, j3), worker.floats())
                    let weight = list.weights[tap]
                    if tap == 0 {
                        scale(values, mixed, a.n0, weight, 0)
                    } else {
                        for i in 0..<a.n0 { mixed[i] += weight * values[i] }
                    }
                }
                if list.count == 0 { mixed.update(repeating: 0, count: a.n0) }
                columns.mix(mixed, target)
            }
        }
    }

    /// The neighbours of each element along one dimension, found by a phase.
    private mutating func taps(_ id: TensorID, _ axis: ScaledAxis) throws(BackendError) -> TapTable {
        guard let limit = axis.tapLimit,
            let entries = Shape(axis.outputs, limit).checkedElementCount, entries <= 1 << 40, axis.inputs <= 1 << 31
        else { throw unsupported(id, "\(axis.inputs) elements cannot be scaled to \(axis.outputs)") }
        let counts = try temporary(axis.outputs * 4)
        let indices = try temporary(entries * 4)
        let weights = try temporary(entries * 4)
        guard let countBase = counts.baseAddress, let indexBase = indices.baseAddress, let weightBase = weights.baseAddress
        else { throw unsupported(id) }
        let table = TapTable(
            limit: limit, outputs: axis.outputs, ranges: [counts.addresses, indices.addresses, weights.addresses],
            counts: countBase.assumingMemoryBound(to: Int32.self),
            indices: indexBase.assumingMemoryBound(to: Int32.self),
            weights: weightBase.assumingMemoryBound(to: Float.self))
        addPhase(
            over: axis.outputs, costPerUnit: Double(limit) * 4 + 10, reads: [], writes: table.ranges
        ) { _, range in
            for output in range {
                let first = output &* limit
                table.counts[output] = Int32(
                    truncatingIfNeeded: axis.fill(table.indices + first, table.weights + first, at: output, limit: limit))
            }
        }
        return table
    }
}

/// Neighbours and their weights for each element of a result's dimension.
private struct TapTable {
    /// The most that one has.
    let limit: Int
    let outputs: Int
    let ranges: [Range<UInt>]
    let counts: UnsafeMutablePointer<Int32>
    let indices: UnsafeMutablePointer<Int32>
    let weights: UnsafeMutablePointer<Float>

    @inline(__always)
    func list(_ i: Int) -> (count: Int, indices: UnsafePointer<Int32>, weights: UnsafePointer<Float>) {
        (Int(counts[i]), UnsafePointer(indices + i &* limit), UnsafePointer(weights + i &* limit))
    }

    func pick(_ values: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>) {
        for i in 0..<outputs { target[i] = values[Int(indices[i &* limit])] }
    }

    func mix(_ values: UnsafePointer<Float>, _ target: UnsafeMutablePointer<Float>) {
        for i in 0..<outputs {
            let (count, indices, weights) = list(i)
            var sum: Float = 0
            for tap in 0..<count { sum += weights[tap] * values[Int(indices[tap])] }
            target[i] = sum
        }
    }
}

/// How the elements of one dimension of a scaled image lie among the original's.
private struct ScaledAxis {
    let inputs: Int
    let outputs: Int
    private let mode: UpscaleParameters.Mode
    private let antialiases: Bool
    /// Result elements per original element.
    private let factor: Float
    /// Where in an element its value is.
    private let centre: Float

    init(from inputs: Int, to outputs: Int, _ parameters: UpscaleParameters) {
        self.inputs = inputs
        self.outputs = outputs
        mode = parameters.mode
        antialiases = parameters.antialiases
        let aligned = parameters.alignsCorners && inputs > 1 && outputs > 1
        factor = aligned ? Float(outputs - 1) / Float(inputs - 1) : Float(outputs) / Float(inputs)
        centre = parameters.alignsCorners ? 0 : 0.5
    }

    /// How far the averaging reaches to either side.
    private var support: Float { max(1, 1 / factor) }

    /// The most neighbours that an element can have.
    var tapLimit: Int? {
        switch mode {
        case .nearest: return 1
        case .bicubic: return 4
        case .bilinear:
            if !antialiases { return 2 }
            return support < 1e9 ? min(inputs, 2 * Int(support) + 4) : nil
        }
    }

    func nearest(_ i: Int) -> Int { index(Float(i) / factor) }

    /// Writes the neighbours of element `i` and their weights; gives their number.
    func fill(
        _ indices: UnsafeMutablePointer<Int32>, _ weights: UnsafeMutablePointer<Float>, at i: Int, limit: Int
    ) -> Int {
        if mode == .nearest {
            indices[0] = Int32(truncatingIfNeeded: nearest(i))
            weights[0] = 1
            return 1
        }
        if antialiases { return fillAverage(indices, weights, at: i, limit: limit) }
        let position = (Float(i) + centre) / factor - centre
        let base = position.rounded(.down)
        if mode == .bilinear {
            let first = index(base)
            let fraction = min(1, max(0, position - Float(first)))
            indices[0] = Int32(truncatingIfNeeded: first)
            indices[1] = Int32(truncatingIfNeeded: index(base + 1))
            weights[0] = 1 - fraction
            weights[1] = fraction
            return 2
        }
        for tap in 0..<4 {
            let place = base + Float(tap - 1)
            indices[tap] = Int32(truncatingIfNeeded: index(place))
            weights[tap] = ScaledAxis.cubic(abs(position - place))
        }
        return 4
    }

    /// A triangle as wide as the elements that become one.
    private func fillAverage(
        _ indices: UnsafeMutablePointer<Int32>, _ weights: UnsafeMutablePointer<Float>, at i: Int, limit: Int
    ) -> Int {
        let position = (Float(i) + centre) / factor
        let start = index(position - support + centre)
        let end = position + support + centre
        var count = 0
        var sum: Float = 0
        for place in start..<inputs where count < limit {
            if Float(place + 1) > end { break }
            let weight = 1 - abs((Float(place) - position + centre) / support)
            if weight <= 0 { continue }
            indices[count] = Int32(truncatingIfNeeded: place)
            weights[count] = weight
            sum += weight
            count += 1
        }
        for tap in 0..<count { weights[tap] /= sum }
        return count
    }

    /// The element at `position`, or the nearest that there is.
    private func index(_ position: Float) -> Int {
        guard position > 0 else { return 0 }
        guard position < Float(inputs) else { return inputs - 1 }
        return min(Int(position), inputs - 1)
    }

    /// The weight of an element at a distance of up to 2. (Keys, "Cubic convolution interpolation", 1981, with -0.75.)
    private static func cubic(_ x: Float) -> Float {
        let a: Float = -0.75
        if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    }
}
