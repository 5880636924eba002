/// The outline of one step: how many tokens, whose, and how far back each sees. Steps of equal layout share a plan.
public struct BatchLayout: Hashable, Sendable {
    /// Tokens of one prompt, or the next token of each of several slots, attended over together.
    public struct Group: Hashable, Sendable {
        /// The group's tokens lie next to each other in the batch, from here on.
        public var firstToken: Int
        public var tokenCount: Int
        /// The range of slots whose caches are read. With more than one, each has one token or none.
        public var firstSlot: Int
        public var slotCount: Int
        /// Cached positions read of each slot, from 0 on: padded, so that most steps repeat.
        public var keyCount: Int

        public var tokensPerSlot: Int { slotCount == 1 ? tokenCount : 1 }
        /// How many slots' tokens there are.
        public var sequenceCount: Int { slotCount == 1 ? 1 : tokenCount }
        /// Whether some slots of the range have no token in this step.
        public var hasGaps: Bool { slotCount > 1 && slotCount != tokenCount }
    }

    public var tokenCount: Int
    public var groups: [Group]
    /// How many tokens' results are wanted.
    public var outputCount: Int
    public var produces: Product

    public enum Product: Hashable, Sendable {
        case logits
        /// The likeliest tokens and their logits, ``candidateCount`` of each row: for who is far away and needs no more.
        case candidates
        /// Hidden states: for another stage, or to make logits of in pieces where there are many outputs at once.
        case hiddenStates
    }

    /// Likeliest tokens that take a row of logits' place.
    public static let candidateCount = 64
}

/// What one step is to do for one slot: tokens that follow each other, from a position on.
public struct BatchPiece: Sendable {
    public enum Outputs: Hashable, Sendable { case none, last, all }

    public var slot: Int
    public var firstPosition: Int
    public var tokens: [Int32]
    /// Whose logits are wanted.
    public var outputs: Outputs
    /// The slot's checkpoint that the state of recurrent layers is taken from, instead of what the slot's last tokens left.
    public var restores: Int?
    /// The slot's checkpoint that keeps a copy of what these tokens leave.
    public var keeps: Int?
    /// Columns behind the tokens that stand for nothing. What they leave in the cache is hidden from every token until that
    /// position's own comes and takes its place.
    var padding = 0

    /// Tokens and padding.
    var columnCount: Int { tokens.count + padding }

    public init(slot: Int, firstPosition: Int, tokens: [Int32], outputs: Outputs) {
        self.slot = slot
        self.firstPosition = firstPosition
        self.tokens = tokens
        self.outputs = outputs
    }
}

/// How far prompts are padded, so that those of similar lengths share a layout and its prepared graphs.
public enum PromptPadding: Hashable, Sendable {
    /// To the next eight columns, which kernels take together anyway: where preparing a graph takes little longer than a
    /// few columns do. Up to eight, each costs its own.
    case slight
    /// Further, for few different counts: where a new graph has to be sent far.
    case generous

    /// Columns that are added at most.
    package static let limit = 31

    func columnCount(for count: Int) -> Int {
        let step =
            switch self {
            case .slight: count <= 8 ? 1 : 8
            case .generous: count <= 32 ? 8 : 32
            }
        return (count + step - 1) / step * step
    }
}

/// The pieces of one step in the order of its columns, with the layout that serves them.
///
/// Single tokens come first, by slot, and share one group; longer pieces have a group each.
package struct Batch {
    package var pieces: [BatchPiece]
    package var layout: BatchLayout

    /// Columns of a padded step of at most so many tokens.
    package static func columnLimit(batchSize: Int) -> Int { (batchSize + 31) / 32 * 32 }

    /// - Parameters:
    ///   - columnLimit: up to so many columns in all, longer pieces get some that stand for nothing. Nil adds none.
    ///   - pieceLimit: columns of one piece, padding among them, at most.
    ///   - padding: how many.
    package init(
        _ unordered: [BatchPiece], contextLength: Int, columnLimit: Int? = nil, pieceLimit: Int = .max,
        padding: PromptPadding = .generous
    ) {
        let single = unordered.filter { $0.tokens.count == 1 }.sorted { $0.slot < $1.slot }
        var longer = unordered.filter { $0.tokens.count > 1 }
        if let columnLimit {
            var spare = max(0, columnLimit - unordered.reduce(0) { $0 + $1.tokens.count })
            for index in longer.indices {
                let count = longer[index].tokens.count
                let room = min(contextLength - longer[index].firstPosition, max(count, pieceLimit))
                longer[index].padding = max(0, min(padding.columnCount(for: count), room, count + spare) - count)
                spare -= longer[index].padding
            }
        }
        pieces = single + longer
        var groups: [BatchLayout.Group] = []
        var next = 0
        func add(_ members: some BidirectionalCollection<BatchPiece>) {
            guard let first = members.first, let last = members.last else { return }
            let count = members.reduce(0) { $0 + $1.columnCount }
            let end = members.reduce(0) { max($0, $1.firstPosition + $1.columnCount) }
            let padded = (end + CacheShape.keyBlock - 1) / CacheShape.keyBlock * CacheShape.keyBlock
            groups.append(
                BatchLayout.Group(
                    firstToken: next, tokenCount: count, firstSlot: first.slot, slotCount: last.slot - first.slot + 1,
                    keyCount: min(padded, contextLength)))
            next += count
        }
        add(single)
        for piece in longer { add(CollectionOfOne(piece)) }
        let outputs = pieces.reduce(0) { sum, piece in
            switch piece.outputs {
            case .none: sum
            case .last: sum + 1
            case .all: sum + piece.tokens.count
            }
        }
        layout = BatchLayout(tokenCount: next, groups: groups, outputCount: outputs, produces: .logits)
    }
}
