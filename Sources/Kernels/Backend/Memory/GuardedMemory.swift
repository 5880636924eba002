#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif
package import Tensor

/// Zeroed memory between two pages that end the process when they are touched, for tests: the padding behind the bytes
/// ends at the second page, and what lies between the first page and the bytes is less than a page.
///
/// Around the bytes a pattern is laid, so that writes there show too: padding may be read, never written.
struct GuardedMemory {
    let byteCount: Int
    let base: UnsafeMutableRawPointer
    let mapping: UnsafeMutableRawBufferPointer

    private static let pattern: UInt8 = 0xa5

    /// Nil if the system has no memory for it.
    init?(byteCount: Int, padding: Int, alignment: Int) {
        let (padded, overflow) = byteCount.addingReportingOverflow(padding + alignment - 1)
        guard byteCount >= 0, !overflow, let inner = Pages.roundedUp(padded & ~(alignment - 1)),
            inner <= Int.max - 2 * Pages.size, let start = Pages.map(inner + 2 * Pages.size)
        else { return nil }
        mapping = UnsafeMutableRawBufferPointer(start: start, count: inner + 2 * Pages.size)
        let end = start + Pages.size + inner
        base = end - (padded & ~(alignment - 1))
        self.byteCount = byteCount
        guard mprotect(start, Pages.size, PROT_NONE) == 0, mprotect(end, Pages.size, PROT_NONE) == 0 else {
            munmap(start, mapping.count)
            return nil
        }
        for margin in GuardedMemory.margins(of: mapping, base, byteCount) {
            margin.initializeMemory(as: UInt8.self, repeating: GuardedMemory.pattern)
        }
    }

    /// What lies between the pages and the bytes.
    private static func margins(
        of mapping: UnsafeMutableRawBufferPointer, _ base: UnsafeMutableRawPointer, _ byteCount: Int
    ) -> [UnsafeMutableRawBufferPointer] {
        guard let start = mapping.baseAddress else { return [] }
        let (first, end) = (start + Pages.size, start + (mapping.count - Pages.size))
        return [
            UnsafeMutableRawBufferPointer(start: first, count: base - first),
            UnsafeMutableRawBufferPointer(start: base + byteCount, count: end - (base + byteCount)),
        ]
    }

    static func isUntouched(
        _ mapping: UnsafeMutableRawBufferPointer, around base: UnsafeMutableRawPointer, _ byteCount: Int
    ) -> Bool {
        margins(of: mapping, base, byteCount).allSatisfy { margin in margin.allSatisfy { $0 == pattern } }
    }
}

extension CPUBackend {
    /// Memory for tests of what computes in it: see ``GuardedMemory``.
    package func allocateGuarded(byteCount: Int) throws(BackendError) -> CPUBuffer {
        guard let memory = GuardedMemory(byteCount: byteCount, padding: CPUBackend.padding, alignment: alignment) else {
            throw BackendError(.outOfMemory, "no memory for a buffer of \(byteCount) bytes")
        }
        do throws(BackendError) {
            try processor.ledger.take(memory.mapping.count)
        } catch {
            munmap(memory.mapping.baseAddress, memory.mapping.count)
            throw error
        }
        return CPUBuffer(memory, of: self)
    }
}

extension CPUBuffer {
    /// Of a guarded buffer: whether nothing around its bytes has been written.
    package var isPaddingUntouched: Bool { GuardedMemory.isUntouched(mapping, around: base, byteCount) }
}
