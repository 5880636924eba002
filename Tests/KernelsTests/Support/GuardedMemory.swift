import Foundation

/// Memory that ends where the process may not read on: a kernel that looks past its row dies.
final class GuardedMemory {
    private let base: UnsafeMutableRawPointer
    private let mapped: Int
    /// `byteCount` bytes, the last of which is the last of its page.
    let pointer: UnsafeMutableRawPointer

    init(byteCount: Int) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let used = (byteCount + page - 1) / page * page
        mapped = used + page
        #if canImport(Darwin)
        let flags = MAP_PRIVATE | MAP_ANON
        #else
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        #endif
        guard let memory = mmap(nil, mapped, PROT_READ | PROT_WRITE, flags, -1, 0), memory != MAP_FAILED else {
            fatalError("no memory for the test")
        }
        mprotect(memory + used, page, PROT_NONE)
        base = memory
        pointer = memory + (used - byteCount)
    }

    convenience init<T: BitwiseCopyable>(_ values: [T]) {
        self.init(byteCount: values.count * MemoryLayout<T>.stride)
        values.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { pointer.copyMemory(from: start, byteCount: bytes.count) }
        }
    }

    var floats: UnsafeMutablePointer<Float> { pointer.assumingMemoryBound(to: Float.self) }

    func floats(_ count: Int) -> [Float] { (0..<count).map { floats[$0] } }

    deinit { munmap(base, mapped) }
}
