public import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Memory of this process that tensors are placed in: the backend's own, zeroed at first, or somebody's bytes in place.
public final class CPUBuffer: Buffer, @unchecked Sendable {
    // Sendable: the fields are constant. The bytes are written by the backend's runs, which it serialises, and through
    // its `write`, whose callers see to it that nobody computes with the bytes they change.

    public let byteCount: Int
    public var backend: any Backend { owner }
    /// Whether graphs and ``CPUBackend/write(_:to:at:)`` may change the bytes.
    public let isWritable: Bool

    public var hostBytes: UnsafeMutableRawBufferPointer? {
        isWritable ? UnsafeMutableRawBufferPointer(start: base, count: byteCount) : nil
    }

    let base: UnsafeMutableRawPointer
    let owner: CPUBackend
    private let region: MemoryRegion?
    /// The address of buffers without bytes.
    nonisolated(unsafe) private static let nothing = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    /// What was mapped for it: `base` lies somewhere inside.
    let mapping: UnsafeMutableRawBufferPointer

    init(zeroed byteCount: Int, of owner: CPUBackend) throws(BackendError) {
        guard byteCount >= 0 else { throw BackendError(.invalidArgument, "a buffer of \(byteCount) bytes") }
        // Kernels may read a vector past a tensor's end, so there is always a page's rest behind the last byte.
        let (padded, overflow) = byteCount.addingReportingOverflow(CPUBackend.padding)
        guard !overflow, let size = Pages.roundedUp(padded) else {
            throw BackendError(.outOfMemory, "no memory for a buffer of \(byteCount) bytes")
        }
        try owner.processor.ledger.take(size)
        guard let base = Pages.map(size) else {
            owner.processor.ledger.giveBack(size)
            throw BackendError(.outOfMemory, "no memory for a buffer of \(byteCount) bytes")
        }
        self.byteCount = byteCount
        self.base = base
        self.owner = owner
        region = nil
        mapping = UnsafeMutableRawBufferPointer(start: base, count: size)
        isWritable = true
    }

    init(_ guarded: GuardedMemory, of owner: CPUBackend) {
        byteCount = guarded.byteCount
        base = guarded.base
        self.owner = owner
        region = nil
        mapping = guarded.mapping
        isWritable = true
    }

    init(_ region: MemoryRegion, of owner: CPUBackend) {
        byteCount = region.bytes.count
        base = region.bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0) } ?? CPUBuffer.nothing
        self.owner = owner
        self.region = region
        mapping = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        isWritable = false
        owner.processor.ledger.borrow(region.bytes)
    }

    deinit {
        if let region { owner.processor.ledger.giveBack(borrowed: region.bytes) }
        if let start = mapping.baseAddress {
            // Where the system has no room to cut the mapping out, the memory stays taken.
            if munmap(start, mapping.count) == 0 { owner.processor.ledger.giveBack(mapping.count) }
        }
    }

    public func discard() -> Bool {
        #if canImport(Glibc)
            // Private pages that nothing is behind come back zeroed.
            guard isWritable, let start = mapping.baseAddress, start == base else { return false }
            return madvise(start, mapping.count, Int32(MADV_DONTNEED)) == 0
        #else
            return false
        #endif
    }

    /// Checks that a range lies inside.
    func check(_ byteOffset: Int, _ count: Int) throws(BackendError) {
        guard byteOffset >= 0, count >= 0, count <= byteCount, byteOffset <= byteCount - count else {
            throw BackendError(
                .invalidArgument, "\(count) bytes at \(byteOffset) leave a buffer of \(byteCount) bytes")
        }
    }
}
