import GGUF
import Kernels
import Model
import RPCProto
import Tensor
import Testing

/// What goes over the wire with a step: little, however long the context; and that what comes back is what this machine
/// would have computed.
@Suite(.timeLimit(.minutes(2))) struct StepBytesTests {
    /// A whole model on one device of a server.
    private func pass(
        _ file: GGUFFile, on connection: ServerConnection, contextLength: Int, paddedBatchSize: Int? = nil
    ) throws -> ForwardPass {
        let outline = try ModelOutline(file)
        let device = connection.devices[0]
        var weights = PlacedWeights()
        let whole = StageExtent(embeds: true, layers: 0..<outline.hyperparameters.layerCount, hasOutput: true)
        for part in whole.parts {
            for tensor in outline.tensors(of: part) {
                let buffer = try device.allocate(byteCount: tensor.byteCount)
                try device.write(file.region(of: tensor).bytes, to: buffer, at: 0)
                weights.place(
                    Weight(name: tensor.name, type: tensor.type, shape: tensor.shape, buffer: buffer, byteOffset: 0), in: part)
            }
        }
        let model = try LanguageModel(file, weights: weights)
        let stage = try ForwardStage(model, whole, on: device, slotCount: 4, contextLength: contextLength)
        return ForwardPass(
            model, stages: [stage], slotCount: 4, contextLength: contextLength, paddedBatchSize: paddedBatchSize)
    }

    /// Prompts in pieces, single tokens of slots with a gap between them, many outputs.
    private let steps: [[BatchPiece]] = [
        [BatchPiece(slot: 0, firstPosition: 0, tokens: (0..<37).map { Int32($0 % 24) }, outputs: .none)],
        [
            BatchPiece(slot: 0, firstPosition: 37, tokens: [4, 5, 6], outputs: .last),
            BatchPiece(slot: 3, firstPosition: 0, tokens: [9], outputs: .last),
        ],
        [
            BatchPiece(slot: 0, firstPosition: 40, tokens: [1], outputs: .last),
            BatchPiece(slot: 3, firstPosition: 1, tokens: [2], outputs: .last),
        ],
        [BatchPiece(slot: 1, firstPosition: 0, tokens: (0..<24).map { Int32($0) }, outputs: .all)],
    ]

    private func bits(_ pass: ForwardPass) throws -> [[UInt32]] {
        var rows: [[UInt32]] = []
        for step in steps {
            try pass.run(step) { slot, position, logits in
                rows.append([UInt32(slot), UInt32(position)] + logits.map(\.bitPattern))
            }
        }
        return rows
    }

    @Test("logits over a worker are the bytes of this machine's, padded or not", arguments: [301, 1024])
    func logitsAreTheSame(_ contextLength: Int) throws {
        let model = try TinyModel(layers: 3)
        let file = try GGUFFile(path: model.path)
        let backend = try CPUBackend(threads: 2)
        let expected = try bits(
            ForwardPass(LanguageModel(file, on: backend), on: backend, slotCount: 4, contextLength: contextLength))
        #expect(expected.count == 28)
        let server = try SessionServer(devices: 1)
        for padded in [nil, 64] {
            let connection = try ServerConnection.connect(to: Endpoint(parsing: server.address))
            defer { connection.close() }
            let pass = try pass(file, on: connection, contextLength: contextLength, paddedBatchSize: padded)
            #expect(try bits(pass) == expected)
        }
    }

    @Test("the bytes of a step do not grow with the context")
    func bytes() throws {
        let model = try TinyModel(layers: 3)
        let file = try GGUFFile(path: model.path)
        let server = try SessionServer(devices: 1)
        var sent: [[Int]] = []
        for contextLength in [1024, 16 << 10] {
            let connection = try ServerConnection.connect(to: Endpoint(parsing: server.address))
            defer { connection.close() }
            let pass = try pass(file, on: connection, contextLength: contextLength)
            func byteCount(_ pieces: [BatchPiece]) throws -> Int {
                // The first time, the graph goes with it; positions may be taken in twice.
                try pass.run(pieces) { _, _, _ in }
                let before = connection.sentByteCount
                try pass.run(pieces) { _, _, _ in }
                return connection.sentByteCount - before
            }
            let end = contextLength - 512
            let prefill = BatchPiece(slot: 0, firstPosition: end, tokens: [Int32](repeating: 3, count: 512), outputs: .last)
            let decode = [0, 3].map { BatchPiece(slot: $0, firstPosition: contextLength - 1, tokens: [5], outputs: .last) }
            sent.append([try byteCount([prefill]), try byteCount([decode[0]]), try byteCount(decode)])
        }
        #expect(sent[0] == sent[1])
        // Token, position, cache row and where its mask begins, 20 bytes a token, and the messages' heads.
        #expect(sent[1][0] < 512 * 20 + 2048)
        #expect(sent[1][1] < 2048)
        #expect(sent[1][2] < 2048)
        print("bytes sent: prefill of 512 at 16k \(sent[1][0]), decode \(sent[1][1]), two slots with a gap \(sent[1][2])")
    }
}
