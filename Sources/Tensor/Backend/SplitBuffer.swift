internal import Synchronization

/// A buffer of a ``SplitBackend``: memory of the primary, and what of it the fallback has copies of.
///
/// The primary's bytes are the ones that count. A copy knows which of its bytes are the primary's still; whoever changes
/// bytes says so here.
final class SplitBuffer: Buffer {
    /// The primary's.
    let inner: any Buffer
    let owner: SplitBackend
    /// What the buffer was loaded from.
    private let sources: [Source]

    /// A tensor that was loaded, and where it is in the buffer.
    struct Source {
        var bytes: Range<Int>
        var tensor: TensorUpload
    }

    private struct Entry {
        weak var copy: FallbackCopy?
        /// Keeps a copy for later plans, for as long as no graph writes what it is of.
        var kept: FallbackCopy?
    }

    private let entries = Mutex<[Entry]>([])

    init(_ inner: any Buffer, of owner: SplitBackend, sources: [Source] = []) {
        self.inner = inner
        self.owner = owner
        self.sources = sources
    }

    var byteCount: Int { inner.byteCount }
    var backend: any Backend { owner }
    var isReadOnly: Bool { !sources.isEmpty }

    // No `hostBytes`, even where the primary's have them: writes there would pass the fallback's copies by.

    func discard() -> Bool {
        defer { bytesChanged(in: [0..<byteCount]) }
        return inner.discard()
    }

    /// Memory of the fallback for these bytes: what there is already, else new, with nothing in it yet.
    func copy(of range: Range<Int>) throws(BackendError) -> FallbackCopy {
        try entries.withLock { entries throws(BackendError) in
            entries.removeAll { $0.copy == nil }
            for entry in entries {
                if let copy = entry.copy, copy.range.lowerBound <= range.lowerBound, range.upperBound <= copy.range.upperBound {
                    return copy
                }
            }
            let copy: FallbackCopy
            if let source = sources.first(where: { $0.bytes.contains(range) }),
                let loaded = try owner.fallback.load([source.tensor]).first
            {
                copy = FallbackCopy(of: source.bytes, in: loaded.buffer, at: loaded.byteOffset, fresh: RangeSet(source.bytes))
            } else {
                // Bytes begin as far from where tensors may begin as in the primary's memory.
                let start = range.lowerBound & ~(owner.fallback.alignment - 1)
                let buffer = try owner.fallback.allocate(byteCount: range.upperBound - start)
                copy = FallbackCopy(of: start..<range.upperBound, in: buffer, at: 0, fresh: RangeSet())
            }
            for index in entries.indices {
                if let kept = entries[index].kept, copy.range.contains(kept.range) { entries[index].kept = nil }
            }
            entries.append(Entry(copy: copy, kept: copy))
            return copy
        }
    }

    /// To be called after the primary's bytes have changed, or may have.
    ///
    /// - Parameters:
    ///   - source: the copy that they were changed from.
    ///   - isRepeated: whether it was a graph that changed them, which may well do so in each step.
    func bytesChanged(in ranges: RangeSet<Int>, from source: FallbackCopy? = nil, isRepeated: Bool = false) {
        entries.withLock { entries in
            for index in entries.indices {
                guard let copy = entries[index].copy, ranges.ranges.contains(where: { $0.overlaps(copy.range) }) else { continue }
                if isRepeated { entries[index].kept = nil }
                if copy !== source { copy.forget(ranges) }
            }
        }
    }

    func bytesChanged(in ranges: [Range<Int>]) { bytesChanged(in: RangeSet(ranges)) }
}

/// Memory of a fallback for some bytes of a ``SplitBuffer``.
final class FallbackCopy: Sendable {
    /// Which bytes of the primary's buffer.
    let range: Range<Int>
    let buffer: any Buffer
    private let start: Int
    /// Those that are the same as the primary's.
    private let fresh: Mutex<RangeSet<Int>>

    /// - Parameter start: where in the fallback's buffer the first of the bytes is.
    init(of range: Range<Int>, in buffer: any Buffer, at start: Int, fresh: RangeSet<Int>) {
        self.range = range
        self.buffer = buffer
        self.start = start
        self.fresh = Mutex(fresh)
    }

    /// Where in the fallback's buffer a byte of the primary's is.
    func offset(of byte: Int) -> Int { byte - range.lowerBound + start }

    /// Which of these bytes have to be fetched.
    func stale(of ranges: RangeSet<Int>) -> RangeSet<Int> { fresh.withLock { ranges.subtracting($0) } }

    func renew(_ ranges: RangeSet<Int>) { fresh.withLock { $0.formUnion(ranges) } }

    func forget(_ ranges: RangeSet<Int>) { fresh.withLock { $0.subtract(ranges) } }

    /// The copy's memory for bytes of the primary's buffer, where it is this process's.
    func hostBytes(of bytes: Range<Int>) -> UnsafeMutableRawBufferPointer? {
        guard let host = buffer.hostBytes else { return nil }
        return UnsafeMutableRawBufferPointer(rebasing: host[offset(of: bytes.lowerBound)..<offset(of: bytes.upperBound)])
    }
}
