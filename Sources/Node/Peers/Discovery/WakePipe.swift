internal import RPCProto

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Wakes a thread that waits for descriptors.
final class WakePipe: Sendable {
    private let reading: Int32
    private let writing: Int32

    init() throws(DiscoveryError) {
        guard let ends = SystemSocket.openPipe() else { throw .noPipe(code: errno) }
        reading = ends.reading
        writing = ends.writing
    }

    deinit {
        close(reading)
        close(writing)
    }

    /// From any thread. If the pipe is full, the other end wakes anyway.
    func wake() {
        var byte: UInt8 = 1
        _ = write(writing, &byte, 1)
    }

    /// Waits until one of the descriptors can be read, or somebody has woken the thread, or until a moment of `MonotonicClock`.
    ///
    /// - Returns: the places of the descriptors that can be read (or are broken).
    func wait(for descriptors: [Int32], until moment: UInt64?, at now: UInt64) -> [Int] {
        var entries = ([reading] + descriptors).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        let milliseconds = moment.map { $0 > now ? Int32(clamping: ($0 - now) / 1_000_000 + 1) : 0 } ?? -1
        guard poll(&entries, nfds_t(entries.count), milliseconds) > 0 else { return [] }
        if entries[0].revents != 0 {
            var bytes = [UInt8](repeating: 0, count: 64)
            while read(reading, &bytes, bytes.count) > 0 {}
        }
        return entries.indices.dropFirst().filter { entries[$0].revents != 0 }.map { $0 - 1 }
    }
}
