/// A session's link to its partner, of one device: joined by COMM_INIT, gone with COMM_FREE or the session.
///
/// An all-reduce is one exchange of the two ranks' parts, unframed: rank 0 sends all of its part and then receives, rank 1
/// receives all and then sends. That order is what keeps two workers from waiting for each other with full sockets, so
/// rank 1 sets aside memory for the whole part, and neither sends a piece before its turn. Facts: ggml's `ggml-rpc.cpp`.
final class CollectiveLink {
    private let socket: CollectiveSocket
    private let isFirst: Bool
    private let silence: Double
    /// For people: `rank 1 at 10.0.0.7`.
    private let partner: String
    private var room = UnsafeMutableRawBufferPointer(start: nil, count: 0)

    /// Elements that are encoded, sent or added at once: what stays in the cache.
    private static let piece = 32 << 10

    init(_ socket: CollectiveSocket, rank: UInt32, peer: NetworkAddress, silence: Double) {
        self.socket = socket
        self.silence = silence
        isFirst = rank == 0
        partner = "rank \(1 - min(rank, 1)) at \(peer)"
    }

    deinit { room.deallocate() }

    /// Adds the partner's part to F32 elements in place.
    func reduce(_ elements: UnsafeMutableRawBufferPointer) throws(SessionError) {
        let count = elements.count / 4
        let encoding = CollectiveEncoding(elementCount: count)
        do throws(CollectiveFailure) {
            if isFirst {
                try send(elements, count, encoding)
                try receiveAndAdd(elements, count, encoding)
            } else {
                let part = room(of: count * encoding.byteCount + CollectiveLink.piece * 4)
                let (received, spare) = (count * encoding.byteCount, part.count)
                let wire = UnsafeMutableRawBufferPointer(rebasing: part[..<received])
                try socket.receive(into: wire, silence: silence)
                let staging = UnsafeMutableRawBufferPointer(rebasing: part[received..<spare])
                try send(elements, count, encoding, staging)
                encoding.add(UnsafeRawBufferPointer(wire), to: elements)
            }
        } catch {
            throw SessionError(.link, nil, "\(partner): \(error.message)")
        }
    }

    private func send(
        _ elements: UnsafeMutableRawBufferPointer, _ count: Int, _ encoding: CollectiveEncoding,
        _ staging: UnsafeMutableRawBufferPointer? = nil
    ) throws(CollectiveFailure) {
        let staging = staging ?? room(of: CollectiveLink.piece * 4)
        for start in stride(from: 0, to: count, by: CollectiveLink.piece) {
            let end = min(count, start + CollectiveLink.piece)
            let own = UnsafeRawBufferPointer(rebasing: elements[(start * 4)..<(end * 4)])
            if encoding == .float32 {
                try socket.send(own, silence: silence)
                continue
            }
            let wire = UnsafeMutableRawBufferPointer(rebasing: staging[..<((end - start) * encoding.byteCount)])
            encoding.encode(own, into: wire)
            try socket.send(UnsafeRawBufferPointer(wire), silence: silence)
        }
    }

    private func receiveAndAdd(
        _ elements: UnsafeMutableRawBufferPointer, _ count: Int, _ encoding: CollectiveEncoding
    ) throws(CollectiveFailure) {
        let staging = room(of: CollectiveLink.piece * 4)
        for start in stride(from: 0, to: count, by: CollectiveLink.piece) {
            let end = min(count, start + CollectiveLink.piece)
            let wire = UnsafeMutableRawBufferPointer(rebasing: staging[..<((end - start) * encoding.byteCount)])
            try socket.receive(into: wire, silence: silence)
            encoding.add(UnsafeRawBufferPointer(wire), to: UnsafeMutableRawBufferPointer(rebasing: elements[(start * 4)..<(end * 4)]))
        }
    }

    /// Memory kept from one exchange to the next.
    private func room(of byteCount: Int) -> UnsafeMutableRawBufferPointer {
        if room.count < byteCount {
            room.deallocate()
            room = .allocate(byteCount: byteCount, alignment: 64)
        }
        return UnsafeMutableRawBufferPointer(rebasing: room[..<byteCount])
    }
}
