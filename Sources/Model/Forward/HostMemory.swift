/// Bytes that are used again and again, and grow where they must.
final class HostMemory {
    private var bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 64)

    deinit { bytes.deallocate() }

    /// What was there is gone if it grows.
    func grow(toByteCount count: Int) {
        if bytes.count >= count { return }
        bytes.deallocate()
        bytes = .allocate(byteCount: count, alignment: 64)
    }

    func bytes(_ range: Range<Int>) -> UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: bytes[range]) }

    func elements<Element>(_ range: Range<Int>, as type: Element.Type) -> UnsafeMutableBufferPointer<Element> {
        let size = MemoryLayout<Element>.stride
        return bytes(range.lowerBound * size..<range.upperBound * size).bindMemory(to: type)
    }
}
