internal import Tensor

// Im2col and what undoes it.
extension PlanBuilder {
    /// Kernel (for its shape) and image: the patches under the kernel's places, one behind the other.
    mutating func addIm2col(_ id: TensorID, _ parameters: Im2colParameters) throws(BackendError) {
        let kernel = try source(id, 0)
        let original = try source(id, 1)
        let window = parameters.window
        if try output(id).isEmpty { return }
        let image = try floatImage(id, original)
        if parameters.is2D {
            guard kernel.n2 == image.n2 else { throw invalid(id, "kernel \(kernel.shape) does not fit \(image.shape)") }
            let (x, y) = (try axis(id, image, kernel, window, 0), try axis(id, image, kernel, window, 1))
            let patches = try patches(id, image, x, y)
            return try addPatches(id, patches, of: image, Shape(patches.length, x.places, y.places, image.n3))
        }
        guard kernel.n1 == image.n1, image.n3 == 1 else {
            throw invalid(id, "kernel \(kernel.shape) does not fit \(image.shape)")
        }
        let x = try axis(id, image, kernel, window, 0)
        let steps = (x: image.s0, y: 0, z: 0, channel: image.s1, batch: image.s2)
        guard let patches = Patches(image, x, .single, .single, channels: image.n1, batches: image.n2, steps: steps)
        else { throw invalid(id, "it has too many patches") }
        try addPatches(id, patches, of: image, Shape(patches.length, x.places, image.n2))
    }

    mutating func addIm2col3D(_ id: TensorID, _ window: Window3D, channels: Int32) throws(BackendError) {
        let kernel = try source(id, 0)
        let original = try source(id, 1)
        if try output(id).isEmpty { return }
        let volume = try floatImage(id, original)
        let patches = try patches(id, volume, kernel, window, channels: Int(channels))
        guard let outer = Shape(patches.z.places, patches.batches).checkedElementCount else {
            throw invalid(id, "it has too many patches")
        }
        try addPatches(id, patches, of: volume, Shape(patches.length, patches.x.places, patches.y.places, outer))
    }

    /// All patches of all images as rows of the result.
    private mutating func addPatches(
        _ id: TensorID, _ patches: Patches, of image: Operand, _ shape: Shape
    ) throws(BackendError) {
        let result = try output(id)
        guard result.shape == shape else { throw invalid(id, "its shape \(result.shape) should be \(shape)") }
        guard result.isPacked, let write = rowWriter(result.type), !result.type.isQuantized else { throw unsupported(id) }
        let length = patches.length
        let places = patches.placeCount
        let size = result.type.bytesPerBlock
        let isDirect = result.type == .f32
        // Short patches are written some at a time.
        let group = max(1, 2048 / length)
        if !isDirect {
            let (bytes, overflow) = length.multipliedReportingOverflow(by: group * 4)
            guard !overflow else { throw invalid(id, "its patches are too large") }
            try needScratch(bytes)
        }
        addPhase(
            over: result.rowCount, costPerUnit: Double(length) * 1.2 + 10, reads: image.ranges, writes: result.ranges
        ) { worker, range in
            var row = range.lowerBound
            while row < range.upperBound {
                let count = min(group, range.upperBound &- row)
                let target = result.base + row &* length &* size
                let values = isDirect ? target.assumingMemoryBound(to: Float.self) : worker.floats()
                for i in 0..<count {
                    let (batch, place) = (row &+ i).quotientAndRemainder(dividingBy: places)
                    patches.fill(values + i &* length, place: place, batch: batch)
                }
                if !isDirect { write(values, target, count &* length) }
                row = row &+ count
            }
        }
    }

