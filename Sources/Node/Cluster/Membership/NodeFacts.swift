internal import Foundation
internal import NodeEngine
internal import RPCProto
internal import Tensor

/// What a worker was like when it was last connected to.
struct NodeFacts: Sendable {
    var version: String
    /// A short question and its answer.
    var roundTrip: Duration
}

extension Membership.Entry {
    /// As it is while nothing is known of what it has.
    func status(_ facts: NodeFacts?, _ connection: ServerConnection?) -> NodeStatus {
        let isThere: Bool
        var reason: String?
        switch presence {
        case .absent(let why): (isThere, reason) = (false, why)
        case .connecting(_, let wasIdle): isThere = wasIdle
        case .idle, .held: isThere = true
        }
        let state: NodeStatus.State = !isThere ? .absent : isDrained ? .drained : !isWelcome ? .leaving : .unused
        return NodeStatus(
            address: "\(id)", state: state, reason: reason, version: isThere ? facts?.version : nil,
            devices: (isThere ? memory : []).enumerated().map { index, memory in
                let saysMemory = memory.total > 0 || memory.free > 0
                return NodeStatus.Device(
                    name: "device \(index)", memoryFree: saysMemory ? memory.free : nil, memoryTotal: saysMemory ? memory.total : nil)
            },
            roundTripNanoseconds: isThere ? connection?.lifeLineRoundTrip ?? facts.map { Int($0.roundTrip / .nanoseconds(1)) } : nil,
            sentBytes: connection?.sentByteCount ?? 0, receivedBytes: connection?.receivedByteCount ?? 0)
    }
}
