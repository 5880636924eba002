import Base
import Foundation
import Testing

@Suite struct MappedFilesTests {
    @Test("A mapped file that is cut short ends the process with a line that names it and a status of its own")
    func cutShort() async throws {
        let result = await #expect(processExitsWith: .exitCode(MappedFiles.exitStatus), observing: [\.standardErrorContent]) {
            MappedFiles.explainLosses()
            let path = FileManager.default.temporaryDirectory.appending(path: "cut-short-\(UUID().uuidString)").path
            let count = 1 << 20
            FileManager.default.createFile(atPath: path, contents: Data(repeating: 1, count: count))
            let file = open(path, O_RDWR)
            unlink(path)
            let start = try #require(mmap(nil, count, PROT_READ, MAP_PRIVATE, file, 0))
            let bytes = UnsafeRawBufferPointer(start: start, count: count)
            _ = MappedFiles.note(bytes, path: "/models/the model.gguf")
            ftruncate(file, 4096)
            let middle = UInt(bitPattern: start) + UInt(count / 2)
            // By several threads at once, as kernels do it.
            DispatchQueue.concurrentPerform(iterations: 8) { index in
                print(UnsafePointer<UInt8>(bitPattern: middle + UInt(index))?.pointee ?? 0)
            }
        }
        let told = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(told.contains("swiftlet: the file '/models/the model.gguf' was cut short, or its disk failed, while it was in use\n"))
    }

    @Test("What else goes wrong with memory ends a process as it would have without this")
    func others() async {
        await #expect(processExitsWith: .signal(SIGBUS)) {
            MappedFiles.explainLosses()
            let path = FileManager.default.temporaryDirectory.appending(path: "cut-short-\(UUID().uuidString)").path
            FileManager.default.createFile(atPath: path, contents: Data())
            let file = open(path, O_RDWR)
            unlink(path)
            let start = try #require(mmap(nil, 4096, PROT_READ, MAP_PRIVATE, file, 0))
            print(UnsafeRawBufferPointer(start: start, count: 4096)[0])
        }
    }

    @Test("Files that were unmapped leave their places to others")
    func places() throws {
        let bytes: [UInt8] = [1, 2, 3]
        try bytes.withUnsafeBytes { bytes in
            for _ in 0..<10_000 { MappedFiles.forget(try #require(MappedFiles.note(bytes, path: "some file"))) }
        }
    }
}
