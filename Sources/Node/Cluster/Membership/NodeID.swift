package import RPCProto

/// Who a worker is, apart from the routes by which it is reached: penalties, draining, reservations and listings go by this.
package enum NodeID: Hashable, Sendable, CustomStringConvertible {
    /// A worker of which nothing is known but where it listens.
    case endpoint(Endpoint)
    /// A worker that proves who it is, by the digest of its key.
    case key(String)

    /// `10.0.0.7:50052`, or the digest.
    package var description: String {
        switch self {
        case .endpoint(let endpoint): "\(endpoint)"
        case .key(let digest): digest
        }
    }
}
