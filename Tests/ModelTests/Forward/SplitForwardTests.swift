import Foundation
import GGUF
import Kernels
import Model
import Tensor
import TestSupport
import Testing

/// That a device with few operations computes whole models, to the byte as one that has them all.
@Suite struct SplitForwardTests {
    /// A prompt in two pieces, two slots' single tokens, another prompt beside one; twice, the second time over what is in the caches.
    private static let steps: [[BatchPiece]] = {
        let once: [[BatchPiece]] = [
            [BatchPiece(slot: 0, firstPosition: 0, tokens: (0..<11).map { Int32($0) }, outputs: .none)],
            [
                BatchPiece(slot: 0, firstPosition: 11, tokens: (0..<5).map { Int32($0 + 30) }, outputs: .last),
                BatchPiece(slot: 1, firstPosition: 0, tokens: [1, 2, 3], outputs: .all),
            ],
            [
                BatchPiece(slot: 0, firstPosition: 16, tokens: [9], outputs: .last),
                BatchPiece(slot: 1, firstPosition: 3, tokens: [8], outputs: .last),
            ],
            [
                BatchPiece(slot: 0, firstPosition: 17, tokens: [4], outputs: .last),
                BatchPiece(slot: 1, firstPosition: 4, tokens: [7], outputs: .last),
            ],
        ]
        return once + once
    }()

    private static func transcript(of pass: ForwardPass) throws -> [[UInt32]] {
        var rows: [[UInt32]] = []
        for step in steps {
            try pass.run(step) { slot, position, logits in
                rows.append([UInt32(slot), UInt32(position)] + logits.map(\.bitPattern))
            }
        }
        return rows
    }

    private static func withModel(_ architecture: String, _ body: (GGUFFile) throws -> Void) throws {
        var random = SeededRandom(seed: 23)
        var figures = ModelFigures()
        figures.architecture = architecture
        figures.layers = 2
        figures.vocabulary = 60
        figures.experts = ["qwen3moe", "deepseek2"].contains(architecture) ? 4 : 0
        figures.usedExperts = min(figures.experts, 2)
        figures.slidingWindow = architecture == "gemma3" ? 8 : 0
        let path = FileManager.default.temporaryDirectory.appending(path: "split-\(UUID().uuidString).gguf").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try figures.draft(.f32, &random).write(to: path)
        try body(try GGUFFile(path: path))
    }

    /// - Parameter adopts: whether weights are used where they are mapped, or brought into buffers.
    private static func pass(_ file: GGUFFile, on backend: any Backend, adopts: Bool = true) throws -> ForwardPass {
        let model: LanguageModel
        if adopts {
            model = try LanguageModel(file, on: backend)
        } else {
            let outline = try ModelOutline(file)
            var weights = PlacedWeights()
            for part in outline.parts {
                for tensor in outline.tensors(of: part) {
                    let buffer = try backend.allocate(byteCount: tensor.byteCount)
                    try backend.write(file.region(of: tensor).bytes, to: buffer, at: 0)
                    weights.place(
                        Weight(name: tensor.name, type: tensor.type, shape: tensor.shape, buffer: buffer, byteOffset: 0), in: part)
                }
            }
            model = try LanguageModel(file, weights: weights)
        }
        return try ForwardPass(model, on: backend, slotCount: 2, contextLength: 40)
    }

    /// Operations that a device may lack: a few that matter, all of them, none, and then at random, rarely and often.
    private static func refusals(of used: Set<OperationKind>) -> [Set<OperationKind>] {
        var random = SeededRandom(seed: 77)
        var sets: [Set<OperationKind>] = [
            [], used, [.matMul], [.flashAttention], [.setRows], [.cpy], [.getRows], [.setRows, .flashAttention],
            used.subtracting([.matMul]),
            used.subtracting([.setRows]),
        ]
        let kinds = used.sorted { $0.rawValue < $1.rawValue }
        while sets.count < 50 {
            let share = Double.random(in: 0.05...0.95, using: &random)
            sets.append(Set(kinds.filter { _ in Double.random(in: 0..<1, using: &random) < share }))
        }
        return sets
    }

    @Test(
        "the bytes of logits do not tell which operations a device lacks",
        arguments: ["llama", "gemma3", "qwen3moe", "deepseek2", "mamba2", "falcon-h1"], [false, true])
    func refusalsDoNotShow(_ architecture: String, _ isPlaced: Bool) throws {
        try Self.withModel(architecture) { file in
            func device(_ backend: any Backend) -> any Backend { isPlaced ? PlacingBackend(backend) : backend }
            let (primary, fallback) = (try CPUBackend(threads: 1), try CPUBackend(threads: 1))
            let able = PickyBackend(primary, refusing: [])
            let expected = try Self.transcript(of: Self.pass(file, on: device(able)))
            #expect(expected.count == 16)
            let used = able.operations.filter { ![.none, .view, .reshape, .permute, .transpose].contains($0) }
            #expect(used.count >= 8)
            for (index, refused) in Self.refusals(of: used).enumerated() {
                let picky = PickyBackend(primary, refusing: refused)
                // Nested now and then, so that the fallback's memory is out of reach too.
                let whole: any Backend =
                    index % 4 == 3
                    ? SplitBackend(PickyBackend(fallback, refusing: [.add, .cpy]), fallback: fallback) : fallback
                let split = SplitBackend(picky, fallback: whole)
                let found = try Self.transcript(of: Self.pass(file, on: device(split), adopts: index % 2 == 0))
                #expect(found == expected, "refused: \(refused.map(\.rawValue).sorted())")
                #expect(picky.operations.isDisjoint(with: refused))
                #expect(used.subtracting(refused).isSubset(of: picky.operations))
            }
        }
    }
}
