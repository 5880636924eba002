/// What a placement sends over the wire for each token that is generated.
///
/// Workers do not talk to each other: what leaves one stage comes to the head and goes to the next from there. The head
/// itself looks up a token's row of the embedding, so the first stage is sent a hidden state like the others.
public struct WirePrice: Hashable, Sendable {
    /// Stages on the other side of a wire, so round trips, one after the other.
    public let roundTripCount: Int
    /// How long they take by themselves; nil if that of one of them is not known.
    public let roundTripTime: Duration?
    /// Hidden states sent or received, and their bytes.
    public let hiddenCount: Int
    public let hiddenByteCount: Int
    /// Bytes of what stages are sent beside them.
    public let inputByteCount: Int
    /// Bytes of a row of logits, and of the candidates that do where the sampler allows; 0 where they cross no wire.
    public let logitsByteCount: Int
    public let candidatesByteCount: Int

    /// Bytes per token, with all logits, and with the best candidates.
    public var byteCount: Int { hiddenByteCount + inputByteCount + logitsByteCount }
    public var leastByteCount: Int { hiddenByteCount + inputByteCount + candidatesByteCount }

    public init(_ placement: Placement) {
        let remote = placement.stages.filter { !placement.devices[$0.device].isLocal }
        let sendsLogits = remote.contains { $0.hasOutput }
        roundTripCount = remote.count
        var time: Duration? = .zero
        for stage in remote {
            if let sum = time, let trip = placement.devices[stage.device].roundTrip { time = sum + trip } else { time = nil }
        }
        roundTripTime = time
        hiddenCount = 2 * remote.count - (sendsLogits ? 1 : 0)
        let product = hiddenCount.multipliedReportingOverflow(by: placement.demand.hiddenByteCount)
        hiddenByteCount = product.overflow ? CheckedDemand.limit : min(product.partialValue, CheckedDemand.limit)
        let inputs = remote.count.multipliedReportingOverflow(by: placement.demand.inputByteCount)
        inputByteCount = inputs.overflow ? CheckedDemand.limit : min(inputs.partialValue, CheckedDemand.limit)
        logitsByteCount = sendsLogits ? placement.demand.logitsByteCount : 0
        candidatesByteCount = sendsLogits ? placement.demand.candidatesByteCount : 0
    }

    /// Milliseconds that bytes take on a link of 1 Gbit/s.
    public static func gigabitMilliseconds(_ byteCount: Int) -> Double { Double(byteCount) * 8 / 1e6 }
}
