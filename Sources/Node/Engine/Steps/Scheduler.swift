package import Model

/// Decides what each step computes: which request sits in which slot, whose prompt goes in, who gets a next token.
///
/// A value without threads, clocks or a model, so that every decision can be tested. Requests are numbered by whoever
/// submits them. Slots keep the tokens of their cache after a request ends; a later prompt that begins with the same
/// tokens goes on from there.
package struct Scheduler {
    /// A request as far as scheduling goes.
    package struct Request {
        package var id: Int
        package var prompt: [Int32]
        /// Tokens to generate at most.
        package var limit: Int
        /// Whether it goes on from what a slot has cached.
        package var reuses: Bool

        package init(id: Int, prompt: [Int32], limit: Int, reuses: Bool = true) {
            self.reuses = reuses
            self.id = id
            self.prompt = prompt
            self.limit = limit
        }
    }

    package struct Slot {
        /// The tokens whose keys and values are in the cache, in order.
        package var cached: [Int32] = []
        package var active: Active?
        /// When the slot was last given a request, counted in requests.
        package var lastUse = 0
        /// When it last took part, counted in steps.
        package var lastStep = 0
        /// How many of the tokens each checkpoint has taken in, by its number; nil for one that is free.
        package var checkpoints: [Int?] = []
        /// The end of the positions that were written since the slot last began anew, padding included: more than it has tokens
        /// once some were taken back.
        package var written = 0
        /// How many tokens the states of recurrences have taken in; nil if that is not known to be so many.
        package var stateCount: Int?
    }

    /// A request that has a slot.
    package struct Active {
        package var request: Request
        /// Prompt tokens that were in the cache already.
        package var reused: Int
        /// Tokens that are to be in the cache before the next token can be chosen: the prompt, then what was chosen.
        package var tokens: [Int32]
        package var generated = 0
        package var isPrefilling: Bool { generated == 0 }
        /// The checkpoint that its first tokens go on from.
        package var restores: Int?
        /// Tokens that went in before the caches were lost and are to go in again, the last of them not counted.
        package var replayEnd = 0
    }

    package private(set) var slots: [Slot]
    package private(set) var waiting: [Request] = []
    private var uses = 0

    /// Tokens in one step, at most.
    package let batchSize: Int
    /// Prompt tokens in a step while others generate, at most: what they wait for is one such step.
    package let interleavedPromptSize: Int
    /// Prompt tokens in a step in which nobody generates, at most.
    package private(set) var promptSize: Int
    /// Steps that are under way at once: those who generate are spread over so many.
    package private(set) var depth: Int
    private var steps = 0
    /// What the caches can take back, and take in at once; nil for caches that can do anything.
    private let cache: CacheShape?
    private let emptySlot: Slot

    /// - Parameters:
    ///   - depth: a prompt that goes through several stages goes in smaller pieces, so that all of them are busy.
    ///   - cache: nil for caches that keep all positions of everything.
    package init(slotCount: Int, batchSize: Int, depth: Int = 1, cache: CacheShape? = nil) {
        self.cache = cache
        emptySlot = Slot(checkpoints: [Int?](repeating: nil, count: cache?.checkpointCount ?? 0))
        slots = [Slot](repeating: emptySlot, count: slotCount)
        self.batchSize = max(batchSize, slotCount)
        interleavedPromptSize = max(1, min(batchSize, 128))
        self.depth = max(1, depth)
        promptSize = Scheduler.promptSize(batchSize: self.batchSize, depth: self.depth)
    }

    /// Has so many steps under way at once from now on.
    package mutating func spread(depth: Int) {
        self.depth = max(1, depth)
        promptSize = Scheduler.promptSize(batchSize: batchSize, depth: self.depth)
    }

    /// Tokens of one piece of a prompt that goes through `depth` machines, at most.
    package static func promptSize(batchSize: Int, depth: Int) -> Int {
        // Where prompts are padded, it is to multiples of 32.
        depth == 1 ? batchSize : max(min(batchSize, 64), batchSize / depth / 32 * 32)
    }

    package var busyCount: Int { slots.lazy.filter { $0.active != nil }.count }
    package var isIdle: Bool { waiting.isEmpty && slots.allSatisfy { $0.active == nil } }

    package mutating func enqueue(_ request: Request) { waiting.append(request) }

    /// Drops a request wherever it is. What its slot has cached stays for others to go on from.
    package mutating func remove(_ id: Int) {
        waiting.removeAll { $0.id == id }
        if let slot = slots.firstIndex(where: { $0.active?.request.id == id }) { slots[slot].active = nil }
    }

    /// Gives free slots to waiting requests, oldest first; returns the ids of those that now have one, with how many of
    /// their prompt's tokens are in the cache already.
    package mutating func admit() -> [(id: Int, reused: Int)] {
        var admitted: [(id: Int, reused: Int)] = []
        while let request = waiting.first, let slot = bestFreeSlot(for: request.reuses ? request.prompt : []) {
            waiting.removeFirst()
            uses += 1
            // The last token is always computed, since its logits are what comes next.
            let (reused, checkpoint) = usable(slots[slot], request.reuses ? request.prompt.dropLast() : [])
            slots[slot].cached.removeSubrange(reused...)
            if reused == 0 { slots[slot].written = 0 }
            slots[slot].checkpoints = slots[slot].checkpoints.map { $0.map { $0 <= reused } == true ? $0 : nil }
            slots[slot].active = Active(request: request, reused: reused, tokens: request.prompt)
            slots[slot].active?.restores = checkpoint
            slots[slot].lastUse = uses
            admitted.append((request.id, reused))
        }
        return admitted
    }

    /// The free slot whose cache serves the prompt best, else an empty one, else the one unused for longest.
    ///
    /// A cache serves if more of it is used than thrown away: most prompts begin with the same few tokens, for which no
    /// other conversation should lose its cache.
    private func bestFreeSlot(for prompt: [Int32]) -> Int? {
        let free = slots.indices.filter { slots[$0].active == nil }
        let ranked = free.map { index -> (slot: Int, rank: (Int, Int, Int)) in
            let slot = slots[index]
            let common = usable(slot, prompt[...]).count
            let serves = common > slot.cached.count - common
            return (index, (serves ? -common : 0, slot.cached.isEmpty ? 0 : 1, slot.lastUse))
        }
        return ranked.min { $0.rank < $1.rank }?.slot
    }

    private func commonPrefix(_ a: [Int32], _ b: ArraySlice<Int32>) -> Int {
        zip(a, b).prefix { $0 == $1 }.count
    }

    /// How many of some tokens need not go in again, and the checkpoint to go on from, if it is one.
    private func usable(_ slot: Slot, _ tokens: ArraySlice<Int32>) -> (count: Int, checkpoint: Int?) {
        let common = commonPrefix(slot.cached, tokens)
        guard let cache else { return (common, nil) }
        let end = slot.cached.count
        if cache.checkpointCount == 0 { return (cache.canRewind(from: slot.written, to: common) ? common : 0, nil) }
        // What was taken back and not taken in again leaves the states where they were.
        if end > 0, end <= common, slot.stateCount == end { return (end, nil) }
        let best = slot.checkpoints.indices
            .compactMap { number in slot.checkpoints[number].map { (position: $0, number: number) } }
            .filter { $0.position <= common && cache.canRewind(from: slot.written, to: $0.position) }
            .max { $0.position < $1.position }
        return best.map { ($0.position, $0.number) } ?? (0, nil)
    }

    /// The next step: a token for those who generate, and as much prompt as fits beside it, oldest request first.
    ///
    /// Where several steps are under way, those whose last token is not chosen yet are left out, and the others share the
    /// steps evenly, who waited longest first. Pieces of a prompt follow each other without waiting.
    ///
    /// The tokens count as cached from here on; if the step fails, call ``fail()``.
    package mutating func nextStep() -> [BatchPiece] {
        var pieces: [BatchPiece] = []
        var budget = promptSize
        let generating = slots.indices.filter { isGenerating($0) }
        let share = (generating.count + depth - 1) / depth
        for slot in neighbours(generating.filter { pending($0) > 0 }, count: share) {
            pieces.append(piece(slot, count: pending(slot)))
        }
        if !generating.isEmpty { budget = min(batchSize - pieces.count, interleavedPromptSize) }
        let prefilling = slots.indices
            .filter { slots[$0].active != nil && !isGenerating($0) }
            .sorted { precedence($0) < precedence($1) }
        for slot in prefilling where budget > 0 {
            let count = pieceLength(slot, atMost: budget)
            if count == 0 { continue }
            pieces.append(piece(slot, count: count))
            budget -= count
        }
        if pieces.isEmpty { return [] }
        steps += 1
        for piece in pieces {
            slots[piece.slot].cached += piece.tokens
            slots[piece.slot].lastStep = steps
            slots[piece.slot].active?.restores = nil
            slots[piece.slot].stateCount = slots[piece.slot].cached.count
            slots[piece.slot].written = max(slots[piece.slot].written, slots[piece.slot].cached.count + PromptPadding.limit)
            if let number = piece.keeps { slots[piece.slot].checkpoints[number] = slots[piece.slot].cached.count }
        }
        return pieces
    }

    // MARK: Checkpoints

    /// Tokens before the end of a prompt at which a copy is kept: the next prompt often differs in how this one ended.
    private static let tokensBehindCheckpoint = 4
    /// Tokens between copies on the way there.
    private static let checkpointDistance = 512

    /// How many of a slot's tokens to take in next.
    private func pieceLength(_ slot: Int, atMost budget: Int) -> Int {
        let count = min(pending(slot), budget, cache?.pieceLimit ?? .max)
        let first = slots[slot].cached.count
        // What comes behind goes in by itself, so that there is something to copy.
        guard let end = checkpointPosition(slot), first < end else { return count }
        return min(count, end - first, Scheduler.checkpointDistance)
    }

    /// Where the last copy of a slot's prompt is to be made.
    private func checkpointPosition(_ slot: Int) -> Int? {
        guard let cache, cache.checkpointCount > 0, let active = slots[slot].active, active.isPrefilling else { return nil }
        let position = active.tokens.count - Scheduler.tokensBehindCheckpoint
        return position > 0 ? position : nil
    }

    /// The checkpoint that is to be made of a slot once it has taken in so many tokens, if one is.
    private func checkpoint(_ slot: Int, at end: Int) -> Int? {
        guard let last = checkpointPosition(slot) else { return nil }
        let kept = slots[slot].checkpoints
        if kept.contains(end) { return nil }
        guard end == last || end < last && end - (kept.lazy.compactMap { $0 }.max() ?? 0) >= Scheduler.checkpointDistance else {
            return nil
        }
        // A free one, else the one that lies furthest back, which serves least.
        return kept.indices.min { kept[$0] ?? -1 < kept[$1] ?? -1 }
    }

    /// Whether a slot's request takes a token at a time: its prompt, and what it had before a loss, is in.
    private func isGenerating(_ slot: Int) -> Bool {
        guard let active = slots[slot].active else { return false }
        return !active.isPrefilling && slots[slot].cached.count >= active.replayEnd
    }

    /// Who takes tokens in first: after a loss those that have generated most, who have most to lose by waiting; else the
    /// oldest request.
    private func precedence(_ slot: Int) -> (Int, Int) { (-(slots[slot].active?.generated ?? 0), slots[slot].lastUse) }

    /// Up to `count` of the slots, the one that waited longest among them, and as near to each other as can be: they attend
    /// together over the range that they span.
    private func neighbours(_ ready: [Int], count: Int) -> ArraySlice<Int> {
        guard ready.count > count, let oldest = ready.indices.min(by: { slots[ready[$0]].lastStep < slots[ready[$1]].lastStep }) else {
            return ready[...]
        }
        let starts = max(0, oldest - count + 1)...min(oldest, ready.count - count)
        let best = starts.min { ready[$0 + count - 1] - ready[$0] < ready[$1 + count - 1] - ready[$1] } ?? starts.lowerBound
        return ready[best..<best + count]
    }

    /// Tokens of a slot's request that are to go in and are not under way.
    private func pending(_ slot: Int) -> Int { (slots[slot].active?.tokens.count ?? 0) - slots[slot].cached.count }

    /// Steps that may be under way now: where nobody's next token has to be waited for, one more than there are machines, so that the
    /// first has its next piece of prompt at hand when it is done with one.
    package var stepLimit: Int {
        depth > 1 && !slots.indices.contains { isGenerating($0) } ? depth + 1 : depth
    }

    /// Whether there are tokens for another step beside those under way.
    package var hasMore: Bool { slots.indices.contains { pending($0) > 0 } }

    /// Has a slot's last token go in once more, because what came of it is not enough to choose by.
    package mutating func repeatLast(slot: Int) { slots[slot].cached.removeLast() }

    private func piece(_ slot: Int, count: Int) -> BatchPiece {
        let first = slots[slot].cached.count
        let tokens = slots[slot].active?.tokens ?? []
        let end = first + count
        var piece = BatchPiece(
            slot: slot, firstPosition: first, tokens: Array(tokens[first..<end]),
            outputs: end == tokens.count ? .last : .none)
        piece.restores = slots[slot].active?.restores
        piece.keeps = checkpoint(slot, at: end)
        return piece
    }

    /// The request in a slot.
    package func request(inSlot slot: Int) -> Request? { slots[slot].active?.request }

    /// Notes the token that was chosen for a slot's request.
    ///
    /// - Returns: whether there is no room for another, by its own limit or the context; it keeps its slot until ``remove(_:)``.
    package mutating func choose(_ token: Int32, slot: Int, contextLength: Int) -> Bool {
        slots[slot].active?.generated += 1
        slots[slot].active?.tokens.append(token)
        guard let active = slots[slot].active else { return false }
        // Prompt and answer together fill the context at most.
        return active.generated >= active.request.limit || active.tokens.count >= contextLength
    }

    /// Forgets what every slot has cached, steps under way included, but keeps the requests: each takes its prompt and what
    /// was chosen so far in again, and goes on from there as if nothing had happened.
    package mutating func rewind() {
        for slot in slots.indices {
            slots[slot].cached = []
            slots[slot].checkpoints = emptySlot.checkpoints
            (slots[slot].written, slots[slot].stateCount) = (0, nil)
            slots[slot].active?.reused = 0
            slots[slot].active?.restores = nil
            // The last token is what a request that generates would take in next anyway.
            if let active = slots[slot].active, !active.isPrefilling { slots[slot].active?.replayEnd = active.tokens.count - 1 }
        }
    }

    /// Forgets what every slot has cached and drops all requests, after a step that failed half-way.
    package mutating func fail() -> [Int] {
        let ids = slots.compactMap { $0.active?.request.id } + waiting.map(\.id)
        waiting = []
        slots = slots.map { old in
            var slot = emptySlot
            slot.lastUse = old.lastUse
            return slot
        }
        return ids
    }
}
