#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// By what a file is taken for unchanged: its size and its time of change.
public struct FileStamp: Hashable, Sendable {
    public var byteCount: Int
    /// Nanoseconds since 1970.
    public var modified: Int

    init(byteCount: Int, modified: Int) {
        self.byteCount = byteCount
        self.modified = modified
    }

    /// Nil if there is no such file.
    public init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        #if canImport(Darwin)
            let time = status.st_mtimespec
        #else
            let time = status.st_mtim
        #endif
        // A time further from 1970 than 292 years is no more than a number that must stay the same.
        modified = Int(time.tv_sec) &* 1_000_000_000 &+ Int(time.tv_nsec)
        byteCount = Int(status.st_size)
    }

    /// Nil if not all of the files are there.
    static func all(_ paths: [String]) -> [FileStamp]? {
        var stamps: [FileStamp] = []
        for path in paths {
            guard let stamp = FileStamp(path: path) else { return nil }
            stamps.append(stamp)
        }
        return stamps
    }
}
