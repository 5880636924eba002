internal import KernelTable
internal import Tensor

extension PlanBuilder {
    /// Queries `[size, heads, tokens, streams]`, keys `[size, 1, keys, streams]`, weights `[heads, tokens, 1, streams]`
    /// and a mask F16 `[keys, tokens, 1, streams or fewer]`: per key and token the weighted sum of what is positive of
    /// the heads' products, plus the mask. (DeepSeek-AI, "DeepSeek-V3.2", 2025.)
    mutating func addLightningIndexer(_ id: TensorID) throws(BackendError) {
        let q = try source(id, 0)
        let k = try source(id, 1)
        let weights = try source(id, 2)
        let mask = try source(id, 3)
        let (heads, tokens, keys, streams) = (q.n1, q.n2, k.n2, q.n3)
        guard k.n0 == q.n0, k.n1 == 1, k.n3 == streams, weights.shape == Shape(heads, tokens, 1, streams),
            mask.n0 == keys, mask.n1 == tokens, mask.n2 == 1, mask.n3 > 0, streams % mask.n3 == 0
        else { throw invalid(id, "queries \(q.shape) do not fit keys \(k.shape) and weights \(weights.shape)") }
        let result = try floatOutput(id, Shape(keys, tokens, 1, streams))
        if result.isEmpty { return }
        guard q.type == .f32, q.hasContiguousRows, weights.type == .f32, weights.hasContiguousRows, mask.type == .f16,
            mask.hasContiguousRows, q.n0 > 0, let product = tables.products[ElementType.f32.rawValue]
        else { throw unsupported(id) }
        guard heads <= 1 << 16, q.n0 <= 1 << 16 else { throw unsupported(id, "\(heads) heads of \(q.n0)") }
        let indexer = LightningIndexer(
            q: q, k: k, weights: weights, mask: mask, result: result, reader: try reader(id, k), product: product,
            f16ToF32: vector.f16ToF32)
        try needScratch(indexer.scratchByteCount)
        let keyBlocks = (keys + LightningIndexer.keyBlock - 1) / LightningIndexer.keyBlock
        let tokenBlocks = (tokens + LightningIndexer.tokenBlock - 1) / LightningIndexer.tokenBlock
        let cost =
            Double(min(keys, LightningIndexer.keyBlock)) * Double(min(tokens, LightningIndexer.tokenBlock))
            * Double(heads) * (Double(q.n0) / 30 + 1)
        addPhase(
            over: keyBlocks * tokenBlocks * streams, costPerUnit: cost,
            reads: q.ranges + k.ranges + weights.ranges + mask.ranges, writes: result.ranges
        ) { worker, range in
            for index in range {
                let (rest, keyBlock) = index.quotientAndRemainder(dividingBy: keyBlocks)
                let (stream, block) = rest.quotientAndRemainder(dividingBy: tokenBlocks)
                indexer.compute(keyBlock: keyBlock, tokenBlock: block, stream: stream, worker.scratch)
            }
        }
    }
}

/// The scores of a block of keys for a block of tokens.
private struct LightningIndexer {
    static let keyBlock = 128
    static let tokenBlock = 16

    let q: Operand
    let k: Operand
    let weights: Operand
    let mask: Operand
    let result: Operand
    let reader: RowReader
    let product: ProductKernel
    let f16ToF32: @Sendable (UnsafeRawPointer, UnsafeMutablePointer<Float>, Int) -> Void

    private var size: Int { q.n0 }
    private var heads: Int { q.n1 }
    private var packedOffset: Int { (product.scratchByteCount(size, heads) &+ 63) & ~63 }
    private var pointerOffset: Int { packedOffset &+ ((product.packedByteCount(size, heads) &+ 127) & ~63) }
    private var valueOffset: Int { pointerOffset &+ ((heads &* 16 &+ 63) & ~63) }
    private var keyOffset: Int { valueOffset &+ heads &* LightningIndexer.keyBlock &* 4 }
    private var maskOffset: Int { keyOffset &+ ((LightningIndexer.keyBlock &* size &* 4 &+ 63) & ~63) }

    var scratchByteCount: Int { maskOffset &+ LightningIndexer.keyBlock &* 4 &+ 64 }

    func compute(keyBlock: Int, tokenBlock: Int, stream: Int, _ scratch: UnsafeMutableRawPointer) {
        let first = keyBlock &* LightningIndexer.keyBlock
        let count = min(LightningIndexer.keyBlock, k.n2 &- first)
        var rows = UnsafeRawPointer(k.row3(0, first, stream))
        var stride = k.s2
        if reader.scratchCount > 0 || stride < size &* 4 {
            let copies = (scratch + keyOffset).assumingMemoryBound(to: Float.self)
            for i in 0..<count {
                let target = copies + i &* size
                let values = reader.values(at: k.row3(0, first &+ i, stream), target)
                if values != UnsafePointer(target) { target.update(from: values, count: size) }
            }
            rows = UnsafeRawPointer(copies)
            stride = size &* 4
        }
        let columns = (scratch + pointerOffset).assumingMemoryBound(to: UnsafeRawPointer.self)
        let targets = (scratch + pointerOffset + heads &* 8).assumingMemoryBound(to: UnsafeMutablePointer<Float>.self)
        let values = (scratch + valueOffset).assumingMemoryBound(to: Float.self)
        for head in 0..<heads { targets[head] = values + head &* LightningIndexer.keyBlock }
        let firstToken = tokenBlock &* LightningIndexer.tokenBlock
        for token in firstToken..<min(q.n2, firstToken &+ LightningIndexer.tokenBlock) {
            for head in 0..<heads { columns[head] = UnsafeRawPointer(q.row3(head, token, stream)) }
            product.pack(columns, size, heads, 0, heads, scratch + packedOffset)
            product.multiply(
                rows, stride, size, 0, count, scratch + packedOffset, heads, 0, heads, targets, scratch)
            addUp(token, stream, first, count, values, scratch)
        }
    }

    private func addUp(
        _ token: Int, _ stream: Int, _ first: Int, _ count: Int, _ values: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutableRawPointer
    ) {
        let factors = weights.row3(token, 0, stream).assumingMemoryBound(to: Float.self)
        let target = result.row3(token, 0, stream).assumingMemoryBound(to: Float.self) + first
        target.update(repeating: 0, count: count)
        for head in 0..<heads {
            let factor = factors[head]
            let products = values + head &* LightningIndexer.keyBlock
            for i in 0..<count { target[i] += (products[i] > 0 ? products[i] : 0) * factor }
        }
        let masks = (scratch + maskOffset).assumingMemoryBound(to: Float.self)
        f16ToF32(mask.row3(token, 0, stream % mask.n3) + first &* 2, masks, count)
        for i in 0..<count { target[i] += masks[i] }
    }
}
