import Foundation
import RPCProto
import Synchronization
import Tensor
import Testing

/// Hashes are computed only where they save sending.
struct ClientHashingTests {
    /// Counts what is hashed.
    private final class Counter: Sendable {
        let names = Mutex<[String]>([])

        var hashes: ContentHashes {
            ContentHashes { [self] tensors in
                names.withLock { $0 += tensors.map(\.name) }
                return tensors.map { FNVHash.of($0.content.bytes) }
            }
        }

        var count: Int { names.withLock { $0.count } }
    }

    private final class Folder {
        let path = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString)").path()

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func server() throws -> LoopbackServer {
            var options = SessionOptions()
            var limits = TensorCacheLimits()
            limits.smallestByteCount = 1
            options.cache = try TensorCache(folder: path, limits: limits)
            return try LoopbackServer(options: options)
        }
    }

    /// Contents of 64 KiB and more, each another one.
    private func uploads(_ count: Int) -> [TensorUpload] {
        (0..<count).map { index in
            let content = [UInt8](repeating: UInt8(index), count: 64 << 10 + index << 6)
            return TensorUpload(
                name: "\(index)", type: .i8, shape: Shape(content.count), content: OwnedBytes.region(content), hash: .onDemand)
        }
    }

    private func sent(_ uploads: [TensorUpload], to backend: RPCBackend, _ hashes: ContentHashes) throws -> Int {
        let sent = Mutex(0)
        let places = try backend.load(uploads, hashes: hashes, progress: { progress in sent.withLock { $0 = progress.sent } })
        for (upload, place) in zip(uploads, places) {
            var content = [UInt8](repeating: 0, count: upload.content.bytes.count)
            try content.withUnsafeMutableBytes { try backend.read(place.buffer, at: place.byteOffset, into: $0) }
            #expect(content == Array(upload.content.bytes))
        }
        return sent.withLock { $0 }
    }

    /// However often something is brought over a connection.
    @Test func forAServerWithoutACacheNextToNothingIsHashed() throws {
        let server = try LoopbackServer()
        let backend = try server.connect().devices[0]
        let counter = Counter()
        let hashes = counter.hashes
        let uploads = uploads(20)
        for part in [uploads.prefix(1), uploads.dropFirst(1).prefix(9), uploads.dropFirst(10)] {
            #expect(try sent(Array(part), to: backend, hashes) == part.reduce(0) { $0 + $1.content.bytes.count })
        }
        #expect(counter.count == 3)
        #expect(server.count(of: .setTensorHash) == 3)
    }

    /// What was sent without a question is in the cache afterwards.
    @Test func aFirstLoadFillsTheCache() throws {
        let folder = Folder()
        let server = try folder.server()
        let uploads = uploads(20)
        let (first, second) = (Counter(), Counter())
        #expect(try sent(uploads, to: try server.connect().devices[0], first.hashes) > 0)
        #expect(first.count == 3)
        #expect(try sent(uploads, to: try server.connect().devices[0], second.hashes) == 0)
        #expect(second.names.withLock { Set($0) }.count == uploads.count)
        #expect(second.count == uploads.count)
    }

    /// A cache that has only some of the contents saves sending those, whichever of the ones asked for first it has.
    @Test(arguments: [0, 10, 19]) func aCacheWithSomeOfTheContents(_ index: Int) throws {
        let folder = Folder()
        let server = try folder.server()
        let uploads = uploads(20)
        let there = [index, 5, 6].map { uploads[$0] }
        _ = try sent(there, to: try server.connect().devices[0], ContentHashes())
        let missing = uploads.enumerated().filter { ![index, 5, 6].contains($0.offset) }
        #expect(
            try sent(uploads, to: try server.connect().devices[0], ContentHashes())
                == missing.reduce(0) { $0 + $1.element.content.bytes.count })
    }

    /// What is known is asked for even from a server that seems to have nothing, and where it has it, the rest follows.
    @Test func knownHashesAreAlwaysAsked() throws {
        let folder = Folder()
        let server = try folder.server()
        var uploads = uploads(20)
        _ = try sent(Array(uploads[5...9]), to: try server.connect().devices[0], ContentHashes())
        let backend = try server.connect().devices[0]
        let counter = Counter()
        let hashes = counter.hashes
        _ = try sent(Array(uploads[10...]), to: backend, hashes)
        #expect(counter.count == 3)
        uploads[5].hash = .known(FNVHash.of(uploads[5].content.bytes))
        #expect(try sent(Array(uploads[5...9]), to: backend, hashes) == 0)
        #expect(counter.count == 7)
    }

    /// While streams run, nothing goes whole for a cache that nobody has seen.
    @Test func bringingAheadGoesInSlices() throws {
        let server = try LoopbackServer()
        let backend = try server.connect().devices[0]
        let content = [UInt8](repeating: 7, count: 9 << 20)
        let upload = TensorUpload(name: "w", type: .i8, shape: Shape(content.count), content: OwnedBytes.region(content), hash: .onDemand)
        for (fills, messages) in [(false, 3), (true, 1)] {
            let before = server.count(of: .setTensor)
            _ = try backend.load([upload], fillsCaches: fills)
            #expect(server.count(of: .setTensor) - before == messages)
        }
    }
}
