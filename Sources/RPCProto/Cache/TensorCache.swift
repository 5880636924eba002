public import Base
internal import Synchronization
internal import Tensor

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Darwin)
    internal import Darwin
#endif

/// Contents of large tensors in a folder, so that a head need not send them again, also after a restart.
///
/// Heads ask by ggml's 64-bit hash, which can be forged. So contents are kept by their SHA-256, checked whenever one is
/// read, and a hash means only what the same scope stored under it before: no client can be served what another made up.
/// The same content from several scopes is kept once.
///
/// A file appears in its place only when it is whole, so a process may end at any moment. Several processes may use one
/// folder, and several sessions one cache. Failures to write are no failures of a session.
public final class TensorCache: Sendable {
    /// The system's `write`, or what a test puts in its place.
    package typealias Writing = @Sendable (Int32, UnsafeRawPointer, Int) -> Int

    public let folder: String
    public let limits: TensorCacheLimits

    private let folders: CacheFolders
    private let space: CacheSpace
    private let queue: CacheQueue
    private let writing: Writing
    private let naming: (@Sendable (UInt64) -> UInt64)?
    private let counts = Mutex(TensorCacheStatistics())
    private let lastObstacle = Mutex<String?>(nil)
    private let lastTime = Mutex(0)
    private let namesSincePruning = Mutex(0)

    /// New names after which those whose content is gone are looked for.
    private static let namesBetweenPrunings = 1024
    /// Seconds that a question waits for what is being written: fewer than clients wait for its answer.
    private static let patience = 2.0

    /// - Parameter folder: made if it is not there, for this user alone; what is in it already is counted, and what ended
    ///   processes left half-written is removed.
    /// - Throws: if it cannot be made, or if something in it belongs to another user or is a link.
    public convenience init(folder: String, limits: TensorCacheLimits = TensorCacheLimits()) throws(CacheError) {
        #if canImport(Glibc)
            try self.init(folder: folder, limits: limits, writing: { Glibc.write($0, $1, $2) })
        #else
            try self.init(folder: folder, limits: limits, writing: { Darwin.write($0, $1, $2) })
        #endif
    }

    /// - Parameters:
    ///   - writing: what writes bytes to a descriptor.
    ///   - naming: what becomes of ggml's hash, for tests of collisions.
    ///   - disk: free bytes and all bytes of the disk, for tests of full ones.
    package init(
        folder: String, limits: TensorCacheLimits, writing: @escaping Writing, naming: (@Sendable (UInt64) -> UInt64)? = nil,
        disk: (@Sendable () -> (free: Int, total: Int))? = nil
    ) throws(CacheError) {
        self.folder = folder
        self.limits = limits
        self.writing = writing
        self.naming = naming
        folders = CacheFolders(path: folder)
        queue = CacheQueue(byteLimit: limits.waitingByteCount, patience: limits.waitingSeconds)
        try folders.clearParts()
        try CacheNames.prune(folders, keeping: limits.nameCount)
        space = try CacheSpace(folders, limits, disk: disk)
        let shortage = space.shortage(of: limits.smallestByteCount)
        lastObstacle.withLock { $0 = shortage }
    }

    /// Why nothing more is kept at present: what was wrong when it was last tried, or would be; nil if nothing is.
    public var obstacle: String? { lastObstacle.withLock { $0 } }

    /// Where contents are kept unless another folder is named: ``UserFolders/cache(_:)``.
    public static func defaultFolder(environment: [String: String]) throws(NoHomeError) -> String {
        try UserFolders(environment).cache("tensors")
    }

    public var statistics: TensorCacheStatistics {
        var statistics = counts.withLock { $0 }
        space.add(to: &statistics)
        statistics.waitingByteCount = queue.byteCount
        return statistics
    }

    // MARK: Reading

    /// The content that a scope stored under this hash, to be read and then to be accepted; nil if there is none.
    package func find(_ hash: UInt64, scope: String) -> CachedContent? {
        // A head that lost its connection in the middle asks at once for what it has just sent.
        if queue.holds(scope), !knows(hash, scope) { _ = queue.wait(until: MonotonicClock.moment(in: TensorCache.patience)) }
        let name = CacheNames.fileName(hash)
        guard let names = try? folders.names(),
            let folder = try? names.folder(CacheScope.folderName(scope), makes: false),
            let meaning = CacheNames.meaning(of: name, in: folder)
        else {
            counts.withLock { $0.missCount += 1 }
            return nil
        }
        guard let file = try? folders.blobs().file(meaning.digest.digits) else {
            folder.remove(name)
            counts.withLock { $0.missCount += 1 }
            return nil
        }
        guard file.byteCount == meaning.byteCount else {
            discard(meaning.digest, file.byteCount)
            return nil
        }
        folder.touch(name, now())
        return CachedContent(file, meaning.digest)
    }

    private func knows(_ hash: UInt64, _ scope: String) -> Bool {
        guard let folder = try? folders.names().folder(CacheScope.folderName(scope), makes: false) else { return false }
        guard let meaning = CacheNames.meaning(of: CacheNames.fileName(hash), in: folder) else { return false }
        // What was found damaged has left its name behind, and may be among what waits to be written.
        return (try? folders.blobs().file(meaning.digest.digits)) != nil
    }

