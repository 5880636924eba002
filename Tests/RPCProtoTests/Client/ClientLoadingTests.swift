import Foundation
import RPCProto
import Synchronization
import Tensor
import Testing

/// Weights reach a server once; where it keeps them, a second time only their names do.
struct ClientLoadingTests {
    private final class Reports: Sendable {
        let list = Mutex<[TransferProgress]>([])
        var last: TransferProgress? { list.withLock { $0.last } }
    }

    @Test(arguments: Dialect.all) func aSecondLoadSendsNextToNothing(_ dialect: Dialect) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var options = SessionOptions()
        var limits = TensorCacheLimits()
        limits.smallestByteCount = 1
        options.cache = try TensorCache(folder: folder, limits: limits)
        let server = try LoopbackServer(dialect, options: options)
        var random = SeededFloats(1)
        // Without a flag, only what is larger than 10 MiB is asked for.
        let sizes = [11 << 20, 12 << 20 | 4, dialect.hasCacheFlag ? 64 << 10 : 11 << 20, 1000]
        let uploads = sizes.enumerated().map { index, size in
            var content = [UInt8](repeating: UInt8(index), count: size)
            for _ in 0..<1000 { content[Int(random.next() % UInt64(size))] = UInt8(truncatingIfNeeded: random.next()) }
            let hash = content.withUnsafeBytes { FNVHash.of($0) }
            return TensorUpload(
                name: "\(index)", type: .f32, shape: Shape(size / 4), content: OwnedBytes.region(content), hash: .known(hash))
        }
        let total = sizes.reduce(0, +)
        for round in 0..<2 {
            let connection = try server.connect()
            let backend = connection.devices[0]
            let reports = Reports()
            let places = try backend.load(uploads, progress: { progress in reports.list.withLock { $0.append(progress) } })
            let last = try #require(reports.last)
            #expect(last.total == total)
            #expect(last.done == total)
            #expect(last.sent == (round == 0 ? total : 1000))
            if round == 1 { #expect(connection.sentByteCount < 10_000) }
            for (upload, place) in zip(uploads, places) {
                var content = [UInt8](repeating: 0, count: upload.content.bytes.count)
                try content.withUnsafeMutableBytes { try backend.read(place.buffer, at: place.byteOffset, into: $0) }
                #expect(content == Array(upload.content.bytes))
            }
        }
        #expect(server.count(of: .setTensorHash) == 6)
    }

