package import PeerMessages
package import RPCProto

/// Where nodes wait to be called to which nobody can connect, as a door has need of it.
package protocol CallHost: AnyObject, Sendable {
    /// The ids of the nodes that wait here.
    var ids: [String] { get }

    /// Whether a node can wait here.
    func hasRoom(for id: String) -> Bool

    /// Has a node wait here, in this thread, until it leaves. The tunnel is the host's from now on.
    func attend(_ card: NodeCard, _ wire: OwnedDescriptor, _ seal: any StreamSeal)

    /// A node says that it was called with this ticket.
    ///
    /// - Parameter place: from where it comes.
    /// - Returns: nil if it was not called.
    func answer(_ id: String, _ ticket: CallTicket, from place: String) -> CallAnswer?

    /// A node has come because it was called, and is to be connected with whoever called it.
    func meet(_ ticket: CallTicket, _ connection: OwnedDescriptor)

    /// Calls a node for another one. Blocks.
    ///
    /// - Parameter deadline: of the monotonic clock.
    func reach(_ id: String, for caller: String, until deadline: UInt64) throws(TunnelError) -> any CallJunction

    /// Calls a node for one that wants to meet it half-way, and waits until it has come. Blocks.
    ///
    /// - Parameters:
    ///   - place: from where the caller came.
    ///   - deadline: of the monotonic clock.
    /// - Returns: from where the node came.
    func punch(_ id: String, from place: String, until deadline: UInt64) throws(TunnelError) -> String
}

/// How a node that was called is to be connected with its caller.
package enum CallAnswer: Hashable, Sendable {
    /// By the connection with which it came.
    case joined
    /// By one that both make, with the caller at this place.
    case halfway(String)
}

/// A node that was called for another one.
package protocol CallJunction: Sendable {
    /// Joins them, in this thread, until one of them leaves.
    func run(with caller: OwnedDescriptor)
}

/// What is said when a node comes that was called.
enum CallWords {
    /// What it says first, in the clear: it has read all that was said in TLS.
    static let ready: UInt8 = 1
}
