internal import Tensor

/// Which graphs a server has kept for a device, to be computed again by number.
///
/// Servers keep up to 1024 numbers a device and clear all when one more comes; our own drops fewer at a FREE_BUFFER than
/// stock's, which drops all. So that both count alike, numbers come from a fixed set and are used again in turn: a graph
/// sent under the number of another takes its place, and the server's count never comes near its limit. Servers before 8.0
/// keep a device's last graph, without a number.
struct KeptGraphs {
    /// Numbers in use at most.
    static let limit = 192
    /// Bytes of the messages that a server is to keep, beyond which fewer numbers are used.
    static let byteLimit = 64 << 20

    /// The serial of the plan whose graph each number stands for, and the epoch in which it was sent.
    private var owners: [(plan: UInt64, epoch: UInt64)] = []
    private var next = 0
    private var largestMessage = 1

    /// Whether the server can compute the plan by its number.
    func has(_ plan: RPCPlan, _ epoch: UInt64) -> Bool {
        guard let slot = plan.slot, slot < owners.count else { return false }
        return owners[slot] == (plan.serial, epoch)
    }

    /// The number to send a plan's graph with.
    mutating func number(for plan: RPCPlan, _ pipeline: RequestPipeline) -> UInt64 {
        largestMessage = max(largestMessage, plan.message.bytes.count)
        let limit = pipeline.dialect.hasGraphNumbers ? min(max(KeptGraphs.byteLimit / largestMessage, 16), KeptGraphs.limit) : 1
        var slot = next
        if let own = plan.slot, own < owners.count, owners[own].plan == plan.serial {
            slot = own
        } else {
            if slot >= limit { slot = 0 }
            next = slot + 1
        }
        let owner = (plan: plan.serial, epoch: pipeline.graphEpoch)
        if slot < owners.count { owners[slot] = owner } else { owners.append(owner) }
        plan.slot = slot
        return UInt64(slot + 1)
    }
}
