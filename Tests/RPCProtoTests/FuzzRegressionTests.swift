import Foundation
import Kernels
import RPCProto
import Testing

/// Sessions that once ended the process, found by `fuzz`: each must be served to its end, whatever that is, with every
/// variant of the kernels that runs here.
@Suite(.serialized) struct FuzzRegressionTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fixtures/fuzz/regressions")

    @Test(arguments: KernelVariant.allCases.filter { $0.obstacle() == nil })
    func sessionsThatOnceEndedTheProcess(_ variant: KernelVariant) throws {
        let backend = try CPUBackend(variant: variant, threads: 2)
        let files = try FileManager.default.contentsOfDirectory(at: Self.folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "bytes" }
        #expect(!files.isEmpty)
        for file in files {
            let stream = RecordedStream(Array(try Data(contentsOf: file)))
            _ = Session(devices: [backend]).serve(stream)
            #expect(stream.answers != nil, "\(file.lastPathComponent): half an answer")
        }
    }
}