    /// Whether a content that was read is what it should be; if not, its file is removed.
    package func accept(_ content: CachedContent) -> Bool {
        guard content.isTrue else {
            discard(content.digest, content.byteCount)
            return false
        }
        try? folders.blobs().touch(content.digest.digits, now())
        counts.withLock { counts in
            counts.hitCount += 1
            counts.hitByteCount += content.byteCount
        }
        return true
    }

    private func discard(_ digest: ContentDigest, _ byteCount: Int) {
        if (try? folders.blobs().remove(digest.digits)) == true { space.forget(byteCount) }
        counts.withLock { counts in
            counts.damagedCount += 1
            counts.missCount += 1
        }
    }

    // MARK: Writing

    /// As ``store(_:scope:)``, on a thread of the cache's own: copies the content, and leaves it out where too much waits for the
    /// disk already. Only what is larger than may ever wait is written at once.
    package func storeLater(_ bytes: UnsafeRawBufferPointer, scope: String) {
        guard isKept(bytes.count) else { return }
        guard bytes.count <= queue.byteLimit else { return store(bytes, scope: scope) }
        let isQueued = queue.add(bytes, scope: scope) { [self] in store($0, scope: $1) }
        if !isQueued { counts.withLock { $0.droppedCount += 1 } }
    }

    /// Waits for all that was to be stored until now.
    ///
    /// - Returns: whether that is done; false if it took more than so many seconds.
    package func finishWriting(within seconds: Double) -> Bool { queue.wait(until: MonotonicClock.moment(in: seconds)) }

    private func isKept(_ byteCount: Int) -> Bool { byteCount >= limits.smallestByteCount && byteCount <= limits.byteCount }

    /// Keeps a content for a scope, if there is room and nothing fails. Nothing is locked while it is hashed and written.
    package func store(_ bytes: UnsafeRawBufferPointer, scope: String) {
        guard isKept(bytes.count) else { return }
        let identity = ContentIdentity.of(bytes)
        do throws(CacheError) {
            try keep(bytes, identity.digest)
            let meaning = CacheNames.Meaning(digest: identity.digest, byteCount: bytes.count)
            try name(naming?(identity.name) ?? identity.name, meaning, scope)
            lastObstacle.withLock { $0 = nil }
        } catch {
            counts.withLock { $0.failedCount += 1 }
            lastObstacle.withLock { $0 = "\(error)" }
        }
    }

    private func keep(_ bytes: UnsafeRawBufferPointer, _ digest: ContentDigest) throws(CacheError) {
        let blobs = try folders.blobs()
        // Whether it is true as well is seen when it is read.
        if let entry = blobs.entry(digest.digits), entry.isFile, entry.byteCount == bytes.count {
            return blobs.touch(digest.digits, now())
        }
        guard try space.reserve(bytes.count) else {
            throw CacheError(folder, space.shortage(of: bytes.count) ?? "there is no room for \(bytes.count.binarySize)")
        }
        var isStored = false
        defer { space.release(bytes.count, isStored: isStored) }
        let wasThere = try write(bytes, to: blobs, as: digest.digits)
        // Where another session was faster, it has counted it.
        isStored = !wasThere
        let count = bytes.count
        counts.withLock { counts in
            counts.storedCount += 1
            counts.storedByteCount += count
        }
    }

    private func name(_ hash: UInt64, _ meaning: CacheNames.Meaning, _ scope: String) throws(CacheError) {
        let folder = try folders.names().folder(CacheScope.folderName(scope), makes: true)
        let text = Array(meaning.text.utf8)
        try text.withUnsafeBufferPointer { (bytes) throws(CacheError) in
            _ = try write(UnsafeRawBufferPointer(bytes), to: folder, as: CacheNames.fileName(hash))
        }
        let isDue = namesSincePruning.withLock { count in
            count += 1
            guard count >= TensorCache.namesBetweenPrunings else { return false }
            count = 0
            return true
        }
        if isDue { try CacheNames.prune(folders, keeping: limits.nameCount) }
    }

    /// Writes a file elsewhere and moves it to its place; leaves nothing behind if that fails. The disk is not waited for:
    /// a file that a loss of power emptied does not have its digest.
    ///
    /// - Returns: whether there was a file of this size in its place.
    private func write(_ bytes: UnsafeRawBufferPointer, to folder: CacheDirectory, as name: String) throws(CacheError) -> Bool {
        let parts = try folders.parts()
        let part = "\(getpid())-\(String(UInt64.random(in: 0...UInt64.max), radix: 16))"
        let file = try parts.newFile(part)
        do throws(CacheError) {
            // Tells those who clean up that somebody is at it. Who was faster has removed the file, and moving it fails.
            guard file.lock() else { throw CacheError(parts.path, "another process has \(part)") }
            guard file.write(bytes, by: writing) else { throw CacheError(parts.path, number: errno) }
            parts.touch(part, now())
            let wasThere = folder.entry(name)?.byteCount == bytes.count
            try parts.move(part, to: folder, as: name)
            return wasThere
        } catch {
            parts.remove(part)
            throw error
        }
    }

    /// The time in nanoseconds, later at every call, so that uses have an order.
    private func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        let nanoseconds = Int(time.tv_sec) &* 1_000_000_000 &+ Int(time.tv_nsec)
        return lastTime.withLock { last in
            last = max(last + 1, nanoseconds)
            return last
        }
    }
}
