import Model
import Testing

/// How the pieces of a step are laid out: what shares a group, and what repeats so that plans can be used again.
@Suite struct BatchTests {
    private func piece(_ slot: Int, _ first: Int, _ count: Int, _ outputs: BatchPiece.Outputs = .last) -> BatchPiece {
        BatchPiece(slot: slot, firstPosition: first, tokens: Array(repeating: 1, count: count), outputs: outputs)
    }

    @Test("single tokens share one group by slot, and each longer piece has its own after it")
    func groups() {
        let batch = Batch([piece(3, 0, 100), piece(5, 9, 1), piece(1, 20, 1)], contextLength: 1024)
        #expect(batch.pieces.map(\.slot) == [1, 5, 3])
        #expect(batch.layout.groups.map(\.tokenCount) == [2, 100])
        #expect(batch.layout.groups.map(\.firstToken) == [0, 2])
        #expect(batch.layout.groups[0].firstSlot == 1)
        #expect(batch.layout.groups[0].slotCount == 5)
        #expect(batch.layout.groups[0].hasGaps)
        #expect(batch.layout.groups[0].tokensPerSlot == 1)
        #expect(batch.layout.groups[1].slotCount == 1)
        #expect(batch.layout.groups[1].tokensPerSlot == 100)
        #expect(batch.layout.outputCount == 3)
        #expect(batch.layout.tokenCount == 102)
    }

    @Test("consecutive decode steps have one layout until a block of keys is full")
    func layoutsRepeat() {
        let layouts = Set((10..<250).map { Batch([piece(0, $0, 1)], contextLength: 4096).layout })
        #expect(layouts.count == 1)
        #expect(Batch([piece(0, 256, 1)], contextLength: 4096).layout.groups[0].keyCount == 512)
    }

    @Test("keys are never read past the context")
    func contextBound() {
        #expect(Batch([piece(0, 90, 10)], contextLength: 100).layout.groups[0].keyCount == 100)
    }

    @Test("outputs are counted as asked for", arguments: [(BatchPiece.Outputs.none, 0), (.last, 1), (.all, 7)])
    func outputs(_ outputs: BatchPiece.Outputs, _ count: Int) {
        #expect(Batch([piece(0, 0, 7, outputs)], contextLength: 64).layout.outputCount == count)
    }

    @Test("padded prompts of similar lengths have one layout, single tokens stay single")
    func padding() {
        let layouts = Set((33...64).map { Batch([piece(0, 0, $0)], contextLength: 512, columnLimit: 512).layout })
        #expect(layouts.count == 1)
        #expect(Batch([piece(0, 9, 1)], contextLength: 512, columnLimit: 512).layout.tokenCount == 1)
        let atEnd = Batch([piece(0, 500, 11)], contextLength: 512, columnLimit: 512)
        #expect(atEnd.layout.tokenCount == 12)
        #expect(atEnd.layout.outputCount == 1)
        let together = Batch([piece(0, 0, 33), piece(1, 0, 33)], contextLength: 512, columnLimit: 96)
        #expect(together.layout.groups.map(\.tokenCount) == [63, 33])
    }
}
