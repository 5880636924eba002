#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Memory whose last byte is the last that can be touched: the page after it may be neither read nor written.
final class GuardedMemory {
    let start: UnsafeMutableRawPointer
    let byteCount: Int
    private let mapping: UnsafeMutableRawPointer
    private let mappedByteCount: Int

    /// `alignment` of `start`; where it asks for it, up to that many bytes after the end can be touched.
    init(_ byteCount: Int, alignment: Int = 1) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let used = (byteCount + page - 1) / page * page
        mappedByteCount = used + page
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let mapping = mmap(nil, mappedByteCount, PROT_READ | PROT_WRITE, flags, -1, 0), mapping != MAP_FAILED else {
            fatalError("no memory to test with")
        }
        mprotect(mapping + used, page, PROT_NONE)
        self.mapping = mapping
        self.byteCount = byteCount
        start = mapping + (used - byteCount) / alignment * alignment
    }

    convenience init(_ bytes: [UInt8]) {
        self.init(bytes.count)
        bytes.withUnsafeBytes { if let base = $0.baseAddress { start.copyMemory(from: base, byteCount: $0.count) } }
    }

    deinit { munmap(mapping, mappedByteCount) }
}
