import Kernels
import Model
import Tensor
import TestSupport
import Testing

/// That masks which a stage makes of four bytes a query are, bit for bit, what their definition says.
@Suite struct MaskTests {
    private static let hidden: UInt16 = 0xfc00

    /// A mask by its definition: a query sees the keys up to its own, and with a window only the last ones; where there is
    /// no query, nothing is seen. A row is for the last position at or before the query that falls on it.
    private static func reference(_ positions: [Int?], keyCount: Int, window: Int?, rowCount: Int) -> [UInt16] {
        positions.flatMap { position in
            (0..<keyCount).map { row in
                guard let position, row <= position else { return hidden }
                let key = position - (position - row) % rowCount
                return window.map { position - key < $0 } ?? true ? 0 : hidden
            }
        }
    }

    /// For each group, the positions of its queries, slot by slot.
    private static func positions(_ batch: Batch) -> [[Int?]] {
        var pieces = batch.pieces[...]
        return batch.layout.groups.map { group in
            if group.slotCount == 1 {
                let first = pieces.removeFirst().firstPosition
                return (first..<first + group.tokenCount).map { $0 }
            }
            var positions = [Int?](repeating: nil, count: group.slotCount)
            for piece in pieces.prefix(group.tokenCount) { positions[piece.slot - group.firstSlot] = piece.firstPosition }
            pieces = pieces.dropFirst(group.tokenCount)
            return positions
        }
    }

    /// Single tokens of some slots, pieces of prompts in others, none in the rest.
    private static func batch(_ random: inout SeededRandom, contextLength: Int) -> Batch {
        var pieces: [BatchPiece] = []
        for slot in 0..<7 {
            let choice = Int.random(in: 0..<4, using: &random)
            let length = choice < 2 ? choice : Int.random(in: 1...min(40, contextLength), using: &random)
            if length == 0 { continue }
            let first = Int.random(in: 0...contextLength - length, using: &random)
            pieces.append(
                BatchPiece(slot: slot, firstPosition: first, tokens: [Int32](repeating: 1, count: length), outputs: .last))
        }
        return Batch(pieces, contextLength: contextLength, columnLimit: Bool.random(using: &random) ? 256 : nil)
    }

    @Test(
        "masks of random batches: gaps, windows, padding, odd contexts",
        arguments: [1, 7, 43, 256, 300, 1021], [nil, 1, 5, 300, 5000] as [Int?])
    func masks(_ contextLength: Int, _ window: Int?) throws {
        var random = SeededRandom(seed: UInt64(contextLength * 10_000 + (window ?? 0)))
        let backend = try CPUBackend(threads: 2)
        let shape = CacheShape(slotCount: 7, contextLength: contextLength, window: window)
        let band =
            window == nil
            ? try MaskBand("band", contextLength: contextLength, on: backend) : try MaskBand("band", ring: shape, on: backend)
        try band.write()
        for _ in 0..<20 {
            let batch = Self.batch(&random, contextLength: contextLength)
            let starts = window == nil ? MaskInput.values(of: batch, shape) : RingMaskInput.values(of: batch, shape)
            var next = 0
            for (group, positions) in zip(batch.layout.groups, Self.positions(batch)) {
                let own = Array(starts[next..<next + positions.count])
                next += positions.count
                let g = GraphBuilder()
                let input = g.input("starts", .i32, Shape(own.count))
                let mask = band.mask(from: input, of: group, g)
                g.markOutput(mask)
                #expect(g[mask].type == .f16)
                let rowCount = window == nil ? contextLength : shape.ringLength
                let keyCount = g[mask].shape[0]
                #expect(g[mask].shape == Shape(keyCount, group.tokensPerSlot, 1, group.slotCount))
                #expect(keyCount == min(group.keyCount, rowCount))
                var bits = [UInt16](repeating: 0xdead, count: keyCount * positions.count)
                let plan = try backend.prepare(g.finish())
                try own.withUnsafeBytes { own in
                    try bits.withUnsafeMutableBytes { bits in
                        try backend.run(
                            Step(writes: [.init(tensor: input, bytes: own)], plan: plan, reads: [.init(tensor: mask, into: bits)]))
                    }
                }
                #expect(bits == Self.reference(positions, keyCount: keyCount, window: window, rowCount: rowCount))
            }
            #expect(next == starts.count)
        }
    }
}
