package import RPCProto

/// A way to a node.
package enum Route: Hashable, Sendable, CustomStringConvertible {
    /// It takes tunnels there.
    case direct(Endpoint)
    /// It waits at this node to be called, and is met half-way.
    case punched(at: String)
    /// It waits at this node to be called: by that node itself, or by whoever that node joins with it.
    case called(at: String)

    package var description: String {
        switch self {
        case .direct(let place): "\(place)"
        case .punched(let id): "half-way, as \(id.prefix(8)) says"
        case .called(let id): "by way of \(id.prefix(8))"
        }
    }

    /// The address of a direct one.
    package var place: Endpoint? {
        switch self {
        case .direct(let place): place
        case .punched, .called: nil
        }
    }

    var isDirect: Bool { rank == 0 }

    /// The lower, the better: nobody between, and nobody needed to make a connection.
    fileprivate var rank: Int {
        switch self {
        case .direct: 0
        case .punched: 1
        case .called: 2
        }
    }
}

extension [Route] {
    /// The better kinds before the others, and otherwise as they are.
    var directFirst: [Route] { (0...2).flatMap { rank in filter { $0.rank == rank } } }
}
