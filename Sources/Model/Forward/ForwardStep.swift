internal import Tensor

/// One step on its way through the stages: what goes in, and what has come out of the stage before.
///
/// Its memory is used again from step to step. One thread at a time: whoever has it hands it on.
public final class ForwardStep {
    package private(set) var batch = Batch([], contextLength: 0)
    /// Whether the likeliest tokens are enough of a result.
    package private(set) var wantsCandidates = false
    private(set) var inputs = StepInputs()

    /// Bytes of one column of hidden states.
    private let columnByteCount: Int
    private let vocabularySize: Int
    private let states = HostMemory()
    /// Columns of hidden states that are there.
    private var columnCount = 0
    private let logits = HostMemory()
    private let tokens = HostMemory()

    init(_ h: Hyperparameters, _ hiddenType: ElementType) {
        columnByteCount = hiddenType.byteCount(elements: h.embeddingLength) ?? 4 * h.embeddingLength
        vocabularySize = h.vocabularySize
    }

    /// Begins with pieces that have been checked.
    func begin(_ pieces: [BatchPiece], _ cache: CacheShape, wantsCandidates: Bool, columnLimit: Int?, padding: PromptPadding) {
        batch = Batch(
            pieces, contextLength: cache.contextLength, columnLimit: columnLimit, pieceLimit: cache.pieceLimit, padding: padding)
        self.wantsCandidates = wantsCandidates && vocabularySize > BatchLayout.candidateCount
        if batch.layout.outputCount > ForwardStage.outputsAtOnce {
            batch.layout.produces = .hiddenStates
        } else if self.wantsCandidates {
            batch.layout.produces = .candidates
        }
        inputs.fill(batch, cache)
    }

    // MARK: Results

    /// What a stage made of one of the wanted columns.
    public enum Result {
        /// One for each token of the vocabulary.
        case logits(UnsafeBufferPointer<Float>)
        /// The likeliest, of which there are ``BatchLayout/candidateCount``.
        case candidates([Candidates.Entry])
    }

    /// The result in a row of the step's memory; valid until the step is used again.
    package func result(row: Int) -> Result {
        let values = logits.elements(row * rowLength..<(row + 1) * rowLength, as: Float.self)
        guard wantsCandidates else { return .logits(UnsafeBufferPointer(values)) }
        let ids = tokens.elements(row * rowLength..<(row + 1) * rowLength, as: Int32.self)
        // From another machine, so nothing is taken for granted: neither order nor range.
        var entries: [Candidates.Entry] = []
        entries.reserveCapacity(rowLength)
        for (token, logit) in zip(ids, values) where token >= 0 && Int(token) < vocabularySize {
            entries.append(Candidates.Entry(token: token, logit: logit))
        }
        entries.sort { $0.precedes($1) }
        return .candidates(entries)
    }

    /// Logits, or candidates, of one column.
    private var rowLength: Int { wantsCandidates ? BatchLayout.candidateCount : vocabularySize }

    // MARK: For stages

    func reserveStates(columns: Int) { states.grow(toByteCount: columns * columnByteCount) }

    func reserveResults(columns: Int) {
        logits.grow(toByteCount: columns * rowLength * 4)
        if wantsCandidates { tokens.grow(toByteCount: columns * rowLength * 4) }
    }

    /// Takes the hidden states that are there.
    func statesWrite(_ tensor: TensorID) -> Step.Write {
        Step.Write(tensor: tensor, bytes: UnsafeRawBufferPointer(states.bytes(0..<columnCount * columnByteCount)))
    }

    /// Takes some columns of the hidden states.
    func statesWrite(_ tensor: TensorID, _ columns: Range<Int>) -> Step.Write {
        let bytes = states.bytes(columns.lowerBound * columnByteCount..<columns.upperBound * columnByteCount)
        return Step.Write(tensor: tensor, bytes: UnsafeRawBufferPointer(bytes))
    }

    /// Leaves hidden states.
    func statesRead(_ tensor: TensorID, columns: Int) -> Step.Read {
        columnCount = columns
        return Step.Read(tensor: tensor, into: states.bytes(0..<columns * columnByteCount))
    }

    /// Leaves results in the rows from `row` on.
    func resultReads(_ prepared: PreparedGraph, count: Int, row: Int) -> [Step.Read] {
        let range = row * rowLength * 4..<(row + count) * rowLength * 4
        let values = Step.Read(tensor: prepared.result, into: logits.bytes(range))
        guard let ids = prepared.tokens else { return [values] }
        return [Step.Read(tensor: ids, into: tokens.bytes(range)), values]
    }
}
