/// Which device: one of this machine's, by its number, or a worker's.
package enum DeviceID: Hashable, Sendable {
    case local(Int)
    case remote(NodeID, Int)

    var isLocal: Bool {
        if case .local = self { true } else { false }
    }
}
