internal import Base
internal import Synchronization

/// How much is kept: makes room before something is written, by removing what was not used for the longest time.
///
/// What the folder holds is counted by listing it, never remembered in a file: when the cache is opened, before anything is
/// removed, and after every sixteenth of the limit stored, since other processes may use the same folder.
final class CacheSpace: Sendable {
    private struct State {
        var current = 0
        /// Promised to writers that have not finished.
        var reserved = 0
        var storedSinceLook = 0
        var evictedCount = 0
        var evictedByteCount = 0
    }

    private let folders: CacheFolders
    private let limits: TensorCacheLimits
    /// In place of the disk's own word, in tests.
    private let disk: (@Sendable () -> (free: Int, total: Int))?
    private let state = Mutex(State())
    /// What is told of the state, apart from it: whoever asks must not wait for the disk.
    private let told = Mutex(State())

    init(
        _ folders: CacheFolders, _ limits: TensorCacheLimits, disk: (@Sendable () -> (free: Int, total: Int))?
    ) throws(CacheError) {
        self.folders = folders
        self.limits = limits
        self.disk = disk
        let kept = try CacheSpace.contents(folders)
        let total = CacheSpace.total(kept)
        state.withLock { state in
            state.current = total
            tell(state)
        }
        // A folder may come from a time when it was allowed more.
        if try reserve(0) { release(0, isStored: false) }
    }

    /// Room for a content, until ``release(_:isStored:)``.
    ///
    /// - Returns: false if there is none, also with everything else removed.
    func reserve(_ byteCount: Int) throws(CacheError) -> Bool {
        try state.withLock { (state) throws(CacheError) -> Bool in
            defer { tell(state) }
            let folder = try folders.blobs()
            // Writers that have not finished cannot be made to go.
            guard byteCount <= limits.byteCount - min(state.reserved, limits.byteCount) else { return false }
            let short = diskShortage(folder, byteCount, state.reserved)
            let isFull = state.current + state.reserved > limits.byteCount - byteCount
            if isFull || short > 0 || state.storedSinceLook >= limits.byteCount / 16 {
                var kept = try CacheSpace.contents(folders)
                state.current = CacheSpace.total(kept)
                state.storedSinceLook = 0
                let excess = max(short, state.current + state.reserved - (limits.byteCount - byteCount))
                // Where others filled the disk, emptying the cache for nothing helps nobody.
                if short > state.current { return false }
                kept.sort { ($0.modified, $0.name) < ($1.modified, $1.name) }
                var freed = 0
                for entry in kept where freed < excess {
                    // Whoever reads it has it open, and reads on. What another process removed first is gone as well.
                    let isMine = folder.remove(entry.name)
                    freed += entry.byteCount
                    state.current -= entry.byteCount
                    if isMine {
                        state.evictedCount += 1
                        state.evictedByteCount += entry.byteCount
                    }
                }
                if freed < excess || diskShortage(folder, byteCount, state.reserved) > 0 { return false }
            }
            state.reserved += byteCount
            return true
        }
    }

    /// Why the disk has no room for so many bytes, also with everything else removed; nil if it has.
    func shortage(of byteCount: Int) -> String? {
        guard let folder = try? folders.blobs(), let disk = disk?() ?? folder.disk else { return nil }
        let now = told.withLock { $0 }
        guard disk.free + now.current < byteCount + now.reserved + spared(of: disk.total) else { return nil }
        return "the disk has \(disk.free.binarySize) free, and \(spared(of: disk.total).binarySize) of it are left to others"
    }

    private func spared(of total: Int) -> Int { min(limits.freeByteCount, total / 20) }

    private func tell(_ state: State) { told.withLock { $0 = state } }

    func release(_ byteCount: Int, isStored: Bool) {
        state.withLock { state in
            state.reserved -= byteCount
            guard isStored else { return }
            state.current += byteCount
            state.storedSinceLook += byteCount
            tell(state)
        }
    }

    /// After a content was removed for another reason than room.
    func forget(_ byteCount: Int) {
        state.withLock { state in
            state.current = max(0, state.current - byteCount)
            tell(state)
        }
    }

    func add(to statistics: inout TensorCacheStatistics) {
        let now = told.withLock { $0 }
        statistics.currentByteCount = now.current
        statistics.evictedCount = now.evictedCount
        statistics.evictedByteCount = now.evictedByteCount
    }

    /// Bytes that must go from the disk before this many more may come.
    private func diskShortage(_ folder: CacheDirectory, _ byteCount: Int, _ reserved: Int) -> Int {
        guard let disk = disk?() ?? folder.disk else { return 0 }
        return max(0, byteCount + reserved + spared(of: disk.total) - disk.free)
    }

    private static func contents(_ folders: CacheFolders) throws(CacheError) -> [CacheEntry] {
        try folders.blobs().entries().filter(\.isFile)
    }

    private static func total(_ entries: [CacheEntry]) -> Int {
        entries.reduce(0) { sum, entry in
            let (total, overflow) = sum.addingReportingOverflow(max(0, entry.byteCount))
            return overflow ? Int.max / 2 : total
        }
    }
}
