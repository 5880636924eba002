/// Bytes of the arena behind the planned tensors, for what one phase leaves to another.
///
/// Handed out in a ring, so that it stays in cache: what a phase takes may be given to one much later, and the schedule
/// sees from the addresses that the two conflict. What is to be kept for the whole run lies before the ring.
struct TemporaryMemory {
    /// The end of all that was ever handed out, in bytes from the arena's base.
    private(set) var end = 0
    private var ringStart = 0
    private var cursor = 0
    private let limit: Int
    /// What the current node's phases use, which must all be there at once.
    private var held: [Range<Int>] = []
    private static let ringSize = 4 << 20

    init(start: Int = 0, limit: Int = 0) {
        ringStart = start
        cursor = start
        end = start
        self.limit = limit
    }

    /// From here on another node takes.
    mutating func beginNode() { held.removeAll(keepingCapacity: true) }

    /// Keeps what an earlier node took from being taken by the current one.
    mutating func hold(_ range: Range<Int>) { held.append(range) }

    /// The offset of `bytes` bytes, 64-byte aligned; nil if there are not so many.
    mutating func take(_ bytes: Int, keep: Bool) -> Int? {
        guard bytes >= 0, bytes <= limit - 64 else { return nil }
        // Kernels may touch a vector past the end.
        let size = (bytes + 127) & ~63
        if keep {
            cursor = end
        } else if cursor - ringStart + size > max(TemporaryMemory.ringSize, size) {
            cursor = ringStart
        }
        let wanted = cursor..<(cursor + size)
        if held.contains(where: { $0.overlaps(wanted) }) { cursor = end }
        guard size <= limit - cursor else { return nil }
        let offset = cursor
        cursor += size
        held.append(offset..<cursor)
        end = max(end, cursor)
        if keep { ringStart = cursor }
        return offset
    }
}

/// Results of phases that later nodes can use again: packed activations, tables of angles.
struct SharedResults {
    struct Key: Hashable {
        enum Kind: Hashable {
            /// Activations packed for weights of a type.
            case packed(UInt32)
            /// Activations gathered as contiguous F32.
            case gathered
            /// Cosines and sines.
            case angles([UInt32])
        }

        var kind: Kind
        /// What it was made from: addresses, extents and strides.
        var source: [Int]
    }

    private struct Entry {
        var key: Key
        var place: UnsafeMutableRawBufferPointer
        var dependencies: [Range<UInt>]
    }

    private var entries: [Entry] = []
    /// Older ones are dropped.
    private static let capacity = 16

    func find(_ key: Key) -> UnsafeMutableRawBufferPointer? { entries.last { $0.key == key }?.place }

    mutating func remember(_ key: Key, at place: UnsafeMutableRawBufferPointer, madeFrom sources: [Range<UInt>]) {
        if entries.count == SharedResults.capacity { entries.removeFirst() }
        entries.append(Entry(key: key, place: place, dependencies: sources + [place.addresses]))
    }

    /// Drops what is no longer true once `range` is written.
    mutating func forget(overlapping range: Range<UInt>) {
        if entries.isEmpty { return }
        entries.removeAll { entry in entry.dependencies.contains { $0.overlaps(range) } }
    }
}

extension UnsafeMutableRawBufferPointer {
    var addresses: Range<UInt> {
        let start = UInt(bitPattern: baseAddress)
        return start..<(start &+ UInt(count))
    }
}
