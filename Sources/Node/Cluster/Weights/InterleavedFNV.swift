internal import Dispatch
internal import RPCProto
internal import Synchronization

/// `FNVHash` of many contents at once, the hash by which a worker with a cache is asked for a tensor.
///
/// Each byte waits for the product of the byte before, four cycles, so one content uses a quarter of what the processor can
/// multiply. Each thread therefore hashes four contents in step; a content by itself cannot be split.
enum InterleavedFNV {
    private static let laneCount = 4
    /// Bytes of each lane between two looks at what else there is to do.
    private static let stretch = 1 << 20

    /// - Parameters:
    ///   - threads: how many; the calling one, which must not be one that others wait for, is among them.
    ///   - progress: told of the bytes hashed so far, from any of the threads, one call at a time.
    /// - Returns: hashes in the order of the contents.
    static func hashes(
        of contents: [UnsafeRawBufferPointer], threads: Int, progress: @Sendable (_ byteCount: Int) -> Void = { _ in }
    ) -> [UInt64] {
        // The largest first: nobody should begin a large one when the others are done.
        let order = contents.indices.filter { contents[$0].count > 0 }.sorted { contents[$0].count > contents[$1].count }
        let results = Mutex([UInt64](repeating: FNVHash.basis, count: contents.count))
        let next = Mutex(0)
        let done = Mutex(0)
        // Only read, and nobody is left reading when this returns.
        nonisolated(unsafe) let contents = contents
        let threads = max(1, min(threads, order.count))
        if order.isEmpty { return results.withLock { $0 } }
        DispatchQueue.concurrentPerform(iterations: threads) { _ in
            var lanes: [Lane] = []
            while true {
                while lanes.count < laneCount {
                    let place = next.withLock { next in
                        defer { next += 1 }
                        return next
                    }
                    guard place < order.count else { break }
                    lanes.append(Lane(order[place], contents[order[place]]))
                }
                guard let shortest = lanes.map(\.rest.count).min() else { break }
                let step = min(shortest, stretch)
                advance(&lanes, step)
                results.withLock { results in
                    for lane in lanes where lane.rest.isEmpty { results[lane.index] = lane.hash }
                }
                let count = step * lanes.count
                lanes.removeAll { $0.rest.isEmpty }
                done.withLock { done in
                    done += count
                    progress(done)
                }
            }
        }
        return results.withLock { $0 }
    }

    private struct Lane {
        let index: Int
        var rest: UnsafeRawBufferPointer
        var hash = FNVHash.basis

        init(_ index: Int, _ content: UnsafeRawBufferPointer) {
            self.index = index
            rest = content
        }
    }

    /// - Parameter count: bytes, of which every lane has as many.
    private static func advance(_ lanes: inout [Lane], _ count: Int) {
        if lanes.count == 1 {
            lanes[0].hash = FNVHash.of(UnsafeRawBufferPointer(rebasing: lanes[0].rest[..<count]), continuing: lanes[0].hash)
        } else {
            // Where there are fewer, the first is hashed again in their place, which takes no longer.
            let place = (0..<laneCount).map { $0 < lanes.count ? $0 : 0 }
            let hashes = four(
                lanes[place[0]].rest, lanes[place[1]].rest, lanes[place[2]].rest, lanes[place[3]].rest, count,
                SIMD4(lanes[place[0]].hash, lanes[place[1]].hash, lanes[place[2]].hash, lanes[place[3]].hash))
            for index in lanes.indices { lanes[index].hash = hashes[index] }
        }
        for index in lanes.indices { lanes[index].rest = UnsafeRawBufferPointer(rebasing: lanes[index].rest[count...]) }
    }

    private static func four(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, _ c: UnsafeRawBufferPointer, _ d: UnsafeRawBufferPointer, _ count: Int,
        _ start: SIMD4<UInt64>
    ) -> SIMD4<UInt64> {
        guard let a = a.baseAddress, let b = b.baseAddress, let c = c.baseAddress, let d = d.baseAddress else { return start }
        let prime = FNVHash.prime
        var (first, second, third, fourth) = (start[0], start[1], start[2], start[3])
        var offset = 0
        while offset < count {
            first = (first ^ UInt64(a.load(fromByteOffset: offset, as: UInt8.self))) &* prime
            second = (second ^ UInt64(b.load(fromByteOffset: offset, as: UInt8.self))) &* prime
            third = (third ^ UInt64(c.load(fromByteOffset: offset, as: UInt8.self))) &* prime
            fourth = (fourth ^ UInt64(d.load(fromByteOffset: offset, as: UInt8.self))) &* prime
            offset += 1
        }
        return SIMD4(first, second, third, fourth)
    }
}