    /// Many more than are asked for at once.
    @Test func manyTensors() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "cache-\(UUID().uuidString)").path()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var options = SessionOptions()
        var limits = TensorCacheLimits()
        limits.smallestByteCount = 1
        options.cache = try TensorCache(folder: folder, limits: limits)
        let server = try LoopbackServer(options: options)
        let uploads = (0..<150).map { index in
            let content = [UInt8](repeating: UInt8(index), count: 64 << 10)
            let hash = content.withUnsafeBytes { FNVHash.of($0) }
            return TensorUpload(
                name: "\(index)", type: .i8, shape: Shape(64 << 10), content: OwnedBytes.region(content), hash: .known(hash))
        }
        // Half of them first: then what is there and what is not lie mixed.
        for part in [uploads.enumerated().filter { $0.offset % 3 != 1 }.map(\.element), uploads] {
            let backend = try server.connect().devices[0]
            let places = try backend.load(part)
            for (upload, place) in zip(part, places) {
                var byte = [UInt8](repeating: 0, count: 1)
                try byte.withUnsafeMutableBytes { try backend.read(place.buffer, at: place.byteOffset + (64 << 10) - 1, into: $0) }
                #expect(byte[0] == upload.content.bytes[0])
            }
        }
    }

    /// Steps go between the slices of an upload over the same connection: one ends while most of the tensor is still to come.
    @Test(.timeLimit(.minutes(2))) func aStepGoesBetweenSlices() throws {
        let server = try LoopbackServer(bytesPerSecond: 48e6)
        let backend = try server.connect().devices[0]
        let g = GraphBuilder()
        let x = g.input("x", .f32, Shape(4))
        let y = g.scale(x, by: 2)
        g.markOutput(y)
        let plan = try backend.prepare(try g.finish())
        try backend.reserve(computeByteCount: 1 << 16)

        let content = [UInt8](repeating: 3, count: 96 << 20)
        let upload = TensorUpload(name: "experts", type: .i8, shape: Shape(content.count), content: OwnedBytes.region(content))
        let reports = Reports()
        let (begun, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        Thread.detachNewThread {
            do {
                _ = try backend.load(
                    [upload],
                    progress: { progress in
                        reports.list.withLock { $0.append(progress) }
                        begun.signal()
                    })
            } catch {
                Issue.record("\(error)")
            }
            ended.signal()
        }
        begun.wait()
        var result = [UInt8](repeating: 0, count: 16)
        try bytes([1, 2, 3, 4]).withUnsafeBytes { input in
            try result.withUnsafeMutableBytes { output in
                let (write, read) = (Step.Write(tensor: x, bytes: input), Step.Read(tensor: y, into: output))
                try backend.run(Step(writes: [write], plan: plan, reads: [read]))
            }
        }
        let done = try #require(reports.last).done
        #expect(done < content.count * 3 / 4)
        #expect(floats(result) == [2, 4, 6, 8])
        ended.wait()
        #expect(reports.last?.done == content.count)
    }

    /// An upload that nobody wants any more ends soon, and leaves a connection over which the server can be asked, and its memory free.
    @Test(.timeLimit(.minutes(2))) func anUploadIsGivenUp() throws {
        // All of it would take minutes.
        let server = try LoopbackServer(bytesPerSecond: 4e6)
        let connection = try server.connect()
        let backend = connection.devices[0]
        let content = [UInt8](repeating: 3, count: 1 << 20)
        let large = OwnedBytes.region([UInt8](repeating: 3, count: 512 << 20))
        let uploads = [
            TensorUpload(name: "small", type: .i8, shape: Shape(content.count), content: OwnedBytes.region(content)),
            TensorUpload(name: "large", type: .i8, shape: Shape(large.bytes.count), content: large),
        ]
        let isInVain = Atomic<Bool>(false)
        let allocated = Mutex<[Int]>([])
        let reports = Reports()
        let error = failure {
            _ = try backend.load(
                uploads, isInVain: { isInVain.load(ordering: .relaxed) },
                onAllocated: { bytes in
                    allocated.withLock { $0.append(bytes) }
                    #expect(server.count(of: .setTensor) == 0)
                },
                progress: { progress in
                    reports.list.withLock { $0.append(progress) }
                    if progress.done > content.count { isInVain.store(true, ordering: .relaxed) }
                })
        }
        #expect(error?.code == .cancelled)
        #expect(try #require(reports.last).done < 64 << 20)
        #expect(allocated.withLock { $0 } == [content.count + large.bytes.count])
        #expect(connection.failure == nil)
        // Behind all that was sent.
        _ = try backend.memory()
        #expect(server.count(of: .freeBuffer) == 1)
        #expect(connection.failure == nil)
    }

    /// What a server may rearrange, and what a cache is to keep, comes whole; our own server takes parts of everything else.
    @Test(arguments: [true, false]) func whatGoesInSlices(_ isOurs: Bool) throws {
        let server = try LoopbackServer { command, answer in
            command == .getMaxSize && !isOurs ? Response.number(.max).encoded : answer
        }
        let backend = try server.connect().devices[0]
        let rows = 9 << 20
        func sent(_ type: ElementType, isAsked: Bool) throws -> Int {
            let content = (0..<(try #require(type.byteCount(elements: rows)))).map { UInt8(truncatingIfNeeded: $0 >> 9) }
            let hash = isAsked ? TensorUpload.Hash.onDemand : .none
            let upload = TensorUpload(name: "w", type: type, shape: Shape(rows), content: OwnedBytes.region(content), hash: hash)
            let before = server.count(of: .setTensor)
            let place = try backend.load([upload])[0]
            let count = server.count(of: .setTensor) - before
            var back = [UInt8](repeating: 0, count: content.count)
            try back.withUnsafeMutableBytes { try backend.read(place.buffer, at: place.byteOffset, into: $0) }
            #expect(back == content)
            return count
        }
        #expect(try sent(.i8, isAsked: false) == 3)
        #expect(try sent(.i8, isAsked: true) == 1)
        #expect(try sent(.q8_0, isAsked: false) == (isOurs ? 3 : 1))
        #expect(try sent(.q8_0, isAsked: true) == 1)
    }

    /// A server that refuses an allocation by closing, as ours does past its number of buffers.
    @Test func aServerThatClosesInTheMiddle() throws {
        var options = SessionOptions()
        options.bufferCount = 1
        let server = try LoopbackServer(options: options)
        let backend = try server.connect().devices[0]
        #expect(try backend.load([]).isEmpty)
        let first = try backend.load(TinyTransformer.uploads())
        withExtendedLifetime(first) {
            let error = failure { _ = try backend.load(TinyTransformer.uploads()) }
            #expect(error?.code == .connection)
            #expect(error?.message == "\(server.endpoint): ALLOC_BUFFER: the server closed the connection instead of answering")
        }
    }
}
