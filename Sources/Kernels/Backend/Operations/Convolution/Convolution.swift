internal import KernelTable
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

// Convolutions as matrix products: the patches of an image, tile by tile, times the kernels. The patches take the
// place of the product's weights, so that each kernel's results lie one behind the other, as in the result.
extension PlanBuilder {
    /// Kernels `[width, height, in, out]` over images `[width, height, in, batch]`.
    mutating func addConvolution2D(_ id: TensorID, _ window: Window2D) throws(BackendError) {
        let kernel = try source(id, 0)
        let original = try source(id, 1)
        guard kernel.n2 == original.n2 else { throw invalid(id, "kernel \(kernel.shape) does not fit \(original.shape)") }
        let (x, y) = (try axis(id, original, kernel, window, 0), try axis(id, original, kernel, window, 1))
        let result = try floatOutput(id, Shape(x.places, y.places, kernel.n3, original.n3))
        if result.isEmpty { return }
        let image = try floatImage(id, original)
        try addConvolution(id, kernel, outputs: kernel.n3, try patches(id, image, x, y), of: image, result)
    }

    /// Kernels `[width, height, depth, in · out]` over volumes `[width, height, depth, in · batch]`.
    mutating func addConvolution3D(_ id: TensorID, _ parameters: Convolution3DParameters) throws(BackendError) {
        let kernel = try source(id, 0)
        let original = try source(id, 1)
        let result = try floatOutput(id, graph[id].shape)
        if result.isEmpty { return }
        let volume = try floatImage(id, original)
        let patches = try patches(id, volume, kernel, parameters.window, channels: Int(parameters.channels))
        let outputs = kernel.n3 / patches.channels
        let outer = Shape(outputs, patches.batches).checkedElementCount
        guard outputs == Int(parameters.outputs), patches.batches == Int(parameters.batch), outer == result.n3,
            result.n0 == patches.x.places, result.n1 == patches.y.places, result.n2 == patches.z.places
        else { throw invalid(id, "kernel \(kernel.shape) over \(volume.shape) does not give \(result.shape)") }
        try addConvolution(id, kernel, outputs: outputs, patches, of: volume, result)
    }

    private mutating func addConvolution(
        _ id: TensorID, _ kernel: Operand, outputs: Int, _ patches: Patches, of image: Operand, _ result: Operand
    ) throws(BackendError) {
        guard result.isPacked else { throw unsupported(id, "its result has gaps") }
        guard outputs <= 1 << 20 else { throw unsupported(id, "\(outputs) kernels") }
        let (length, places) = (patches.length, patches.placeCount)
        if length == 0 { return addZeros(result) }
        guard let product = tables.products[ElementType.f32.rawValue] else { throw unsupported(id) }
        let kernels = try packedFloats(id, kernel).reshaped(Shape(length, outputs))
        let packed = try pack(
            PackSource(columns: kernels, type: .f32, k: length), matrices: 1, columns: outputs, product
        ) { (0..<outputs).map { UnsafeRawPointer(kernels.row($0)) } }
        guard let packedBase = packed.baseAddress else { return }
        // Tiles that stay in cache, and enough of them for all threads.
        let total = places * patches.batches
        let share = max(16, total / (threadCount * 6))
        // Of patches too long for that, as few as fit 16 MiB.
        let least = max(1, min(16, (4 << 20) / length))
        let tile = min(places, max(least, min(512, min(share, 65536 / length)) & ~15))
        let tiles = (places + tile - 1) / tile
        let pointerOffset = (product.scratchByteCount(length, outputs) + 63) & ~63
        let patchOffset = (pointerOffset + outputs * 8 + 63) & ~63
        let (patchBytes, overflow) = length.multipliedReportingOverflow(by: tile * 4)
        guard !overflow, patchBytes <= 1 << 40 else { throw invalid(id, "its patches are too large") }
        try needScratch(patchOffset + patchBytes)
        let multiply = product.multiply
        let results = result.base.assumingMemoryBound(to: Float.self)
        let perElement = length > 1 << 18 ? 3.0 : 1.0
        let perPatch = Double(length) * (perElement + Double(outputs) / 30) + Double(outputs) + 20
        addPhase(
            over: tiles * patches.batches, costPerUnit: perPatch * Double(tile), reads: [packed.addresses] + image.ranges,
            writes: result.ranges
        ) { worker, range in
            let rows = (worker.scratch + patchOffset).assumingMemoryBound(to: Float.self)
            let targets = (worker.scratch + pointerOffset).assumingMemoryBound(to: UnsafeMutablePointer<Float>.self)
            for index in range {
                let (batch, part) = index.quotientAndRemainder(dividingBy: tiles)
                let first = part &* tile
                let count = min(tile, places &- first)
                for i in 0..<count { patches.fill(rows + i &* length, place: first &+ i, batch: batch) }
                for output in 0..<outputs {
                    targets[output] = results + ((batch &* outputs &+ output) &* places &+ first)
                }
                multiply(
                    rows, length &* 4, length, 0, count, packedBase, outputs, 0, outputs, targets, worker.scratch)
            }
        }
    }

    /// Zeros, where there is nothing to add up.
    mutating func addZeros(_ result: Operand) {
        addPhase(
            over: result.rowCount, costPerUnit: Double(result.n0) * 0.1 + 5, reads: [], writes: result.ranges
        ) { _, range in
            for row in range { memset(result.row(row), 0, result.n0 &* 4) }
        }
    }
}
