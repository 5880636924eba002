import Base
import Foundation
import RPCProto
import Synchronization
import Tensor
import Testing

/// A session does not wait for the disk: what is to be kept is written later, or left out where too much waits.
@Suite(.timeLimit(.minutes(2))) struct CacheQueueTests {
    /// A cache whose disk takes nothing until it is let.
    private final class SlowDisk: Sendable {
        let path = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString)").path()
        let cache: TensorCache
        private let isOpen: Monitor<Bool>
        private let isTouched: Monitor<Bool>

        init(waiting limit: Int, seconds: Double = 0.01) throws {
            var limits = TensorCacheLimits(byteCount: 1 << 20)
            limits.smallestByteCount = 1
            limits.waitingByteCount = limit
            limits.waitingSeconds = seconds
            let (isOpen, isTouched) = (Monitor(false), Monitor(false))
            self.isOpen = isOpen
            self.isTouched = isTouched
            cache = try TensorCache(
                folder: path, limits: limits,
                writing: { descriptor, bytes, count in
                    isTouched.change { $0 = true }
                    isOpen.wait { $0 ? () : nil }
                    return write(descriptor, bytes, count)
                })
        }

        deinit {
            open()
            _ = cache.finishWriting(within: 10)
            try? FileManager.default.removeItem(atPath: path)
        }

        func open() { isOpen.change { $0 = true } }
        func shut() { isOpen.change { $0 = false } }

        /// Waits until something is being written.
        func waitUntilTouched() { isTouched.wait { $0 ? () : nil } }
    }

    private static func content(_ byte: UInt8, count: Int = 1000) -> [UInt8] { [UInt8](repeating: byte, count: count) }
    private static func hash(_ content: [UInt8]) -> UInt64 { content.withUnsafeBytes { FNVHash.of($0) } }

    private func keepLater(_ content: [UInt8], in cache: TensorCache, scope: String = "tests") {
        content.withUnsafeBytes { cache.storeLater($0, scope: scope) }
    }

    /// The whole conversation is held while the disk stands still, and what was sent is kept when it no longer does, though its
    /// session is over and its buffer overwritten.
    @Test func aDiskThatStandsStillDoesNotHoldASessionUp() throws {
        let disk = try SlowDisk(waiting: 1 << 16)
        var options = SessionOptions()
        options.cache = disk.cache
        options.cacheScope = "tests"
        let content = bytes((0..<250).map(Float.init))
        var talk = Conversation()
        talk.say(.allocateBuffer(device: 0, byteCount: 4096))
        talk.say(.setTensor(.floats(1, [250]), isCacheable: true, offset: 0), data: content)
        talk.say(.clearBuffer(buffer: Conversation.handle(0), value: 1))
        talk.say(.getAlignment(device: 0))
        let (end, answers) = try talk.held(options)
        #expect(end.isClosed)
        #expect(answers.count == 2)
        #expect(disk.cache.statistics.waitingByteCount == 1000)
        #expect(!disk.cache.finishWriting(within: 0.05))
        disk.open()
        #expect(disk.cache.finishWriting(within: 30))
        #expect(disk.cache.statistics.waitingByteCount == 0)
        #expect(disk.cache.found(CacheQueueTests.hash(content)) == content)
    }

    /// No more than is allowed waits, what is being written included; the rest is left out and counted.
    @Test func whatIsTooMuchIsLeftOut() throws {
        let disk = try SlowDisk(waiting: 2500)
        let contents = (1...5).map { CacheQueueTests.content($0) }
        for content in contents { keepLater(content, in: disk.cache) }
        #expect(disk.cache.statistics.waitingByteCount == 2000)
        #expect(disk.cache.statistics.droppedCount == 3)
        disk.open()
        #expect(disk.cache.finishWriting(within: 30))
        #expect(contents.map { disk.cache.found(CacheQueueTests.hash($0)) == $0 } == [true, true, false, false, false])
        // There is room again.
        keepLater(contents[4], in: disk.cache)
        #expect(disk.cache.finishWriting(within: 30))
        #expect(disk.cache.found(CacheQueueTests.hash(contents[4])) == contents[4])
        #expect(disk.cache.statistics.storedCount == 3)
        #expect(disk.cache.statistics.failedCount == 0)
    }

    /// A disk that takes a while is waited for, so that nothing is lost to a network that is only a little faster.
    @Test func aMomentIsWaited() throws {
        let disk = try SlowDisk(waiting: 1500, seconds: 60)
        let contents = (1...4).map { CacheQueueTests.content($0) }
        keepLater(contents[0], in: disk.cache)
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: 0.1)
            disk.open()
        }
        for content in contents[1...] { keepLater(content, in: disk.cache) }
        #expect(disk.cache.finishWriting(within: 30))
        #expect(contents.allSatisfy { disk.cache.found(CacheQueueTests.hash($0)) == $0 })
        #expect(disk.cache.statistics.droppedCount == 0)
    }

    /// What could never wait is not left out for ever: it is written at once.
    @Test func whatIsLargerThanTheQueueIsWrittenAtOnce() throws {
        let disk = try SlowDisk(waiting: 999)
        disk.open()
        let content = CacheQueueTests.content(1)
        keepLater(content, in: disk.cache)
        #expect(disk.cache.statistics.storedCount == 1)
        #expect(disk.cache.statistics.waitingByteCount == 0)
        // What may not be kept at all takes no room either.
        keepLater([], in: disk.cache)
        keepLater(CacheQueueTests.content(2, count: 1 << 20 | 1), in: disk.cache)
        #expect(disk.cache.statistics.droppedCount == 0)
        #expect(disk.cache.statistics.storedCount == 1)
    }

    /// Who asks for what it has just sent, as after a lost connection, is answered when that is written.
    @Test func aQuestionWaitsForWhatIsBeingWritten() throws {
        let disk = try SlowDisk(waiting: 1 << 16)
        let content = CacheQueueTests.content(1)
        keepLater(content, in: disk.cache)
        disk.waitUntilTouched()
        // Another's content is not waited for.
        #expect(disk.cache.found(CacheQueueTests.hash(content), scope: "another") == nil)
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: 0.1)
            disk.open()
        }
        #expect(disk.cache.found(CacheQueueTests.hash(content)) == content)
    }

    /// Also where a content of that name was there before and is no more, as one that was found damaged.
    @Test func aQuestionWaitsForWhatIsWrittenAnew() throws {
        let disk = try SlowDisk(waiting: 1 << 16)
        let content = CacheQueueTests.content(1)
        disk.open()
        keepLater(content, in: disk.cache)
        #expect(disk.cache.found(CacheQueueTests.hash(content)) == content)
        let blobs = disk.path + "/blobs"
        for name in try FileManager.default.contentsOfDirectory(atPath: blobs) {
            try FileManager.default.removeItem(atPath: "\(blobs)/\(name)")
        }
        disk.shut()
        keepLater(content, in: disk.cache)
        Thread.detachNewThread {
            Thread.sleep(forTimeInterval: 0.1)
            disk.open()
        }
        #expect(disk.cache.found(CacheQueueTests.hash(content)) == content)
    }

    /// Many sessions at once, and threads that come and go.
    @Test func sessionsAtOnce() throws {
        let disk = try SlowDisk(waiting: 1 << 20)
        disk.open()
        DispatchQueue.concurrentPerform(iterations: 8) { session in
            for round in 0..<50 {
                keepLater(CacheQueueTests.content(UInt8(session * 25 + round % 25)), in: disk.cache, scope: "\(session)")
            }
        }
        #expect(disk.cache.finishWriting(within: 60))
        for session in 0..<8 {
            for round in 0..<25 {
                let content = CacheQueueTests.content(UInt8(session * 25 + round))
                #expect(disk.cache.found(CacheQueueTests.hash(content), scope: "\(session)") == content)
            }
        }
        #expect(disk.cache.statistics.droppedCount == 0)
    }
}
