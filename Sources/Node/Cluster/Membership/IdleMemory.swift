internal import Tensor

/// What a worker that nobody uses has free, look by look. Another head may have filled it, and leave it again, which is as good as a
/// worker that joins.
struct IdleMemory: Sendable {
    /// The least that each device had free since it was last noticed to have more.
    private var leastFree: [Int] = []

    /// A device counts as having more once so much of its memory is free in addition.
    private static let noteworthyShare = 0.1

    /// Notes what its devices say.
    ///
    /// - Parameter isFirst: whether it has just come.
    /// - Returns: whether one of them has noteworthily more free than at its least.
    mutating func note(_ memory: [DeviceMemory], isFirst: Bool) -> Bool {
        let free = memory.map(\.free)
        guard !isFirst, leastFree.count == free.count else {
            leastFree = free
            return false
        }
        let hasMore = zip(memory, leastFree).contains { memory, least in
            Double(memory.free) - Double(least) >= IdleMemory.noteworthyShare * Double(max(1, memory.total))
        }
        leastFree = hasMore ? free : zip(free, leastFree).map { min($0, $1) }
        return hasMore
    }
}
