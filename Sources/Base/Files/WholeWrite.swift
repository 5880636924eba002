#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Writing all of some bytes to a file, pipe or terminal, however many calls that takes.
package enum WholeWrite {
    /// - Returns: the system's number of what went wrong; nil if all was written.
    package static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) -> Int32? {
        var rest = bytes[...]
        while !rest.isEmpty {
            let chunk = UnsafeRawBufferPointer(rebasing: rest)
            #if canImport(Glibc)
                let count = Glibc.write(descriptor, chunk.baseAddress, chunk.count)
            #elseif canImport(Musl)
                let count = Musl.write(descriptor, chunk.baseAddress, chunk.count)
            #else
                let count = Darwin.write(descriptor, chunk.baseAddress, chunk.count)
            #endif
            if count < 0 {
                if errno == EINTR { continue }
                return errno
            }
            rest = rest.dropFirst(count)
        }
        return nil
    }
}
