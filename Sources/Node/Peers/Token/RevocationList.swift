public import Base
internal import Foundation
internal import PeerMessages
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// The nodes that a network's owner has put out, by their ids, in a file of one id a line. Commands and nodes on one machine share it: whoever
/// writes holds a lock, and who reads sees each change within a second.
public final class RevocationList: Sendable {
    /// Ids that a list holds at most.
    public static let limit = 4096

    public let path: String
    private let report: @Sendable (String) -> Void
    private let now: @Sendable () -> UInt64
    private let state: Mutex<State>

    private struct State {
        var ids: Set<String> = []
        var stamp: Stamp?
        var lookedAt: UInt64?
    }

    /// What changes about a file whenever it does.
    private struct Stamp: Hashable {
        var inode: UInt64
        var size: Int64
        var seconds: Int
        var nanoseconds: Int

        init(_ status: stat) {
            inode = UInt64(status.st_ino)
            size = Int64(status.st_size)
            #if canImport(Darwin)
                (seconds, nanoseconds) = (status.st_mtimespec.tv_sec, status.st_mtimespec.tv_nsec)
            #else
                (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
            #endif
        }
    }

    /// - Parameters:
    ///   - path: the file; where there is none, nobody has been put out.
    ///   - report: is told of what is wrong with the file.
    public convenience init(path: String, report: @escaping @Sendable (String) -> Void = { _ in }) {
        self.init(path: path, now: MonotonicClock.nanoseconds, report: report)
    }

    /// - Parameter now: nanoseconds, which only grow.
    package init(path: String, now: @escaping @Sendable () -> UInt64, report: @escaping @Sendable (String) -> Void = { _ in }) {
        self.path = path
        self.now = now
        self.report = report
        state = Mutex(State())
    }

    /// Where the list of a network is kept: `peers/TAG.revoked` in the user's folder for what programs remember.
    public static func path(tag: String, environment: [String: String]) throws(NoHomeError) -> String {
        try UserFolders(environment).state("peers") + "/\(tag).revoked"
    }

    /// An id as lists have it: 32 hexadecimal digits, small; nil for what is none.
    public static func id(_ text: some StringProtocol) -> String? {
        let id = text.lowercased()
        return NodeCard.isID(id) ? id : nil
    }

    // MARK: asking

    /// Reads the list for the first time.
    ///
    /// - Throws: if it is there and cannot be read: whoever goes on without it lets in who was put out.
    public func load() throws(RevocationError) {
        var reports: [String] = []
        let found = try read(unless: nil, &reports)
        state.withLock { state in
            if let found { (state.ids, state.stamp) = found }
            state.lookedAt = now()
        }
        reports.forEach(report)
    }

    public var ids: Set<String> {
        var reports: [String] = []
        let ids = state.withLock { state in
            let moment = now()
            if let lookedAt = state.lookedAt, moment &- lookedAt < 1_000_000_000 { return state.ids }
            state.lookedAt = moment
            do throws(RevocationError) {
                if let (ids, stamp) = try read(unless: state.stamp, &reports) { (state.ids, state.stamp) = (ids, stamp) }
            } catch {
                // Who was put out stays out.
                reports.append("\(error); the nodes that were revoked before stay so")
            }
            return state.ids
        }
        reports.forEach(report)
        return ids
    }

    public func contains(_ id: String) -> Bool {
        guard let id = RevocationList.id(id) else { return false }
        return ids.contains(id)
    }

    // MARK: changing

    /// - Returns: whether it was not there before.
    @discardableResult public func add(_ id: String) throws(RevocationError) -> Bool {
        guard let id = RevocationList.id(id) else { throw .noID }
        return try change { $0.insert(id) } > 0
    }

    /// - Returns: whether it was there.
    @discardableResult public func remove(_ id: String) throws(RevocationError) -> Bool {
        guard let id = RevocationList.id(id) else { throw .noID }
        return try change { $0.remove(id) } > 0
    }

    /// Adds what another list has. What is no id is left out.
    ///
    /// - Returns: how many are new.
    @discardableResult public func merge(_ others: some Sequence<String>) throws(RevocationError) -> Int {
        let others = others.compactMap { RevocationList.id($0) }
        return try change { $0.formUnion(others) }
    }

