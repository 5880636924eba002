import Foundation
import RPCProto
import Synchronization
import Tensor
import Testing

/// What is kept between connections: found by whom it belongs to, true, and no more than is allowed.
struct TensorCacheTests {
    /// A folder that goes with the test.
    private final class Scratch {
        let path = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString)").path()

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func cache(
            limit: Int = 1 << 20, naming: (@Sendable (UInt64) -> UInt64)? = nil,
            disk: (@Sendable () -> (free: Int, total: Int))? = nil,
            writing: @escaping @Sendable (Int32, UnsafeRawPointer, Int) -> Int = { write($0, $1, $2) }
        ) throws -> TensorCache {
            var limits = TensorCacheLimits(byteCount: limit)
            limits.smallestByteCount = 1
            limits.nameCount = 100
            return try TensorCache(folder: path, limits: limits, writing: writing, naming: naming, disk: disk)
        }

        func files(_ folder: String) -> [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: path + "/" + folder)) ?? []).sorted().map { "\(path)/\(folder)/\($0)" }
        }
    }

    private static func content(_ seed: UInt64, count: Int = 1000) -> [UInt8] {
        var random = Xorshift(state: seed &* 0x9e37_79b9_7f4a_7c15 | 1)
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    private static func hash(_ content: [UInt8]) -> UInt64 { content.withUnsafeBytes { FNVHash.of($0) } }

    // MARK: What is found

    @Test func contentsComeBackAlsoAfterARestart() throws {
        let scratch = Scratch()
        let content = TensorCacheTests.content(1)
        let first = try scratch.cache()
        #expect(first.found(TensorCacheTests.hash(content)) == nil)
        first.keep(content)
        #expect(first.found(TensorCacheTests.hash(content)) == content)
        #expect(first.statistics.hitCount == 1)
        #expect(first.statistics.hitByteCount == 1000)
        #expect(first.statistics.missCount == 1)
        let second = try scratch.cache()
        #expect(second.statistics.currentByteCount == 1000)
        #expect(second.found(TensorCacheTests.hash(content)) == content)
    }

    /// The hash that heads ask by can be forged: here every content has the same one.
    @Test func noScopeIsServedWhatAnotherStored() throws {
        let scratch = Scratch()
        let cache = try scratch.cache(naming: { _ in 7 })
        let evil = TensorCacheTests.content(1)
        let good = TensorCacheTests.content(2)
        cache.keep(evil, scope: "10.0.0.66")
        #expect(cache.found(7, scope: "10.0.0.7") == nil)
        cache.keep(good, scope: "10.0.0.7")
        cache.keep(evil, scope: "10.0.0.66")
        #expect(cache.found(7, scope: "10.0.0.7") == good)
        #expect(cache.found(7, scope: "10.0.0.66") == evil)
    }

    @Test func scopesShareTheSpaceOfOneContent() throws {
        let scratch = Scratch()
        let cache = try scratch.cache()
        let content = TensorCacheTests.content(1)
        for scope in ["10.0.0.1", "10.0.0.2", "fe80::1"] { cache.keep(content, scope: scope) }
        #expect(scratch.files("blobs").count == 1)
        #expect(cache.statistics.storedCount == 1)
        #expect(cache.statistics.currentByteCount == 1000)
        #expect(cache.found(TensorCacheTests.hash(content), scope: "fe80::1") == content)
        #expect(cache.found(TensorCacheTests.hash(content), scope: "10.0.0.3") == nil)
    }

    /// Names that would lead elsewhere, or to each other's folder, stay apart and inside.
    @Test func scopesOfAnyTextStayInside() throws {
        let scratch = Scratch()
        let cache = try scratch.cache(naming: { _ in 7 })
        let scopes = ["", ".", "..", "../../x", "a/b", "A", "a", "~", "é", String(repeating: "x", count: 5000), "a\0b"]
        for (index, scope) in scopes.enumerated() { cache.keep(TensorCacheTests.content(UInt64(index)), scope: scope) }
        for (index, scope) in scopes.enumerated() {
            #expect(cache.found(7, scope: scope) == TensorCacheTests.content(UInt64(index)), "\(scope.prefix(20))")
        }
        #expect(scratch.files("names").count == scopes.count)
        #expect(scratch.files("").map { ($0 as NSString).lastPathComponent } == ["blobs", "names", "parts"])
    }

    // MARK: What is not true

    @Test(arguments: ["shorter", "longer", "empty", "changed", "another's", "a link", "a folder"])
    func whatIsNotItsDigestIsNotServed(_ damage: String) throws {
        let scratch = Scratch()
        let cache = try scratch.cache()
        let content = TensorCacheTests.content(1)
        let other = TensorCacheTests.content(2)
        cache.keep(content)
        let blob = try #require(scratch.files("blobs").first)
        var damaged = content
        switch damage {
        case "shorter": damaged.removeLast()
        case "longer": damaged.append(0)
        case "empty": damaged = []
        case "changed": damaged[500] ^= 1
        default: damaged = other
        }
        try FileManager.default.removeItem(atPath: blob)
        if damage == "a link" {
            // Even to the right content: what it leads to can be changed at any time.
            let elsewhere = scratch.path + "/elsewhere"
            try Data(content).write(to: URL(filePath: elsewhere))
            try FileManager.default.createSymbolicLink(atPath: blob, withDestinationPath: elsewhere)
        } else if damage == "a folder" {
            try FileManager.default.createDirectory(atPath: blob, withIntermediateDirectories: false)
        } else {
            try Data(damaged).write(to: URL(filePath: blob))
        }
        #expect(cache.found(TensorCacheTests.hash(content)) == nil)
        cache.keep(content)
        #expect((cache.found(TensorCacheTests.hash(content)) == content) == (damage != "a folder"))
        #expect(scratch.files("parts").isEmpty)
    }

    @Test func namesThatMakeNoSenseAreNotFollowed() throws {
        let scratch = Scratch()
        let cache = try scratch.cache()
        let content = TensorCacheTests.content(1)
        cache.keep(content)
        let name = try #require(scratch.files("names/tests").first)
        let digest = try #require(scratch.files("blobs").first).split(separator: "/").last ?? ""
        for text in [
            "", "\n", "\(digest)", "\(digest) 1000", "\(digest) 999\n", "\(digest) -1\n", "../\(digest) 1000\n", "\(digest)  1000\n",
            "\(digest.uppercased()) 1000\n", String(repeating: "0", count: 64) + " 1000\n", String(repeating: "x", count: 100_000),
        ] {
            cache.keep(content)
            try Data(text.utf8).write(to: URL(filePath: name))
            #expect(cache.found(TensorCacheTests.hash(content)) == nil, "\(text.prefix(80))")
        }
    }

    // MARK: What is kept

    @Test func whatWasNotUsedForTheLongestTimeGoesFirst() throws {
        let scratch = Scratch()
        let cache = try scratch.cache(limit: 4000)
        let contents = (0..<6).map { TensorCacheTests.content(UInt64($0)) }
        for content in contents[..<4] { cache.keep(content) }
        #expect(cache.found(TensorCacheTests.hash(contents[0])) == contents[0])
        cache.keep(contents[1], scope: "another")
        cache.keep(contents[4])
        cache.keep(contents[5])
        let isThere = contents.map { cache.found(TensorCacheTests.hash($0)) == $0 }
        #expect(isThere == [true, true, false, false, true, true])
        #expect(cache.statistics.evictedCount == 2)
        #expect(cache.statistics.evictedByteCount == 2000)
        #expect(cache.statistics.currentByteCount == 4000)
    }

    @Test func aFolderThatMayHoldLessThanBeforeIsCutDownWhenItIsOpened() throws {
        let scratch = Scratch()
        let before = try scratch.cache(limit: 4000)
        for index in 0..<4 { before.keep(TensorCacheTests.content(UInt64(index))) }
        let now = try scratch.cache(limit: 2500)
        #expect(scratch.files("blobs").count == 2)
        #expect(now.statistics.currentByteCount == 2000)
        #expect(now.statistics.evictedByteCount == 2000)
    }

    @Test func whatIsTooLargeOrTooSmallIsNotKept() throws {
        let scratch = Scratch()
        let cache = try scratch.cache(limit: 999)
        cache.keep(TensorCacheTests.content(1))
        cache.keep([])
        #expect(scratch.files("blobs").isEmpty)
        #expect(scratch.files("names").isEmpty)
        let usual = try TensorCache(folder: scratch.path)
        usual.keep(TensorCacheTests.content(1))
        #expect(scratch.files("blobs").isEmpty)
    }

    /// Each finds what the other stored, and makes room with what the other stored in the way.
    @Test func twoCachesOverOneFolder() throws {
        let scratch = Scratch()
        let one = try scratch.cache(limit: 4000)
        let two = try scratch.cache(limit: 4000)
        let contents = (0..<40).map { TensorCacheTests.content(UInt64($0)) }
        one.keep(contents[0])
        #expect(two.found(TensorCacheTests.hash(contents[0])) == contents[0])
        for (index, content) in contents.enumerated() { (index % 2 == 0 ? one : two).keep(content) }
        #expect(scratch.files("blobs").count <= 4)
        #expect(two.found(TensorCacheTests.hash(contents[39])) == contents[39])
        // What one has begun to read goes on being read.
        let reading = try #require(one.reading(TensorCacheTests.hash(contents[39])))
        for content in contents[..<8] { two.keep(content) }
        #expect(!scratch.files("blobs").contains { $0.hasSuffix(reading.digits) })
        #expect(reading.rest() == contents[39])
    }

    @Test func sessionsAtOnce() throws {
        let scratch = Scratch()
        let cache = try scratch.cache(limit: 20_000)
        let wrong = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: 8) { thread in
            for round in 0..<100 {
                let content = TensorCacheTests.content(UInt64(round * (thread % 4 + 1) % 50))
                if let found = cache.found(TensorCacheTests.hash(content), scope: "\(thread)") {
                    if found != content { wrong.withLock { $0 += 1 } }
                } else {
                    cache.keep(content, scope: "\(thread)")
                }
            }
        }
        #expect(wrong.withLock { $0 } == 0)
        #expect(cache.statistics.failedCount == 0)
        #expect(try scratch.cache(limit: 20_000).statistics.currentByteCount == scratch.files("blobs").count * 1000)
        #expect(scratch.files("blobs").count <= 20)
        #expect(scratch.files("parts").isEmpty)
    }

    @Test func namesOfContentsThatAreGoneGo() throws {
        let scratch = Scratch()
        let cache = try scratch.cache(limit: 4000)
        for seed in 0..<20 { cache.keep(TensorCacheTests.content(UInt64(seed))) }
        #expect(scratch.files("names/tests").count == 20)
        _ = try scratch.cache(limit: 4000)
        #expect(scratch.files("names/tests").count == 4)
        // One content under very many names: only so many are remembered.
        for scope in 0..<150 { cache.keep(TensorCacheTests.content(19), scope: "scope-\(scope)") }
        _ = try scratch.cache(limit: 4000)
        #expect(scratch.files("names").count == 100)
    }

    // MARK: What goes wrong

    /// A part whose writer is gone is removed when a cache is opened; one that is being written is left alone.
    @Test func partsOfWritersThatAreGone() throws {
        let scratch = Scratch()
        _ = try scratch.cache()
        let left = scratch.path + "/parts/4711-abc"
        let busy = scratch.path + "/parts/\(getpid())-def"
        try Data([1, 2, 3]).write(to: URL(filePath: left))
        let descriptor = open(busy, O_WRONLY | O_CREAT, 0o600)
        #expect(flock(descriptor, LOCK_EX) == 0)
        _ = try scratch.cache()
        #expect(scratch.files("parts") == [busy])
        close(descriptor)
        _ = try scratch.cache()
        #expect(scratch.files("parts").isEmpty)
    }

    @Test(arguments: [0, 1, 300, 999])
    func aDiskThatFillsUpIsNoFailure(_ room: Int) throws {
        let scratch = Scratch()
        let written = Mutex(0)
        let cache = try scratch.cache(writing: { descriptor, bytes, count in
            let allowed = written.withLock { total in
                let allowed = min(count, room - total)
                total += allowed
                return allowed
            }
            if allowed > 0 { return write(descriptor, bytes, allowed) }
            errno = ENOSPC
            return -1
        })
        let content = TensorCacheTests.content(1)
        cache.keep(content)
        #expect(cache.statistics.failedCount == 1)
        #expect(cache.statistics.currentByteCount == 0)
        #expect(cache.found(TensorCacheTests.hash(content)) == nil)
        #expect(scratch.files("parts").isEmpty && scratch.files("blobs").isEmpty)
    }

    /// A gigabyte or a twentieth of the disk is left to others. What is kept goes for that, but not where it would not help.
    @Test func someOfTheDiskStaysFree() throws {
        let scratch = Scratch()
        let free = Mutex(Int.max)
        let cache = try scratch.cache(disk: { (free.withLock { $0 }, 100_000) })
        cache.keep(TensorCacheTests.content(1))
        free.withLock { $0 = 6000 }
        cache.keep(TensorCacheTests.content(2))
        #expect(cache.statistics.currentByteCount == 2000)
        free.withLock { $0 = 4500 }
        cache.keep(TensorCacheTests.content(3))
        // The disk did not become freer by what was removed: nothing more is written.
        #expect(cache.statistics.evictedCount == 2)
        #expect(cache.statistics.failedCount == 1)
        free.withLock { $0 = Int.max }
        cache.keep(TensorCacheTests.content(4))
        free.withLock { $0 = 0 }
        cache.keep(TensorCacheTests.content(5))
        #expect(cache.found(TensorCacheTests.hash(TensorCacheTests.content(4))) == TensorCacheTests.content(4))
        #expect(scratch.files("blobs").count == 1)
    }

    /// Only a metric told that a cache keeps nothing.
    @Test func aDiskWithoutRoomIsAnObstacleThatIsNamed() throws {
        let scratch = Scratch()
        let free = Mutex(4 << 20)
        let cache = try scratch.cache(disk: { (free.withLock { $0 }, 100 << 20) })
        // A twentieth of 100 MiB stays free.
        #expect(cache.obstacle == "the disk has 4.00 MiB free, and 5.00 MiB of it are left to others")
        cache.keep(TensorCacheTests.content(1))
        #expect(cache.obstacle == "\(scratch.path): the disk has 4.00 MiB free, and 5.00 MiB of it are left to others")
        free.withLock { $0 = 50 << 20 }
        cache.keep(TensorCacheTests.content(1))
        #expect(cache.obstacle == nil)
    }

    /// A file in a folder's place, which hinders also those whom no rights hinder.
    @Test func aFolderThatCannotBeWrittenInIsNoFailure() throws {
        let scratch = Scratch()
        let cache = try scratch.cache()
        let parts = scratch.path + "/parts"
        try FileManager.default.removeItem(atPath: parts)
        try Data().write(to: URL(filePath: parts))
        cache.keep(TensorCacheTests.content(1))
        #expect(cache.statistics.failedCount == 1)
        #expect(scratch.files("blobs").isEmpty)
        #expect(throws: CacheError.self) { try scratch.cache() }
        #expect(throws: CacheError.self) { try TensorCache(folder: "/proc/nowhere") }
    }

    @Test func aFolderRemovedInBetweenIsMadeAgain() throws {
        let scratch = Scratch()
        let cache = try scratch.cache()
        let content = TensorCacheTests.content(1)
        cache.keep(content)
        try FileManager.default.removeItem(atPath: scratch.path)
        #expect(cache.found(TensorCacheTests.hash(content)) == nil)
        cache.keep(content)
        #expect(cache.found(TensorCacheTests.hash(content)) == content)
    }

    /// Links in the place of folders and of files: nothing at their other end is read, written or removed.
    @Test func linksAreNotFollowed() throws {
        for planted in ["blobs", "names", "parts"] {
            let scratch = Scratch()
            let elsewhere = Scratch()
            for path in [scratch.path, elsewhere.path] {
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            }
            try Data([1]).write(to: URL(filePath: elsewhere.path + "/precious"))
            try FileManager.default.createSymbolicLink(atPath: "\(scratch.path)/\(planted)", withDestinationPath: elsewhere.path)
            #expect(throws: CacheError.self) { try scratch.cache() }
            #expect(elsewhere.files("") == ["\(elsewhere.path)//precious"])
        }
        let scratch = Scratch()
        let cache = try scratch.cache()
        let target = scratch.path + "/precious"
        try Data([1]).write(to: URL(filePath: target))
        try FileManager.default.createSymbolicLink(atPath: scratch.path + "/names/tests", withDestinationPath: scratch.path)
        cache.keep(TensorCacheTests.content(1))
        #expect(cache.statistics.failedCount == 1)
        try FileManager.default.createSymbolicLink(atPath: scratch.path + "/parts/1-2", withDestinationPath: target)
        _ = try scratch.cache()
        #expect(try Data(contentsOf: URL(filePath: target)) == Data([1]))
        #expect(scratch.files("parts").isEmpty)
    }

    @Test func nobodyElseCanLookIn() throws {
        let scratch = Scratch()
        let cache = try scratch.cache()
        cache.keep(TensorCacheTests.content(1))
        chmod(scratch.path + "/blobs", 0o777)
        cache.keep(TensorCacheTests.content(2))
        for folder in ["", "/blobs", "/names", "/parts", "/names/tests"] {
            var status = stat()
            #expect(stat(scratch.path + folder, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o700, "\(folder)")
        }
    }
}

extension TensorCache {
    func keep(_ content: [UInt8], scope: String = "tests") {
        content.withUnsafeBytes { store($0, scope: scope) }
    }

    /// What a session would serve.
    func found(_ hash: UInt64, scope: String = "tests") -> [UInt8]? {
        guard let reading = find(hash, scope: scope) else { return nil }
        var content = [UInt8](repeating: 0, count: reading.byteCount)
        _ = content.withUnsafeMutableBytes { reading.read(into: $0) }
        return accept(reading) ? content : nil
    }

    fileprivate func reading(_ hash: UInt64) -> Reading? { find(hash, scope: "tests").map(Reading.init) }
}

/// A content whose first half was read.
private final class Reading {
    private let content: CachedContent
    private var bytes: [UInt8]

    var digits: String { content.digest.digits }

    init(_ content: CachedContent) {
        self.content = content
        bytes = [UInt8](repeating: 0, count: content.byteCount)
        _ = bytes.withUnsafeMutableBytes { content.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[..<($0.count / 2)])) }
    }

    func rest() -> [UInt8]? {
        _ = bytes.withUnsafeMutableBytes { content.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[($0.count / 2)...])) }
        return content.isTrue ? bytes : nil
    }
}
