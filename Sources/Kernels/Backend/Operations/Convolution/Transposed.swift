internal import KernelTable
internal import Tensor

// Transposed convolutions: each element of the image lays a weighted kernel down, and what overlaps is added up. The
// weighted kernels are a matrix product over the channels; the rows that belong to one channel of the result are laid
// down as soon as they are there.
extension PlanBuilder {
    /// Kernels `[size, out, in]` over a signal `[length, in]`.
    mutating func addTransposed1D(_ id: TensorID, stride: Int32) throws(BackendError) {
        let kernel = try source(id, 0)
        let signal = try source(id, 1)
        guard kernel.n2 == signal.n1, kernel.n3 == 1, signal.n2 == 1, signal.n3 == 1 else {
            throw invalid(id, "kernel \(kernel.shape) does not fit signal \(signal.shape)")
        }
        let result = try floatOutput(id, graph[id].shape)
        guard result.n2 == 1, result.n3 == 1 else { throw invalid(id, "its shape is \(result.shape)") }
        try addTransposed(
            id,
            kernel.reshaped(
                Shape(kernel.n0, 1, kernel.n1, kernel.n2), strides: Strides(kernel.s0, 0, kernel.s1, kernel.s2)),
            signal.reshaped(Shape(signal.n0, 1, signal.n1), strides: Strides(signal.s0, 0, signal.s1, 0)),
            stride: stride, result.reshaped(Shape(result.n0, 1, result.n1), strides: Strides(4, 0, result.s1, 0)))
    }

    /// Kernels `[width, height, out, in]` over images `[width, height, in, batch]`.
    mutating func addTransposed2D(_ id: TensorID, stride: Int32) throws(BackendError) {
        let kernel = try source(id, 0)
        let image = try source(id, 1)
        try addTransposed(id, kernel, image, stride: stride, try floatOutput(id, graph[id].shape))
    }

    private mutating func addTransposed(
        _ id: TensorID, _ kernel: Operand, _ image: Operand, stride: Int32, _ result: Operand
    ) throws(BackendError) {
        let (inputs, outputs, batches) = (kernel.n3, kernel.n2, image.n3)
        guard stride > 0, kernel.n3 == image.n2, result.n2 == outputs, result.n3 == batches else {
            throw invalid(id, "kernel \(kernel.shape) over \(image.shape) with stride \(stride)")
        }
        if result.isEmpty { return }
        for dimension in 0..<2 {
            let (reach, overflow) = (image.shape[dimension] - 1).multipliedReportingOverflow(by: Int(stride))
            guard image.shape[dimension] > 0, kernel.shape[dimension] > 0, !overflow,
                reach <= result.shape[dimension] - kernel.shape[dimension]
            else { throw invalid(id, "kernel \(kernel.shape) over \(image.shape) leaves \(result.shape)") }
        }
        guard result.isPacked, image.type == .f32, !kernel.type.isQuantized, inputs > 0,
            let product = tables.products[ElementType.f32.rawValue]
        else { throw unsupported(id) }
        guard let pixels = Shape(image.n0, image.n1).checkedElementCount,
            let columns = Shape(pixels, batches).checkedElementCount, columns <= 1 << 22
        else { throw unsupported(id, "its image is too large") }
        let weights = try channelsFirst(id, kernel, inner: 3)
        let inputsFirst = try channelsFirst(id, image, inner: 2)
        let packed = try pack(
            PackSource(columns: inputsFirst, type: .f32, k: inputs), matrices: batches, columns: pixels, product
        ) { (0..<columns).map { UnsafeRawPointer(inputsFirst.base + $0 * inputs * 4) } }
        guard let packedBase = packed.baseAddress else { return }
        let layer = TransposedLayer(
            product: product, weights: weights.base, packed: packedBase, inputs: inputs, outputs: outputs,
            kernelWidth: kernel.n0, kernelHeight: kernel.n1, imageWidth: image.n0, pixels: pixels, stride: Int(stride),
            result: result)
        try needScratch(layer.scratchByteCount)
        let cost = Double(kernel.n0 * kernel.n1) * Double(pixels) * (1 + Double(inputs) / 30) + Double(result.n0 * result.n1)
        addPhase(
            over: outputs * batches, costPerUnit: cost, reads: [packed.addresses] + weights.ranges, writes: result.ranges
        ) { worker, range in
            for index in range {
                let (batch, output) = index.quotientAndRemainder(dividingBy: outputs)
                layer.compute(output, batch, worker.scratch)
            }
        }
    }

