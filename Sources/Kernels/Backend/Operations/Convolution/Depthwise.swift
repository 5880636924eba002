internal import Tensor

extension PlanBuilder {
    /// Kernels `[width, height, 1, channels]`, each over its own channel of images `[width, height, channels, batch]`.
    mutating func addDepthwise2D(_ id: TensorID, _ window: Window2D) throws(BackendError) {
        let kernel = try source(id, 0)
        let original = try source(id, 1)
        let result = try output(id)
        guard kernel.n2 == 1, kernel.n3 == original.n2 else {
            throw invalid(id, "kernel \(kernel.shape) does not fit \(original.shape)")
        }
        let (x, y) = (try axis(id, original, kernel, window, 0), try axis(id, original, kernel, window, 1))
        let shape = Shape(x.places, y.places, original.n2, original.n3)
        guard result.shape == shape else { throw invalid(id, "its shape \(result.shape) should be \(shape)") }
        guard original.type == .f32, result.type == .f32 else { throw unsupported(id) }
        if result.isEmpty { return }
        let isChannelwise = result.n2 > 1 && result.s2 == 4 && original.s2 == 4
        guard isChannelwise || result.n0 == 1 || result.s0 == 4 else { throw unsupported(id, "its rows have gaps") }
        // Kernels that lie as the images do: channels innermost, or each kernel by itself.
        let order = isChannelwise ? Shape(kernel.n3, kernel.n0, kernel.n1) : Shape(kernel.n0, kernel.n1, kernel.n3)
        let strides =
            isChannelwise
            ? Strides(kernel.s3, kernel.s0, kernel.s1, 0) : Strides(kernel.s0, kernel.s1, kernel.s3, 0)
        let weights = try packedFloats(id, kernel.reshaped(order, strides: strides))
        let layer = DepthwiseLayer(
            x: x, y: y, image: original, result: result, weights: weights.base.assumingMemoryBound(to: Float.self))
        let reads = weights.ranges + original.ranges
        let taps = Double(x.kernel) * Double(y.kernel)
        if isChannelwise {
            let count = y.places * original.n3
            let cost = taps * Double(original.n2) * Double(x.places) * 0.5 + 20
            addPhase(over: count, costPerUnit: cost, reads: reads, writes: result.ranges) { _, range in
                for row in range { layer.computeChannels(row: row) }
            }
        } else {
            let cost = taps * Double(x.places) + 20
            addPhase(over: result.rowCount, costPerUnit: cost, reads: reads, writes: result.ranges) { _, range in
                for row in range { layer.computeRow(row) }
            }
        }
    }
}

/// A depthwise convolution, a row of the result at a time.
private struct DepthwiseLayer {
    let x: WindowAxis
    let y: WindowAxis
    let image: Operand
    let result: Operand
    let weights: UnsafePointer<Float>

    /// All channels of row `row`, rows counted by height, then batch.
    func computeChannels(row: Int) {
        let (batch, py) = row.quotientAndRemainder(dividingBy: y.places)
        let channels = image.n2
        let oy = y.overlap(at: py)
        for px in 0..<x.places {
            let ox = x.overlap(at: px)
            let target = (result.row3(py, 0, batch) + px &* result.s0).assumingMemoryBound(to: Float.self)
            target.update(repeating: 0, count: channels)
            for ky in 0..<oy.count {
                let line = image.row3(oy.source &+ ky &* y.dilation, 0, batch)
                for kx in 0..<ox.count {
                    let source = (line + (ox.source &+ kx &* x.dilation) &* image.s0).assumingMemoryBound(to: Float.self)
                    let tap = weights + ((oy.first &+ ky) &* x.kernel &+ ox.first &+ kx) &* channels
                    for c in 0..<channels { target[c] += tap[c] * source[c] }
                }
            }
        }
    }

    /// One row of one channel.
    func computeRow(_ row: Int) {
        let (rest, py) = row.quotientAndRemainder(dividingBy: result.n1)
        let (batch, channel) = rest.quotientAndRemainder(dividingBy: result.n2)
        let target = result.row3(py, channel, batch).assumingMemoryBound(to: Float.self)
        target.update(repeating: 0, count: x.places)
        let taps = weights + channel &* x.kernel &* y.kernel
        let oy = y.overlap(at: py)
        for ky in 0..<oy.count {
            let line = image.row3(oy.source &+ ky &* y.dilation, channel, batch)
            for kx in 0..<x.kernel {
                let tap = taps[(oy.first &+ ky) &* x.kernel &+ kx]
                // The places whose element under this tap is in the row.
                let offset = kx &* x.dilation &- x.padding
                let first = offset >= 0 ? 0 : (x.stride &- 1 &- offset) / x.stride
                let end = offset >= x.extent ? 0 : min(x.places, (x.extent &- 1 &- offset) / x.stride &+ 1)
                if first >= end { continue }
                if x.stride == 1, image.s0 == 4 {
                    let source = (line + (first &+ offset) &* 4).assumingMemoryBound(to: Float.self)
                    let out = target + first
                    for i in 0..<(end &- first) { out[i] += tap * source[i] }
                } else {
                    for place in first..<end {
                        let position = (place &* x.stride &+ offset) &* image.s0
                        target[place] += tap * line.load(fromByteOffset: position, as: Float.self)
                    }
                }
            }
        }
    }
}