    /// The gradient of im2col's result and the kernel (for its shape): each element of the image gathers what its
    /// copies got.
    mutating func addIm2colBack(_ id: TensorID, _ parameters: Im2colParameters) throws(BackendError) {
        let gradient = try source(id, 0)
        let kernel = try source(id, 1)
        let result = try floatOutput(id, graph[id].shape)
        if result.isEmpty { return }
        let window = parameters.window
        let is2D = parameters.is2D
        let x = try axis(id, result, kernel, window, 0)
        let y = is2D ? try axis(id, result, kernel, window, 1) : .single
        let channels = is2D ? result.n2 : result.n1
        let batches = is2D ? result.n3 : result.n2
        guard let length = Shape(x.kernel, y.kernel, channels).checkedElementCount else {
            throw invalid(id, "its kernel is too large")
        }
        let shape = Shape(length, x.places, is2D ? y.places : batches, is2D ? batches : 1)
        guard gradient.shape == shape, is2D || result.n3 == 1 else {
            throw invalid(id, "the gradient's shape \(gradient.shape) should be \(shape)")
        }
        guard gradient.type == .f32, gradient.isPacked, result.isPacked else { throw unsupported(id) }
        // Without elements the gradient may have any number of places.
        if gradient.isEmpty { return addZeros(result) }
        let values = gradient.base.assumingMemoryBound(to: Float.self)
        let images = result.base.assumingMemoryBound(to: Float.self)
        let plane = x.extent * y.extent
        let volume = x.kernel * y.kernel
        let cost = Double(volume) * Double(x.places) * Double(y.places) * 1.5 + Double(plane)
        addPhase(over: channels * batches, costPerUnit: cost, reads: gradient.ranges, writes: result.ranges) { _, range in
            for index in range {
                let (batch, channel) = index.quotientAndRemainder(dividingBy: channels)
                let image = images + index &* plane
                image.update(repeating: 0, count: plane)
                for py in 0..<y.places {
                    let oy = y.overlap(at: py)
                    for px in 0..<x.places {
                        let ox = x.overlap(at: px)
                        let row = (batch &* y.places &+ py) &* x.places &+ px
                        let column = values + (row &* length &+ channel &* volume)
                        for ky in 0..<oy.count {
                            let line = column + ((oy.first &+ ky) &* x.kernel &+ ox.first)
                            let target = image + ((oy.source &+ ky &* y.dilation) &* x.extent &+ ox.source)
                            for kx in 0..<ox.count { target[kx &* x.dilation] += line[kx] }
                        }
                    }
                }
            }
        }
    }

    /// Columns `[size · channels, steps]` laid `stride` apart and added up: `[length, channels]`, less the padding.
    mutating func addCol2im1D(_ id: TensorID, stride: Int32, channels: Int32, padding: Int32) throws(BackendError) {
        let a = try source(id, 0)
        let result = try output(id)
        guard stride > 0, channels > 0, padding >= 0, a.n0 % Int(channels) == 0, a.n2 == 1, a.n3 == 1,
            result.n1 == Int(channels), result.n2 == 1, result.n3 == 1, result.type == a.type
        else { throw invalid(id, "columns \(a.shape) for \(channels) channels") }
        guard result.isPacked, let write = rowWriter(result.type), !result.type.isQuantized else { throw unsupported(id) }
        if result.isEmpty { return }
        let columns = try packedFloats(id, a)
        let values = columns.base.assumingMemoryBound(to: Float.self)
        let (size, steps) = (a.n0 / Int(channels), a.n1)
        let (stride, padding) = (Int(stride), Int(padding))
        let perRow = a.n0
        let stretches = RowStretches(result.n0)
        let bytes = result.type.bytesPerBlock
        try needScratch(RowStretches.length * 4)
        addPhase(
            over: stretches.perRow * result.n1,
            costPerUnit: Double(min(result.n0, RowStretches.length)) * (3 + Double(size) / Double(stride)),
            reads: columns.ranges, writes: result.ranges
        ) { worker, range in
            let sums = worker.floats()
            for index in range {
                let (channel, first, count) = stretches.stretch(index)
                for i in 0..<count {
                    let position = first &+ i &+ padding
                    let earliest = position < size ? 0 : (position &- size) / stride &+ 1
                    let latest = min(steps &- 1, position / stride)
                    var sum: Float = 0
                    var step = earliest
                    while step <= latest {
                        sum += values[step &* perRow &+ channel &* size &+ position &- step &* stride]
                        step = step &+ 1
                    }
                    sums[i] = sum
                }
                write(sums, result.base + (channel &* result.n0 &+ first) &* bytes, count)
            }
        }
    }
}
