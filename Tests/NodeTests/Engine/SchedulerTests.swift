import Model
import Node
import Testing

/// What the scheduler promises: shared steps, prompts that do not starve anyone, caches that are only trusted as far as
/// they match.
@Suite struct SchedulerTests {
    private func request(_ id: Int, _ prompt: [Int32], limit: Int = 10) -> Scheduler.Request {
        Scheduler.Request(id: id, prompt: prompt, limit: limit)
    }

    @Test("a prompt goes in by steps of the batch size and only its last token asks for logits")
    func promptInPieces() {
        var scheduler = Scheduler(slotCount: 1, batchSize: 4)
        scheduler.enqueue(request(1, [1, 2, 3, 4, 5, 6]))
        let admitted = scheduler.admit().map(\.id)
        #expect(admitted == [1])
        let first = scheduler.nextStep()
        #expect(first.map(\.tokens) == [[1, 2, 3, 4]])
        #expect(first.map(\.outputs) == [.none])
        let second = scheduler.nextStep()
        #expect(second.map(\.tokens) == [[5, 6]])
        #expect(second.map(\.firstPosition) == [4])
        #expect(second.map(\.outputs) == [.last])
    }

    @Test("after a loss everybody takes in again what they had, who generated most first, and goes on from there")
    func replay() {
        var scheduler = Scheduler(slotCount: 3, batchSize: 4)
        scheduler.enqueue(request(1, [1, 2]))
        scheduler.enqueue(request(2, [5]))
        _ = scheduler.admit()
        _ = scheduler.nextStep()
        for token: Int32 in [6, 7, 8] {
            let isFull = scheduler.choose(token, slot: 1, contextLength: 100)
            #expect(!isFull)
            if token != 8 { _ = scheduler.nextStep() }
        }
        let isFull = scheduler.choose(3, slot: 0, contextLength: 100)
        #expect(!isFull)
        scheduler.enqueue(request(3, [9, 9, 9]))
        _ = scheduler.admit()
        // The first request's next token is under way when the machine is lost.
        _ = scheduler.nextStep()
        scheduler.rewind()

        let first = scheduler.nextStep()
        #expect(first.map(\.slot) == [1])
        #expect(first.map(\.firstPosition) == [0])
        #expect(first.map(\.tokens) == [[5, 6, 7, 8]])
        #expect(first.map(\.outputs) == [.last])
        let again = scheduler.choose(4, slot: 1, contextLength: 100)
        #expect(!again)
        let second = scheduler.nextStep()
        #expect(second.map(\.slot) == [1, 0])
        #expect(second.map(\.tokens) == [[4], [1, 2, 3]])
        #expect(second.map(\.firstPosition) == [4, 0])
        #expect(second.map(\.outputs) == [.last, .last])
        let third = scheduler.nextStep()
        #expect(third.map(\.slot) == [2])
        #expect(third.map(\.tokens) == [[9, 9, 9]])
        // A request that comes later finds no cache of before the loss.
        scheduler.remove(3)
        scheduler.rewind()
        scheduler.enqueue(request(4, [9, 9, 9]))
        let reused = scheduler.admit().map(\.reused)
        #expect(reused == [0])
    }

    @Test("a replay longer than a step goes in by pieces, and asks for a result only at its end")
    func longReplay() {
        var scheduler = Scheduler(slotCount: 1, batchSize: 4)
        scheduler.enqueue(request(1, [1, 2, 3, 4]))
        _ = scheduler.admit()
        _ = scheduler.nextStep()
        let isFull = scheduler.choose(5, slot: 0, contextLength: 100)
        #expect(!isFull)
        scheduler.rewind()
        let first = scheduler.nextStep()
        #expect(first.map(\.tokens) == [[1, 2, 3, 4]])
        #expect(first.map(\.outputs) == [.none])
        let second = scheduler.nextStep()
        #expect(second.map(\.tokens) == [[5]])
        #expect(second.map(\.firstPosition) == [4])
        #expect(second.map(\.outputs) == [.last])
        let nothing = scheduler.nextStep()
        #expect(nothing.isEmpty)
    }

    @Test("those who generate are in every step, beside a bounded piece of a newcomer's prompt")
    func sharedSteps() {
        var scheduler = Scheduler(slotCount: 2, batchSize: 512)
        scheduler.enqueue(request(1, [1]))
        _ = scheduler.admit()
        _ = scheduler.nextStep()
        let isLast = scheduler.choose(9, slot: 0, contextLength: 1000)
        #expect(!isLast)
        scheduler.enqueue(request(2, Array(repeating: 7, count: 400)))
        let admitted = scheduler.admit().map(\.id)
        #expect(admitted == [2])
        let step = scheduler.nextStep()
        #expect(step.map(\.slot) == [0, 1])
        #expect(step[0].tokens == [9])
        #expect(step[0].firstPosition == 1)
        #expect(step[1].tokens.count == scheduler.interleavedPromptSize)
    }

