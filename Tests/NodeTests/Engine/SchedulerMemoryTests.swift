import Model
import NodeEngine
import Testing

/// What the scheduler reuses of models that cannot take everything back: sliding windows as rings, recurrences with copies of their
/// states.
@Suite struct SchedulerMemoryTests {
    /// Takes in everything that is waiting, and chooses `answer` tokens of 7 for each request.
    @discardableResult
    private func serve(_ scheduler: inout Scheduler, _ prompt: [Int32], id: Int, answer: Int = 1) -> (reused: Int, pieces: [BatchPiece]) {
        scheduler.enqueue(Scheduler.Request(id: id, prompt: prompt, limit: 1000))
        let reused = scheduler.admit().first { $0.id == id }?.reused ?? -1
        var pieces: [BatchPiece] = []
        var chosen = 0
        while chosen < answer {
            let step = scheduler.nextStep()
            pieces += step
            for piece in step where piece.outputs == .last {
                chosen += 1
                _ = scheduler.choose(7, slot: piece.slot, contextLength: 10_000)
            }
            if step.isEmpty { break }
        }
        scheduler.remove(id)
        return (reused, pieces)
    }

    private func numbers(_ range: Range<Int32>) -> [Int32] { Array(range) }

    @Test("a prompt goes on from the copy near the end of the one before, and from one along the way where they part earlier")
    func checkpoints() {
        let cache = CacheShape(slotCount: 1, contextLength: 10_000, checkpointCount: 4)
        var scheduler = Scheduler(slotCount: 1, batchSize: 512, cache: cache)
        let prompt = numbers(0..<1300)
        let first = serve(&scheduler, prompt, id: 1, answer: 3)
        #expect(first.reused == 0)
        #expect(first.pieces.filter { $0.keeps != nil }.map { $0.firstPosition + $0.tokens.count } == [512, 1024, 1296])
        // Everything that went in is there, the answer's last token aside.
        let longer = serve(&scheduler, prompt + [7, 7, 50, 51], id: 2)
        #expect(longer.reused == 1302)
        #expect(longer.pieces.first?.restores == nil)
        #expect(longer.pieces.first?.firstPosition == 1302)
        // The end differs: from the copy before it.
        let other = serve(&scheduler, prompt.dropLast(2) + [60, 61, 62], id: 3)
        #expect(other.reused == 1296)
        #expect(other.pieces.first?.restores != nil)
        #expect(other.pieces.first?.restores == first.pieces.first { $0.firstPosition + $0.tokens.count == 1296 }?.keeps)
        #expect(other.pieces.dropFirst().allSatisfy { $0.restores == nil })
        // Half of it is the same: from the last copy before that.
        let half = serve(&scheduler, numbers(0..<700) + numbers(5000..<5100), id: 4)
        #expect(half.reused == 512)
        #expect(half.pieces.first?.firstPosition == 512)
        // Nothing is: from the beginning, and the copies go with it.
        let none = serve(&scheduler, numbers(9000..<9050), id: 5)
        #expect(none.reused == 0)
        #expect(serve(&scheduler, prompt, id: 6).reused == 0)
    }

    @Test("the same prompt once more is not taken in whole, and after a loss nothing is left of the copies")
    func repeating() {
        let cache = CacheShape(slotCount: 1, contextLength: 10_000, checkpointCount: 2)
        var scheduler = Scheduler(slotCount: 1, batchSize: 512, cache: cache)
        let prompt = numbers(0..<100)
        serve(&scheduler, prompt, id: 1, answer: 5)
        #expect(serve(&scheduler, prompt, id: 2).reused == 96)
        scheduler.rewind()
        #expect(serve(&scheduler, prompt, id: 3).reused == 0)
        #expect(serve(&scheduler, prompt, id: 4).reused == 96)
        _ = scheduler.fail()
        #expect(serve(&scheduler, prompt, id: 5).reused == 0)
    }

    @Test("what a ring was written over with counts, also where the text was cut back since, and what padding wrote")
    func ringsWrittenOver() {
        let cache = CacheShape(slotCount: 1, contextLength: 10_000, window: 100)
        var scheduler = Scheduler(slotCount: 1, batchSize: 512, cache: cache)
        serve(&scheduler, numbers(0..<1200), id: 1)
        #expect(serve(&scheduler, numbers(0..<1000) + [1, 2, 3], id: 2).reused == 1000)
        // 1,200 positions and their padding were written, whatever the slot has now.
        #expect(serve(&scheduler, numbers(0..<540) + [1, 2, 3], id: 3).reused == 0)
        serve(&scheduler, numbers(0..<2000), id: 4)
        #expect(serve(&scheduler, numbers(0..<1340) + [1], id: 5).reused == 0)
        serve(&scheduler, numbers(0..<2000), id: 6)
        #expect(serve(&scheduler, numbers(0..<1370) + [1], id: 7).reused == 1370)
    }

    @Test("a request that goes before its first tokens went in leaves the states where they were")
    func goneBeforeItBegan() {
        let cache = CacheShape(slotCount: 1, contextLength: 10_000, checkpointCount: 4)
        var scheduler = Scheduler(slotCount: 1, batchSize: 512, cache: cache)
        serve(&scheduler, numbers(0..<900), id: 1)
        scheduler.enqueue(Scheduler.Request(id: 2, prompt: numbers(0..<600) + [1, 2], limit: 5))
        #expect(scheduler.admit().map(\.reused) == [512])
        scheduler.remove(2)
        let next = serve(&scheduler, numbers(0..<600) + [1, 2], id: 3)
        #expect(next.reused == 512)
        #expect(next.pieces.first?.restores != nil)
    }

    @Test("a ring goes back as far as it reaches, and no piece is longer than it takes in")
    func rings() {
        let cache = CacheShape(slotCount: 1, contextLength: 10_000, window: 100)
        var scheduler = Scheduler(slotCount: 1, batchSize: 2048, cache: cache)
        let prompt = numbers(0..<3000)
        let first = serve(&scheduler, prompt, id: 1)
        #expect(first.pieces.allSatisfy { $0.tokens.count <= 512 && $0.keeps == nil && $0.restores == nil })
        #expect(serve(&scheduler, numbers(0..<2500) + [1, 2, 3], id: 2).reused == 2500)
        #expect(serve(&scheduler, numbers(0..<1500) + [1, 2, 3], id: 3).reused == 0)
    }
}
