internal import Tensor

/// One dimension of pooling: which elements lie in each window.
private struct PoolAxis {
    let extent: Int
    let size: Int
    let stride: Int
    let padding: Int
    let places: Int

    /// Nil if the parameters make no sense or there is no window.
    init?(extent: Int, size: Int32, stride: Int32, padding: Int32) {
        guard extent >= 0, extent <= 1 << 60, size > 0, stride > 0, padding >= 0 else { return nil }
        let room = extent + 2 * Int(padding)
        guard room >= Int(size) else { return nil }
        self.extent = extent
        self.size = Int(size)
        self.stride = Int(stride)
        self.padding = Int(padding)
        places = (room - Int(size)) / Int(stride) + 1
    }

    /// The elements in window `place`.
    @inline(__always)
    func elements(_ place: Int) -> Range<Int> {
        let start = place &* stride &- padding
        let first = max(0, start)
        return first..<max(first, min(extent, start &+ size))
    }

    /// The most elements that a window can hold.
    var reach: Double { Double(min(size, max(1, extent))) }
}

extension PlanBuilder {
    private func poolAxis(
        _ id: TensorID, _ extent: Int, _ size: Int32, _ stride: Int32, _ padding: Int32
    ) throws(BackendError) -> PoolAxis {
        guard let axis = PoolAxis(extent: extent, size: size, stride: stride, padding: padding) else {
            throw invalid(id, "windows of \(size) with stride \(stride) and padding \(padding) over \(extent)")
        }
        return axis
    }

    private func poolAxis(_ id: TensorID, _ shape: Shape, _ p: Pool2DParameters, _ i: Int) throws(BackendError) -> PoolAxis {
        try poolAxis(id, shape[i], p.size[i], p.stride[i], p.padding[i])
    }

    /// The largest element of each window, or the mean of those that are there.
    mutating func addPool1D(
        _ id: TensorID, _ kind: PoolKind, size: Int32, stride: Int32, padding: Int32
    ) throws(BackendError) {
        let a = try source(id, 0)
        let axis = try poolAxis(id, a.n0, size, stride, padding)
        let result = try floatOutput(id, Shape(axis.places, a.n1, a.n2, a.n3))
        if result.isEmpty { return }
        let reader = try reader(id, a)
        try needScratch(reader.scratchCount * 4)
        addPhase(
            over: a.rowCount, costPerUnit: Double(axis.places) * (axis.reach + 4) + 10, reads: a.ranges,
            writes: result.ranges
        ) { worker, range in
            for row in range {
                let values = reader.row(row, worker.floats())
                let target = result.row(row).assumingMemoryBound(to: Float.self)
                for place in 0..<axis.places {
                    let elements = axis.elements(place)
                    if kind == .maximum {
                        target[place] = PoolWindow.maximum(values, elements, -.greatestFiniteMagnitude)
                    } else {
                        let sum = PoolWindow.sum(values, elements)
                        target[place] = elements.isEmpty ? 0 : sum / Float(elements.count)
                    }
                }
            }
        }
    }

    /// The largest element of each window, or the sum of its elements over the window's size, padding included.
    mutating func addPool2D(_ id: TensorID, _ parameters: Pool2DParameters) throws(BackendError) {
        let original = try source(id, 0)
        let (x, y) = (try poolAxis(id, original.shape, parameters, 0), try poolAxis(id, original.shape, parameters, 1))
        let result = try floatOutput(id, Shape(x.places, y.places, original.n2, original.n3))
        if result.isEmpty { return }
        // Of a tensor without elements nothing is read, however many rows of none it has.
        let a = original.isEmpty ? original : try gathered(id, original)
        let area = Float(x.size * y.size)
        let isMaximum = parameters.kind == .maximum
        addPhase(
            over: result.rowCount, costPerUnit: Double(x.places) * (x.reach + 4) * y.reach + 10, reads: a.ranges,
            writes: result.ranges
        ) { _, range in
            for row in range {
                let (rest, py) = row.quotientAndRemainder(dividingBy: result.n1)
                let (i3, i2) = rest.quotientAndRemainder(dividingBy: result.n2)
                let target = result.row3(py, i2, i3).assumingMemoryBound(to: Float.self)
                target.update(repeating: isMaximum ? -.greatestFiniteMagnitude : 0, count: x.places)
                for iy in y.elements(py) {
                    let values = UnsafePointer(a.row3(iy, i2, i3).assumingMemoryBound(to: Float.self))
                    for place in 0..<x.places {
                        let elements = x.elements(place)
                        if isMaximum {
                            target[place] = PoolWindow.maximum(values, elements, target[place])
                        } else {
                            target[place] += PoolWindow.sum(values, elements)
                        }
                    }
                }
                if !isMaximum {
                    for place in 0..<x.places { target[place] /= area }
                }
            }
        }
    }

    /// The gradient of the pooled image, and the image: each window's gradient goes to its largest element, the first
    /// of equals, or to all of them alike.
    mutating func addPool2DBack(_ id: TensorID, _ parameters: Pool2DParameters) throws(BackendError) {
        let gradient = try source(id, 0)
        let original = try source(id, 1)
        let (x, y) = (try poolAxis(id, original.shape, parameters, 0), try poolAxis(id, original.shape, parameters, 1))
        let shape = Shape(x.places, y.places, original.n2, original.n3)
        guard gradient.shape == shape else { throw invalid(id, "the gradient's shape \(gradient.shape) should be \(shape)") }
        let result = try floatOutput(id, original.shape)
        if result.isEmpty { return }
        let given = try gathered(id, gradient)
        let image = try gathered(id, original)
        let area = Float(x.size * y.size)
        let isMaximum = parameters.kind == .maximum
        let cost = Double(x.places) * Double(y.places) * (x.reach * y.reach + 5)
        addPhase(
            over: result.n2 * result.n3, costPerUnit: cost, reads: given.ranges + image.ranges, writes: result.ranges
        ) { _, range in
            for plane in range {
                let (i3, i2) = plane.quotientAndRemainder(dividingBy: result.n2)
                func line(_ operand: Operand, _ row: Int) -> UnsafeMutablePointer<Float> {
                    operand.row3(row, i2, i3).assumingMemoryBound(to: Float.self)
                }
                for row in 0..<result.n1 { line(result, row).update(repeating: 0, count: result.n0) }
                for py in 0..<y.places {
                    let rows = y.elements(py)
                    for px in 0..<x.places {
                        let value = line(given, py)[px]
                        let columns = x.elements(px)
                        if !isMaximum {
                            for row in rows {
                                for column in columns { line(result, row)[column] += value / area }
                            }
                            continue
                        }
                        var largest = -Float.greatestFiniteMagnitude
                        var place = (row: -1, column: -1)
                        for row in rows {
                            let values = line(image, row)
                            for column in columns where values[column] > largest {
                                largest = values[column]
                                place = (row, column)
                            }
                        }
                        if place.row >= 0 { line(result, place.row)[place.column] += value }
                    }
                }
            }
        }
    }
}

/// The part of a window that lies in one row.
private enum PoolWindow {
    @inline(__always)
    static func maximum(_ values: UnsafePointer<Float>, _ elements: Range<Int>, _ start: Float) -> Float {
        var largest = start
        for i in elements { largest = values[i] < largest ? largest : values[i] }
        return largest
    }

    @inline(__always)
    static func sum(_ values: UnsafePointer<Float>, _ elements: Range<Int>) -> Float {
        var sum: Float = 0
        for i in elements { sum += values[i] }
        return sum
    }
}
