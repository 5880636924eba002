#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// Why a cache cannot be had, or why something could not be kept in it.
public struct CacheError: Error, CustomStringConvertible {
    public let path: String
    public let reason: String

    init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }

    /// - Parameter number: what `errno` was.
    init(_ path: String, number: Int32) {
        self.init(path, String(cString: strerror(number)))
    }

    public var description: String { "\(path): \(reason)" }
}

/// A file as a folder lists it.
struct CacheEntry {
    let name: String
    let byteCount: Int
    /// Nanoseconds since 1970.
    let modified: Int
    let isFile: Bool
}

/// An open folder. Everything in it is named relative to it and no symbolic link is followed, so that whatever is put in
/// its way, nothing outside of it is read or written.
final class CacheDirectory {
    private let descriptor: Int32
    /// For people.
    let path: String

    private init(_ descriptor: Int32, _ path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// A folder that the user named, made with those above it if it is not there. A link to a folder is the user's choice.
    static func named(_ path: String, makes: Bool) throws(CacheError) -> CacheDirectory {
        if makes {
            var end = path.utf8.startIndex
            while end < path.utf8.endIndex {
                let next = path.utf8[path.utf8.index(after: end)...].firstIndex(of: UInt8(ascii: "/")) ?? path.utf8.endIndex
                // What goes wrong here shows when the whole is opened.
                _ = mkdir(String(path[..<next]), 0o700)
                end = next
            }
        }
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 { throw CacheError(path, number: errno) }
        return CacheDirectory(descriptor, path)
    }

    /// A folder in this one, which belongs to this user and which nobody else can use.
    func folder(_ name: String, makes: Bool) throws(CacheError) -> CacheDirectory {
        let path = "\(self.path)/\(name)"
        if makes, mkdirat(descriptor, name, 0o700) != 0, errno != EEXIST { throw CacheError(path, number: errno) }
        let opened = openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if opened < 0 { throw CacheError(path, number: errno) }
        let folder = CacheDirectory(opened, path)
        var status = stat()
        if fstat(opened, &status) != 0 { throw CacheError(path, number: errno) }
        guard status.st_uid == geteuid() else { throw CacheError(path, "belongs to another user") }
        if status.st_mode & 0o777 != 0o700, fchmod(opened, 0o700) != 0 { throw CacheError(path, number: errno) }
        return folder
    }

    /// What is in it, without `.` and `..`; what goes while it is listed is left out.
    func entries() throws(CacheError) -> [CacheEntry] {
        // A listing has a position, which belongs to an opening of its own.
        let listed = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard listed >= 0, let stream = fdopendir(listed) else {
            let number = errno
            if listed >= 0 { close(listed) }
            throw CacheError(path, number: number)
        }
        defer { closedir(stream) }
        var list: [CacheEntry] = []
        let place = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
        while let record = readdir(stream) {
            let name = String(cString: UnsafeRawPointer(record).advanced(by: place).assumingMemoryBound(to: CChar.self))
            if name == "." || name == ".." { continue }
            if let entry = entry(name) { list.append(entry) }
        }
        return list
    }

    /// Nil if there is nothing of this name.
    func entry(_ name: String) -> CacheEntry? {
        var status = stat()
        guard fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
        return CacheDirectory.entry(name, status)
    }

    fileprivate static func entry(_ name: String, _ status: stat) -> CacheEntry {
        #if canImport(Darwin)
        let time = status.st_mtimespec
        #else
        let time = status.st_mtim
        #endif
        let (seconds, overflow) = Int(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        return CacheEntry(
            name: name, byteCount: Int(status.st_size), modified: overflow ? 0 : seconds &+ Int(time.tv_nsec),
            isFile: status.st_mode & S_IFMT == S_IFREG)
    }

    /// Opens a file to be read; nil if there is none, or something else.
    func file(_ name: String) -> CacheFile? {
        // Not waiting: something that is no file may wait for ever to be opened.
        let opened = openat(descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        if opened < 0 { return nil }
        let file = CacheFile(opened)
        var status = stat()
        guard fstat(opened, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        file.byteCount = Int(status.st_size)
        return file
    }

    /// Makes a file that is not there yet, to be written.
    func newFile(_ name: String) throws(CacheError) -> CacheFile {
        let opened = openat(descriptor, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        if opened < 0 { throw CacheError("\(path)/\(name)", number: errno) }
        return CacheFile(opened)
    }

    @discardableResult func remove(_ name: String) -> Bool { unlinkat(descriptor, name, 0) == 0 }

    /// Removes a folder that has nothing in it.
    func removeFolder(_ name: String) { _ = unlinkat(descriptor, name, AT_REMOVEDIR) }

    /// Moves a file to its place, over what may be there.
    func move(_ name: String, to folder: CacheDirectory, as target: String) throws(CacheError) {
        if renameat(descriptor, name, folder.descriptor, target) != 0 { throw CacheError("\(folder.path)/\(target)", number: errno) }
    }

    /// Says that a file was used at this time, in nanoseconds since 1970.
    func touch(_ name: String, _ time: Int) {
        let moment = timespec(tv_sec: time / 1_000_000_000, tv_nsec: time % 1_000_000_000)
        let times = [moment, moment]
        _ = utimensat(descriptor, name, times, AT_SYMLINK_NOFOLLOW)
    }

    /// Bytes of the disk that ordinary users may still fill, and of the whole disk; nil where it does not say.
    var disk: (free: Int, total: Int)? {
        var status = statvfs()
        guard fstatvfs(descriptor, &status) == 0 else { return nil }
        let unit = UInt(status.f_frsize)
        let free = UInt(status.f_bavail).multipliedReportingOverflow(by: unit)
        let total = UInt(status.f_blocks).multipliedReportingOverflow(by: unit)
        return (
            free.overflow ? Int.max : Int(clamping: free.partialValue), total.overflow ? Int.max : Int(clamping: total.partialValue)
        )
    }
}

/// An open file of the cache.
final class CacheFile {
    private let descriptor: Int32
    /// When it was opened.
    fileprivate(set) var byteCount = 0

    fileprivate init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Takes the file for this opening, until it is closed, by the end of its process if need be.
    ///
    /// - Returns: false if another opening has it. Where there are no locks nobody has.
    func lock() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK }

    /// Fills all of the target with what comes next.
    func read(into target: UnsafeMutableRawBufferPointer) -> Bool {
        var filled = 0
        while filled < target.count, let base = target.baseAddress {
            #if canImport(Glibc)
            let count = Glibc.read(descriptor, base + filled, target.count - filled)
            #else
            let count = Darwin.read(descriptor, base + filled, target.count - filled)
            #endif
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return false }
            filled += count
        }
        return true
    }

    /// - Parameter write: the system's `write`, or what a test puts in its place.
    func write(_ bytes: UnsafeRawBufferPointer, by write: TensorCache.Writing) -> Bool {
        var written = 0
        while written < bytes.count, let base = bytes.baseAddress {
            let count = write(descriptor, base + written, min(bytes.count - written, 16 << 20))
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return false }
            written += count
        }
        return true
    }
}
