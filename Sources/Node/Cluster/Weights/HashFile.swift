#if canImport(Glibc)
internal import Glibc
#elseif canImport(Darwin)
internal import Darwin
#endif

/// Hashes of tensors as they are kept in a file: text, one line each.
///
///     swiftlet tensor hashes 1
///     file SIZE MODIFIED                      for each of the model's files
///     HASH PART OFFSET SIZE NAME              for each tensor
///
/// Sizes and offsets are in bytes, times in nanoseconds since 1970, hashes 16 hexadecimal digits. A file that is not exactly
/// so, or too large, is none.
struct HashFile {
    /// A tensor, by everything that says where its bytes are.
    struct Key: Hashable {
        var name: String
        var part: Int
        var byteOffset: Int
        var byteCount: Int

        init(name: String, part: Int, byteOffset: Int, byteCount: Int) {
            self.name = name
            self.part = part
            self.byteOffset = byteOffset
            self.byteCount = byteCount
        }

        init(_ tensor: TensorHashes.Source) {
            self.init(name: tensor.name, part: tensor.part, byteOffset: tensor.byteOffset, byteCount: tensor.bytes.count)
        }
    }

    private static let head = "swiftlet tensor hashes 1"
    /// Bytes of a file that are read at most: some hundred thousand tensors.
    static let limit = 16 << 20

    var stamps: [FileStamp]
    var hashes: [Key: UInt64] = [:]

    init(stamps: [FileStamp]) {
        self.stamps = stamps
    }

    // MARK: Text

    /// Nil for anything that ``text`` would not write. Line by line, so that what is no such file is left at once.
    init?(text: String) {
        var rest = text.utf8[...]
        guard let head = Self.line(&rest), Substring(head) == Self.head else { return nil }
        stamps = []
        while rest.starts(with: "file ".utf8) {
            guard let line = Self.line(&rest) else { return nil }
            let words = Self.words(line, 3)
            guard words.count == 3, let size = Int(words[1]), size >= 0, let time = Int(words[2]) else { return nil }
            stamps.append(FileStamp(byteCount: size, modified: time))
        }
        while !rest.isEmpty {
            guard let line = Self.line(&rest) else { return nil }
            // Only the last word may have spaces.
            let words = Self.words(line, 5)
            guard words.count == 5, words[0].utf8.count == 16, words[0].utf8.allSatisfy(Self.isDigit),
                let hash = UInt64(words[0], radix: 16), let part = Int(words[1]), stamps.indices.contains(part),
                let offset = Int(words[2]), offset >= 0, let size = Int(words[3]), size >= 0
            else { return nil }
            hashes[Key(name: String(words[4]), part: part, byteOffset: offset, byteCount: size)] = hash
        }
    }

    /// What comes up to the next line's end, which must be there.
    private static func line(_ rest: inout Substring.UTF8View) -> Substring.UTF8View? {
        guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        defer { rest = rest[rest.index(after: end)...] }
        return rest[..<end]
    }

    private static func words(_ line: Substring.UTF8View, _ count: Int) -> [Substring] {
        line.split(separator: UInt8(ascii: " "), maxSplits: count - 1, omittingEmptySubsequences: false).map(Substring.init)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    /// In the order of the model's files. Tensors with names that would not come back as they are, which no model has that
    /// anybody means well with, are left out.
    var text: String {
        var lines = [Self.head]
        for stamp in stamps { lines.append("file \(stamp.byteCount) \(stamp.modified)") }
        let keys = hashes.keys.filter { $0.name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f } }
        for key in keys.sorted(by: { ($0.part, $0.byteOffset, $0.name) < ($1.part, $1.byteOffset, $1.name) }) {
            guard let hash = hashes[key] else { continue }
            lines.append("\(Self.digits(hash)) \(key.part) \(key.byteOffset) \(key.byteCount) \(key.name)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    static func digits(_ hash: UInt64) -> String {
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    // MARK: Files

    /// Nil if there is none, or none that makes sense.
    init?(path: String) {
        // Whatever lies there: opening a pipe must not wait for somebody to write into it.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if descriptor < 0 { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, (1...Self.limit).contains(Int(status.st_size)) else {
            return nil
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        let isWhole = bytes.withUnsafeMutableBytes { bytes in
            var count = 0
            while count < bytes.count {
                let got = read(descriptor, bytes.baseAddress?.advanced(by: count), bytes.count - count)
                if got < 0, errno == EINTR { continue }
                if got <= 0 { return false }
                count += got
            }
            return true
        }
        guard isWhole, let text = String(validating: bytes, as: UTF8.self) else { return nil }
        self.init(text: text)
    }

    /// Writes all of it or nothing, whoever reads meanwhile and whenever the process ends. Folders that are not there are
    /// made, for this user alone.
    ///
    /// - Returns: why it could not.
    func write(to path: String) -> String? {
        let content = Array(text.utf8)
        if content.count > Self.limit { return "too many tensors" }
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        Self.make(folder)
        let draft = "\(folder)/.swiftlet-hashes-\(Self.digits(.random(in: 0 ... .max)))"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        if descriptor < 0 { return String(cString: strerror(errno)) }
        var complaint = Self.write(content, to: descriptor)
        if close(descriptor) != 0, complaint == nil { complaint = String(cString: strerror(errno)) }
        if complaint == nil, rename(draft, path) != 0 { complaint = String(cString: strerror(errno)) }
        if complaint != nil { unlink(draft) }
        return complaint
    }

    private static func write(_ content: [UInt8], to descriptor: Int32) -> String? {
        content.withUnsafeBytes { content in
            var count = 0
            while count < content.count {
                #if canImport(Darwin)
                    let put = Darwin.write(descriptor, content.baseAddress?.advanced(by: count), content.count - count)
                #else
                    let put = Glibc.write(descriptor, content.baseAddress?.advanced(by: count), content.count - count)
                #endif
                if put < 0, errno == EINTR { continue }
                if put <= 0 { return String(cString: strerror(errno)) }
                count += put
            }
            return nil
        }
    }

    private static func make(_ folder: String) {
        var end = folder.utf8.startIndex
        while end < folder.utf8.endIndex {
            let next = folder.utf8[folder.utf8.index(after: end)...].firstIndex(of: UInt8(ascii: "/")) ?? folder.utf8.endIndex
            // What goes wrong here shows when something is put there.
            _ = mkdir(String(folder[..<next]), 0o700)
            end = next
        }
    }
}