    /// Reads the file, changes what it holds and writes it, while nobody else does.
    ///
    /// - Returns: by how many ids the list is longer or shorter.
    private func change<Result>(_ body: (inout Set<String>) -> Result) throws(RevocationError) -> Int {
        let folder = (path as NSString).deletingLastPathComponent
        if !folder.isEmpty {
            do {
                try FileManager.default.createDirectory(
                    atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            } catch { throw .writing(path: path, reason: "its folder cannot be made") }
        }
        // Beside the list, since the list itself is replaced.
        let lock = open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if lock < 0 { throw writing(errno) }
        defer { _ = close(lock) }
        while flock(lock, LOCK_EX) != 0 { if errno != EINTR { throw writing(errno) } }

        var reports: [String] = []
        let before = try read(unless: nil, &reports)?.ids ?? []
        reports.forEach(report)
        var ids = before
        _ = body(&ids)
        if ids == before { return 0 }
        // One that is too long already can still be made shorter.
        if ids.count > RevocationList.limit, ids.count > before.count { throw .full }
        let stamp = try write(ids)
        state.withLock { ($0.ids, $0.stamp) = (ids, stamp) }
        return abs(ids.count - before.count)
    }

    private func writing(_ code: Int32) -> RevocationError { .writing(path: path, reason: String(cString: strerror(code))) }

    /// - Returns: what the file holds; nil if it is still as its stamp says.
    private func read(unless known: Stamp?, _ reports: inout [String]) throws(RevocationError) -> (ids: Set<String>, stamp: Stamp?)? {
        func fail(_ code: Int32) -> RevocationError { .reading(path: path, reason: String(cString: strerror(code))) }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if descriptor < 0 {
            if errno == ENOENT || errno == ENOTDIR { return ([], nil) }
            throw fail(errno)
        }
        defer { _ = close(descriptor) }
        var status = stat()
        if fstat(descriptor, &status) != 0 { throw fail(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .reading(path: path, reason: "it is no file") }
        let stamp = Stamp(status)
        if stamp == known { return nil }
        let limit = 1 << 20
        if status.st_size > limit { throw .reading(path: path, reason: "it is longer than \(limit) bytes") }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= limit {
            #if canImport(Glibc)
                let count = Glibc.read(descriptor, &buffer, buffer.count)
            #else
                let count = Darwin.read(descriptor, &buffer, buffer.count)
            #endif
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw fail(errno)
            }
            bytes += buffer[..<count]
        }
        return (parse(String(decoding: bytes, as: UTF8.self), &reports), stamp)
    }

    private func parse(_ text: String, _ reports: inout [String]) -> Set<String> {
        var ids: Set<String> = []
        var strangeLines: [Int] = []
        for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let word = line.trimmingCharacters(in: .whitespaces)
            if word.isEmpty { continue }
            if let id = RevocationList.id(word) { ids.insert(id) } else { strangeLines.append(number + 1) }
        }
        if let first = strangeLines.first {
            let others = strangeLines.count > 1 ? ", and \(strangeLines.count - 1) more lines are none either" : ""
            reports.append("'\(path)': line \(first) is no id of a node (32 hexadecimal digits) and is ignored\(others)")
        }
        if ids.count > RevocationList.limit {
            reports.append(
                "'\(path)' holds \(ids.count) ids, more than the \(RevocationList.limit) that can be added to; a new token would do more")
        }
        return ids
    }

    /// Whole or not at all.
    private func write(_ ids: Set<String>) throws(RevocationError) -> Stamp {
        let text = ids.sorted().map { $0 + "\n" }.joined()
        var template = Array((path + ".XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)  // with mode 0600
        if descriptor < 0 { throw writing(errno) }
        let temporary = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        var failure = Array(text.utf8).withUnsafeBytes { WholeWrite.write($0, to: descriptor) }
        if failure == nil, fsync(descriptor) != 0 { failure = errno }
        var status = stat()
        if failure == nil, fstat(descriptor, &status) != 0 { failure = errno }
        _ = close(descriptor)
        if failure == nil, rename(temporary, path) != 0 { failure = errno }
        if let failure {
            unlink(temporary)
            throw writing(failure)
        }
        return Stamp(status)
    }
}

/// A list of revoked nodes cannot be read or changed.
public enum RevocationError: Error, Hashable, Sendable, CustomStringConvertible {
    case noID
    case full
    case reading(path: String, reason: String)
    case writing(path: String, reason: String)

    public var description: String {
        switch self {
        case .noID: "a node's id has 32 hexadecimal digits"
        case .full:
            "the list of revoked nodes is full (\(RevocationList.limit)): make a new token, which puts out everybody who has not got it"
        case .reading(let path, let reason): "cannot read '\(path)': \(reason)"
        case .writing(let path, let reason): "cannot write '\(path)': \(reason)"
        }
    }
}