    /// A copy in F32 in which dimension `inner`, 2 or 3, comes first and the others keep their order.
    private mutating func channelsFirst(_ id: TensorID, _ operand: Operand, inner: Int) throws(BackendError) -> Operand {
        let reader = try reader(id, operand)
        let (bytes, overflow) = operand.elementCount.multipliedReportingOverflow(by: 4)
        guard !overflow, operand.shape.checkedElementCount != nil else { throw invalid(id, "its source is too large") }
        let place = try temporary(bytes)
        guard let base = place.baseAddress else { return operand }
        try needScratch(reader.scratchCount * 4)
        let (inners, outers) = inner == 3 ? (operand.n3, operand.n2) : (operand.n2, operand.n3)
        let (n0, n1) = (operand.n0, operand.n1)
        let shape = Shape(inners, n0, n1, outers)
        let copy = Operand(operand.id, Tensor(name: "", type: .f32, shape: shape), at: base, writable: true)
        addPhase(
            over: n1 * outers, costPerUnit: Double(n0 * inners) * 2 + 10, reads: operand.ranges, writes: copy.ranges
        ) { worker, range in
            for row in range {
                let (outer, i1) = row.quotientAndRemainder(dividingBy: n1)
                let target = (base + row &* n0 &* inners &* 4).assumingMemoryBound(to: Float.self)
                for i in 0..<inners {
                    let start = inner == 3 ? operand.row3(i1, outer, i) : operand.row3(i1, i, outer)
                    let values = reader.values(at: start, worker.floats())
                    for i0 in 0..<n0 { target[i0 &* inners &+ i] = values[i0] }
                }
            }
        }
        return copy
    }
}

/// A transposed convolution, one channel of one result at a time.
private struct TransposedLayer {
    let product: ProductKernel
    /// `[inputs, width, height, outputs]`
    let weights: UnsafeMutableRawPointer
    let packed: UnsafeMutableRawPointer
    let inputs: Int
    let outputs: Int
    let kernelWidth: Int
    let kernelHeight: Int
    let imageWidth: Int
    let pixels: Int
    let stride: Int
    let result: Operand

    /// Values of a weighted kernel.
    private var volume: Int { kernelWidth &* kernelHeight }
    /// How many pixels are computed at a time.
    private var chunk: Int {
        let unit = max(1, product.columnGranularity)
        return max(unit, min(1024, 32768 / volume) / unit * unit)
    }
    private var pointerOffset: Int { (product.scratchByteCount(inputs, pixels) &+ 63) & ~63 }
    private var valueOffset: Int { (pointerOffset &+ chunk &* 8 &+ 63) & ~63 }

    var scratchByteCount: Int {
        let (bytes, overflow) = volume.multipliedReportingOverflow(by: chunk * 4)
        return overflow || bytes > 1 << 40 ? .max : valueOffset + bytes + 64
    }

    func compute(_ output: Int, _ batch: Int, _ scratch: UnsafeMutableRawPointer) {
        let plane = result.row3(0, output, batch).assumingMemoryBound(to: Float.self)
        plane.update(repeating: 0, count: result.n0 &* result.n1)
        let values = (scratch + valueOffset).assumingMemoryBound(to: Float.self)
        let targets = (scratch + pointerOffset).assumingMemoryBound(to: UnsafeMutablePointer<Float>.self)
        let rowBytes = inputs &* 4
        let matrix = packed + batch &* ((product.packedByteCount(inputs, pixels) &+ 63) & ~63)
        let chunk = chunk
        for i in 0..<chunk { targets[i] = values + i &* volume }
        var first = 0
        while first < pixels {
            let count = min(chunk, pixels &- first)
            product.multiply(
                weights + output &* volume &* rowBytes, rowBytes, inputs, 0, volume, matrix, pixels, first, count,
                targets - first, scratch)
            for i in 0..<count {
                let (iy, ix) = (first &+ i).quotientAndRemainder(dividingBy: imageWidth)
                let kernel = values + i &* volume
                for ky in 0..<kernelHeight {
                    let target = plane + ((iy &* stride &+ ky) &* result.n0 &+ ix &* stride)
                    let line = kernel + ky &* kernelWidth
                    for kx in 0..<kernelWidth { target[kx] += line[kx] }
                }
            }
            first = first &+ count
        }
    }
}
