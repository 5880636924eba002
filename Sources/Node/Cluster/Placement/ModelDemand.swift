/// What one layer of a model takes where it is put.
public struct LayerDemand: Hashable, Sendable {
    /// Bytes of its weights, in the form in which the device keeps them.
    public var weightByteCount: Int
    /// Bytes of its keys and values, at the context and slots wanted.
    public var cacheByteCount: Int

    public init(weightByteCount: Int, cacheByteCount: Int) {
        self.weightByteCount = weightByteCount
        self.cacheByteCount = cacheByteCount
    }
}

/// What a model takes, cut as finely as it can be cut: the layers, in order, and the output head.
public struct ModelDemand: Hashable, Sendable {
    /// For headings and messages.
    public var name: String
    /// Tokens of each slot.
    public var contextSize: Int
    public var slotCount: Int

    /// The layers, in order.
    public var layers: [LayerDemand]
    /// Bytes of the output head: its norm and its matrix.
    public var outputByteCount: Int
    /// Bytes of the largest thing that a layer, and that the output head, needs in one piece: a tensor, or a layer's keys and values.
    public var largestPieceByteCount = 0
    public var largestOutputPieceByteCount = 0

    /// Bytes of the compute buffer of a stage without the output head. It does not depend on how many layers the stage
    /// has, since they use it one after the other.
    public var computeByteCount: Int
    /// Bytes of the compute buffer of the stage with the output head.
    public var outputComputeByteCount: Int

    /// Bytes per token that enter a stage, and that leave all but the last: the hidden state.
    public var hiddenByteCount: Int
    /// Bytes per token that each stage is sent beside the hidden state: positions above all.
    public var inputByteCount: Int
    /// Bytes per token that leave the last stage where the sampler needs all logits.
    public var logitsByteCount: Int
    /// Bytes per token that leave the last stage where the sampler is content with the best candidates.
    public var candidatesByteCount: Int

    public init(
        name: String, contextSize: Int, slotCount: Int, layers: [LayerDemand], outputByteCount: Int, computeByteCount: Int,
        outputComputeByteCount: Int, hiddenByteCount: Int, inputByteCount: Int = 0, logitsByteCount: Int, candidatesByteCount: Int
    ) {
        self.name = name
        self.contextSize = contextSize
        self.slotCount = slotCount
        self.layers = layers
        self.outputByteCount = outputByteCount
        self.computeByteCount = computeByteCount
        self.outputComputeByteCount = outputComputeByteCount
        self.hiddenByteCount = hiddenByteCount
        self.inputByteCount = inputByteCount
        self.logitsByteCount = logitsByteCount
        self.candidatesByteCount = candidatesByteCount
    }

    /// Bytes of what a device would need in one buffer and cannot have, be it for layers or for the output head; nil if it can have
    /// one of the two.
    func pieceTooLarge(for device: DeviceSupply) -> Int? {
        let layers = max(largestPieceByteCount, computeByteCount)
        let output = max(largestOutputPieceByteCount, outputComputeByteCount)
        let least = min(layers, output)
        return least > device.largestBufferByteCount ? least : nil
    }

    func computeByteCount(hasOutput: Bool) -> Int { hasOutput ? outputComputeByteCount : computeByteCount }
}

/// The sums of a demand whose figures have been found believable, so that nothing made of them can overflow.
struct CheckedDemand {
    /// No sum may be larger: an exbibyte, which leaves room to add a few.
    static let limit = 1 << 60

    let weightByteCount: Int
    let cacheByteCount: Int
    /// Bytes of all layers before each; one more than there are layers.
    let layerStarts: [Int]

    var layerByteCount: Int { layerStarts[layerStarts.count - 1] }

    init(_ demand: ModelDemand) throws(PlacementError) {
        if demand.layers.isEmpty { throw .unbelievable("the model has no layers") }
        var weights = 0
        var cache = 0
        var sum = 0
        var starts = [0]
        starts.reserveCapacity(demand.layers.count + 1)
        for (index, layer) in demand.layers.enumerated() {
            weights = try Self.sum(weights, layer.weightByteCount, "the weights up to layer \(index)")
            cache = try Self.sum(cache, layer.cacheByteCount, "the cache up to layer \(index)")
            sum = try Self.sum(weights, cache, "the layers up to layer \(index)")
            starts.append(sum)
        }
        for (bytes, what) in [
            (demand.computeByteCount, "the compute buffer"), (demand.outputComputeByteCount, "the compute buffer with the output head"),
            (demand.hiddenByteCount, "a hidden state"), (demand.inputByteCount, "a stage's inputs"),
            (demand.logitsByteCount, "a row of logits"),
            (demand.candidatesByteCount, "a row of candidates"), (demand.outputByteCount, "the output head"),
        ] {
            sum = try Self.sum(sum, bytes, what)
        }
        weightByteCount = weights
        cacheByteCount = cache
        layerStarts = starts
    }

    private static func sum(_ sum: Int, _ bytes: Int, _ what: String) throws(PlacementError) -> Int {
        guard bytes >= 0, bytes <= limit, sum + bytes <= limit else {
            throw .unbelievable("\(what) cannot be \(bytes) bytes more than \(sum)")
        }
        return sum + bytes
    }
}
