internal import Base
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// A file's bytes, mapped read-only for as long as this object lives.
///
/// Pages come from the file as they are touched. A file that is cut short by somebody else after it was opened takes
/// its pages away: touching them then ends the process with SIGBUS, which no check of ours can prevent; ``MappedFiles`` can have it
/// say why. Bytes that are
/// changed in place show through, so readers of the mapping check lengths each time they follow one.
final class Mapping: @unchecked Sendable {
    // Sendable: all fields are constants, and the memory is never written through them.
    let bytes: UnsafeRawBufferPointer
    private let number: Int?

    init(path: String) throws(GGUFError) {
        // Non-blocking, so that opening a named pipe does not wait for its writer.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .system("cannot be opened", file: path) }
        defer { _ = close(descriptor) }

        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system("cannot be examined", file: path) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw GGUFError(.system, file: path, "is not a regular file")
        }
        guard status.st_size > 0 else { throw GGUFError(.notGGUF, file: path, at: 0, "the file is empty") }
        guard let count = Int(exactly: status.st_size) else {
            throw GGUFError(.system, file: path, "\(status.st_size) bytes are more than this machine can address")
        }
        guard let start = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
            throw .system("cannot be mapped", file: path)
        }
        bytes = UnsafeRawBufferPointer(start: start, count: count)
        number = MappedFiles.note(bytes, path: path)
    }

    deinit {
        if let number { MappedFiles.forget(number) }
        munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress), bytes.count)
    }

    var region: MemoryRegion { MemoryRegion(bytes: bytes, owner: self) }
}

extension GGUFError {
    /// A system call's failure, with the system's own words for `errno`.
    static func system(_ what: String, file: String) -> GGUFError {
        let reason = strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
        return GGUFError(.system, file: file, "\(what): \(reason)")
    }
}
