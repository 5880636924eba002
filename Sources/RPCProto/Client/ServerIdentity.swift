internal import Base
internal import Tensor

/// By what it is seen that two connections lead to one server, however it was named.
package enum ServerIdentity: Hashable, Sendable {
    /// A worker of ours, by the number that it drew when it began.
    case number(UInt64)
    /// Where a connection leads, port included: what can be known of others.
    case address([UInt8])
}

extension ServerConnection {
    /// What the server is known by: two connections that have one of these in common lead to the same.
    ///
    /// - Parameter asks: a worker of ours, over a second connection; blocks for as long as a greeting may take.
    package func identities(asks: Bool = true) -> Set<ServerIdentity> {
        guard let address = peerAddress else { return [] }
        // Where a stream was made in another way, its address may be that of somebody between.
        var identities: Set<ServerIdentity> = opener == nil ? [.address(address.bytes)] : []
        if asks, hasLifeLines, let number = askNumber(at: address) { identities.insert(.number(number)) }
        return identities
    }

    /// Nil where it does not say: one of an older version, or one that takes no second connection.
    private func askNumber(at address: SocketAddress) -> UInt64? {
        let stream: OpenedStream
        if let opener {
            guard let opened = try? opener.open(within: limits.connect) else { return nil }
            stream = opened
        } else {
            guard let descriptor = try? SocketDialer.connect(to: address, within: limits.connect) else { return nil }
            stream = OpenedStream(descriptor: descriptor, seal: nil)
        }
        let pipeline = RequestPipeline(ClientStream(stream), endpoint, limits)
        pipeline.dialect = dialect
        pipeline.begin(within: limits.answer)
        pipeline.ask(.hello(.lifeLine))
        do throws(BackendError) {
            try pipeline.flush()
            _ = try pipeline.greetingVersion()
            try pipeline.finish()
        } catch {
            return nil
        }
        return pipeline.greetingCapabilities?.workerNumber
    }
}

extension Endpoint {
    /// For each endpoint the first of them that stands for one of its addresses, which may be itself. Names are looked up.
    package static func firstAlike(of endpoints: [Endpoint], within seconds: Double) -> [Int] {
        let deadline = MonotonicClock.moment(in: seconds)
        let addresses = Parallel.map(endpoints) { endpoint in Set((try? SocketDialer.addresses(of: endpoint, until: deadline)) ?? []) }
        return endpoints.indices.map { index in
            endpoints.indices.first { $0 == index || !addresses[$0].isDisjoint(with: addresses[index]) } ?? index
        }
    }
}
