internal import Tensor

// Contents of tensors out of the cache.
extension Session {
    /// - Returns: whether the cache had the content. If it has one that turns out damaged, the place for it is zeroed.
    func setFromCache(_ tensor: TensorRecord, _ offset: UInt64, _ hash: UInt64) throws -> Bool {
        let place = try buffers.place(of: tensor)
        guard let cache = options.cache, let content = cache.find(hash, scope: options.cacheScope) else { return false }
        let range = try place.range(offset, UInt64(content.byteCount))
        try read(content, into: place.entry.buffer, range)
        if cache.accept(content) { return true }
        try fill(place.entry.buffer, range, 0)
        return false
    }

    /// What cannot be read is left out: then the content is not accepted.
    private func read(_ content: CachedContent, into buffer: any Buffer, _ range: Range<Int>) throws {
        if let host = buffer.hostBytes {
            _ = content.read(into: UnsafeMutableRawBufferPointer(rebasing: host[range]))
            return
        }
        let staging = UnsafeMutableRawBufferPointer.allocate(byteCount: min(range.count, Session.chunk), alignment: 16)
        defer { staging.deallocate() }
        try inChunks(range) { part in
            let piece = UnsafeMutableRawBufferPointer(rebasing: staging[..<part.count])
            guard content.read(into: piece) else { return }
            try backendCall { try buffer.backend.write(UnsafeRawBufferPointer(piece), to: buffer, at: part.lowerBound) }
        }
    }
}