    @Test("a prompt goes on from the slot whose cache begins like it, but its last token is always computed")
    func prefixReuse() {
        var scheduler = Scheduler(slotCount: 2, batchSize: 512)
        scheduler.enqueue(request(1, [1, 2, 3]))
        scheduler.enqueue(request(2, [8, 9]))
        _ = scheduler.admit()
        _ = scheduler.nextStep()
        scheduler.remove(1)
        scheduler.remove(2)
        scheduler.enqueue(request(3, [8, 9]))
        scheduler.enqueue(request(4, [1, 2, 5]))
        let admitted = scheduler.admit()
        #expect(admitted.map(\.id) == [3, 4])
        #expect(admitted.map(\.reused) == [1, 2])
        let step = scheduler.nextStep()
        #expect(step.first { $0.slot == 1 }?.tokens == [9])
        #expect(step.first { $0.slot == 0 }?.tokens == [5])
    }

    @Test("conversations that only begin alike keep a slot each when they take turns")
    func conversationsTakeTurns() {
        var scheduler = Scheduler(slotCount: 2, batchSize: 512)
        let opening: [Int32] = [1, 2, 3]
        var conversations = [opening + [Int32](repeating: 7, count: 20), opening + [Int32](repeating: 8, count: 20)]
        for turn in 0..<6 {
            let prompt = conversations[turn % 2]
            scheduler.enqueue(request(turn, prompt))
            let admitted = scheduler.admit()
            #expect(admitted.map(\.reused) == [turn < 2 ? 0 : prompt.count - 5])
            _ = scheduler.nextStep()
            scheduler.remove(turn)
            conversations[turn % 2] += [Int32](repeating: Int32(turn), count: 5)
        }
    }

    @Test("a request ends at its own limit or when the context is full")
    func limits() {
        var scheduler = Scheduler(slotCount: 1, batchSize: 8)
        scheduler.enqueue(request(1, [1, 2], limit: 2))
        _ = scheduler.admit()
        _ = scheduler.nextStep()
        let endsAtFirst = scheduler.choose(3, slot: 0, contextLength: 100)
        #expect(!endsAtFirst)
        _ = scheduler.nextStep()
        let endsAtSecond = scheduler.choose(4, slot: 0, contextLength: 100)
        #expect(endsAtSecond)
        scheduler.remove(1)
        scheduler.enqueue(request(2, [1, 2], limit: 100))
        _ = scheduler.admit()
        _ = scheduler.nextStep()
        let endsAtContext = scheduler.choose(3, slot: 0, contextLength: 3)
        #expect(endsAtContext)
    }

    @Test("a failed step leaves no cache to trust and no request behind")
    func failure() {
        var scheduler = Scheduler(slotCount: 2, batchSize: 8)
        for id in 1...3 { scheduler.enqueue(request(id, [1, 2, Int32(id)])) }
        _ = scheduler.admit()
        _ = scheduler.nextStep()
        let failed = scheduler.fail()
        #expect(Set(failed) == [1, 2, 3])
        #expect(scheduler.isIdle)
        #expect(scheduler.slots.allSatisfy { $0.cached.isEmpty })
    }

    @Test("random requests that come, go and end: every token is computed once, at its place, in order")
    func randomTraffic() {
        var random = SplitMix(state: 20_261_124)
        var scheduler = Scheduler(slotCount: 4, batchSize: 16)
        /// What each slot's cache really holds, by replaying the steps.
        var caches = [[Int32]](repeating: [], count: 4)
        var next = 0
        for _ in 0..<2000 {
            if Int.random(in: 0..<3, using: &random) == 0 {
                next += 1
                let prompt = (0..<Int.random(in: 1...40, using: &random)).map { Int32($0 / 8) }
                scheduler.enqueue(request(next, prompt, limit: Int.random(in: 1...6, using: &random)))
            }
            if Int.random(in: 0..<10, using: &random) == 0 { scheduler.remove(Int.random(in: 0...next, using: &random)) }
            _ = scheduler.admit()
            let step = scheduler.nextStep()
            #expect(step.reduce(0) { $0 + $1.tokens.count } <= 16)
            #expect(Set(step.map(\.slot)).count == step.count)
            for piece in step {
                #expect(piece.firstPosition <= caches[piece.slot].count)
                caches[piece.slot].removeSubrange(piece.firstPosition...)
                caches[piece.slot] += piece.tokens
                if piece.outputs == .last, let id = scheduler.request(inSlot: piece.slot)?.id {
                    let isLast = scheduler.choose(Int32.random(in: 0..<9, using: &random), slot: piece.slot, contextLength: 64)
                    if isLast { scheduler.remove(id) }
                }
                #expect(scheduler.slots[piece.slot].cached == caches[piece.slot])
            }
        }
    }
}

/// A small seeded generator, so that a failing run can be had again.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
