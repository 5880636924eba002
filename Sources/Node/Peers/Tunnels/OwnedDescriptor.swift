internal import RPCProto
internal import Synchronization

/// A descriptor that is closed with the last reference.
package final class OwnedDescriptor: Sendable {
    package let number: Int32
    private let isReleased = Atomic<Bool>(false)

    package init(_ number: Int32) { self.number = number }

    /// The descriptor, which is its caller's to close from now on.
    package func released() -> Int32 {
        isReleased.store(true, ordering: .relaxed)
        return number
    }

    deinit { if !isReleased.load(ordering: .relaxed) { SocketDialer.close(number) } }
}
