/// How the caches of a model's stages are laid out: what the rows mean that steps name.
///
/// A slot's positions follow each other. Layers that see all before them keep all; those with a sliding window keep the last ones, as
/// a ring, so much longer than the window that a whole piece of a prompt can go in before anybody in it looks back. Recurrent layers
/// have one row a slot, one of zeros to begin from, one for what nobody wants, and copies of earlier times: checkpoints.
public struct CacheShape: Hashable, Sendable {
    public var slotCount: Int
    /// Positions per slot.
    public var contextLength: Int
    /// Positions that a query sees in layers with a sliding window, if there are any.
    public var window: Int?
    /// Copies of earlier states that a slot may have in recurrent layers.
    public var checkpointCount: Int

    /// Cached positions are read in multiples of this many.
    package static let keyBlock = 256

    /// Tokens that go into a ring at once, at most.
    static let ringPieceLength = 512

    public init(slotCount: Int, contextLength: Int, window: Int? = nil, checkpointCount: Int = 0) {
        self.slotCount = slotCount
        self.contextLength = contextLength
        self.window = window
        self.checkpointCount = checkpointCount
    }

    public init(_ h: Hyperparameters, slotCount: Int, contextLength: Int) {
        self.init(
            slotCount: slotCount, contextLength: contextLength, window: h.window,
            checkpointCount: h.isRecurrent ? CacheShape.defaultCheckpointCount : 0)
    }

    /// One near the end of a prompt, and some along the way.
    static let defaultCheckpointCount = 4

    // MARK: Positions

    /// Positions that layers keep of each slot.
    func positionsPerSlot(isRing: Bool) -> Int { isRing ? ringLength : contextLength }

    /// Does not depend on how large steps are, so that sums are taken in one order whatever they are.
    package var ringLength: Int {
        guard let window, window < contextLength else { return contextLength }
        let length = (window + CacheShape.ringPieceLength + CacheShape.keyBlock - 1) / CacheShape.keyBlock * CacheShape.keyBlock
        return min(contextLength, length)
    }

    /// Tokens of one slot that a step may take in.
    public var pieceLimit: Int { ringLength < contextLength ? CacheShape.ringPieceLength : contextLength }

    /// The row of a slot's position.
    func row(slot: Int, position: Int, isRing: Bool) -> Int64 {
        let length = positionsPerSlot(isRing: isRing)
        return Int64(slot * length + position % length)
    }

    // MARK: States

    var stateRowCount: Int { slotCount * (1 + checkpointCount) + 2 }
    /// Of zeros.
    var zeroRow: Int { slotCount }
    /// What is written there nobody reads.
    var wasteRow: Int { slotCount + 1 }

    func checkpointRow(slot: Int, _ number: Int) -> Int { slotCount + 2 + slot * checkpointCount + number }
}

extension CacheShape {
    /// Whether, positions up to `end` having been written, what the first `kept` tokens left is still all there: rings forget what lies
    /// far back.
    public func canRewind(from end: Int, to kept: Int) -> Bool {
        guard ringLength < contextLength, let window else { return true }
        // What is to be seen from `kept` on must not have been written over.
        return end <= ringLength || end - kept <= ringLength - window
    }
}
