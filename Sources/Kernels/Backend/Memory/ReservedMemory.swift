#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
internal import Tensor

/// Zeroed memory of the process, by whole pages, that the system provides as it is touched.
enum Pages {
    static let size = max(4096, Int(sysconf(Int32(_SC_PAGESIZE))))

    #if canImport(Darwin)
    private static let anonymous = MAP_PRIVATE | MAP_ANON
    private static let unreserved = MAP_PRIVATE | MAP_ANON | MAP_NORESERVE
    #else
    private static let anonymous = MAP_PRIVATE | MAP_ANONYMOUS
    private static let unreserved = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    #endif

    /// `byteCount` rounded up to whole pages, or nil if that overflows.
    static func roundedUp(_ byteCount: Int) -> Int? {
        let (sum, overflow) = byteCount.addingReportingOverflow(size - 1)
        return overflow ? nil : sum / size * size
    }

    /// Readable and writable bytes.
    static func map(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let pointer = mmap(nil, byteCount, PROT_READ | PROT_WRITE, anonymous, -1, 0)
        return pointer == MAP_FAILED ? nil : pointer
    }

    /// Addresses without memory behind them yet.
    static func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let pointer = mmap(nil, byteCount, PROT_NONE, unreserved, -1, 0)
        return pointer == MAP_FAILED ? nil : pointer
    }
}

/// Memory that grows without moving: a range of addresses, of which the lower part is usable.
///
/// Growing is for one thread at a time; the usable part may be in use meanwhile.
final class ReservedMemory: @unchecked Sendable {
    // Sendable: `base` and `capacity` are constant; `byteCount` is changed only under a lock of whoever owns this: a
    // lane's of its arena, the processor's of the threads' scratch.

    let base: UnsafeMutableRawPointer
    /// Bytes of addresses.
    let capacity: Int
    /// Usable bytes.
    private(set) var byteCount = 0

    /// - Parameter capacity: reduced by halves down to 1 GiB where the system refuses so many addresses.
    init(capacity: Int) throws(BackendError) {
        var wanted = capacity
        while true {
            if let base = Pages.reserve(wanted) {
                self.base = base
                self.capacity = wanted
                return
            }
            wanted /= 2
            if wanted < 1 << 30 { throw BackendError(.outOfMemory, "no room for \(wanted) bytes of addresses") }
        }
    }

    deinit { munmap(base, capacity) }

    /// Makes at least `count` bytes usable.
    func grow(to count: Int) throws(BackendError) {
        if count <= byteCount { return }
        guard let rounded = Pages.roundedUp(count), rounded <= capacity else {
            throw BackendError(.outOfMemory, "\(count) bytes for computing are more than the \(capacity) there can be")
        }
        guard mprotect(base, rounded, PROT_READ | PROT_WRITE) == 0 else {
            throw BackendError(.outOfMemory, "the system has no \(rounded) bytes for computing")
        }
        byteCount = rounded
    }

    /// Gives the system back what lies above the first `count` bytes; it stays usable, its content is lost.
    func release(above count: Int) {
        guard let kept = Pages.roundedUp(count), kept < byteCount else { return }
        madvise(base + kept, byteCount - kept, MADV_DONTNEED)
    }
}
