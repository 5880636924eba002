import Foundation
import GGUF
import Model
import TestSupport
import Testing

/// That files say which layers there are and of what kind, and that what they say wrongly is refused by name.
@Suite struct LayerKindTests {
    private static func outline(layers: Int = 4, _ change: (inout ModelDraft) -> Void = { _ in }) throws -> ModelOutline {
        var random = SeededRandom(seed: 3)
        var figures = ModelFigures()
        figures.architecture = "qwen35"
        figures.layers = layers
        var draft = figures.draft(.f32, &random)
        change(&draft)
        let path = FileManager.default.temporaryDirectory.appending(path: "layers-\(UUID().uuidString).gguf").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try draft.write(to: path)
        return try ModelOutline(try GGUFFile(path: path))
    }

    @Test("layers that guess at further tokens are passed over, with their tensors and their memory")
    func guessingLayers() throws {
        let plain = try Self.outline(layers: 2)
        let outline = try Self.outline(layers: 4) { $0.set(own: "nextn_predict_layers", .uint32(2)) }
        #expect(outline.hyperparameters == plain.hyperparameters)
        #expect(outline.hyperparameters.layerCount == 2)
        let names = outline.parts.flatMap { outline.tensors(of: $0).map(\.name) }
        #expect(names.contains { $0.hasPrefix("blk.1.") })
        #expect(!names.contains { $0.hasPrefix("blk.2.") || $0.hasPrefix("blk.3.") })
        #expect(throws: ModelError.self) {
            try Self.outline(layers: 4) { $0.set(own: "nextn_predict_layers", .uint32(4)) }
        }
    }

    @Test("which layers are recurrent is said layer by layer, or by every how many there is attention")
    func recurrentLayers() throws {
        func kinds(_ change: (inout ModelDraft) -> Void) throws -> [Bool] {
            try Self.outline(change).hyperparameters.layerStates.map(\.isRecurrent)
        }
        #expect(try kinds { _ in } == [true, false, true, false])
        // What a list says holds, whatever it is a list of.
        let bools = GGUFWriter.Value.array(.bool, [true, false, true, false].map { .bool($0) })
        let numbers = GGUFWriter.Value.array(.uint32, [1, 0, 1, 0].map { .uint32($0) })
        for list in [bools, numbers] {
            let found = try kinds {
                $0.set(own: "full_attention_interval", .uint32(3))
                $0.set(own: "attention.recurrent_layers", list)
            }
            #expect(found == [true, false, true, false])
        }
        // Three layers' words for four, and layers that the tensors are not of.
        for list: GGUFWriter.Value in [.array(.bool, [true, false, true].map { .bool($0) }), .bool(true), .string("all")] {
            #expect(throws: ModelError.self) { try kinds { $0.set(own: "attention.recurrent_layers", list) } }
        }
    }

    @Test("only a model with ropes in sections says so, and only of layers with attention")
    func sections() throws {
        #expect(try Self.outline().hyperparameters.layerStates.map(\.hasSections) == [false, true, false, true])
        func sections(_ counts: [Int32]) -> GGUFWriter.Value { .array(.int32, counts.map { .int32($0) }) }
        for wrong: GGUFWriter.Value? in [
            nil, sections([]), sections([4, 4, 0]), sections([0, 0, 0, 0]), sections([-1, 4, 4, 0]), .uint32(4),
        ] {
            #expect(throws: ModelError.self) { try Self.outline { $0.set(own: "rope.dimension_sections", wrong) } }
        }
    }

    @Test(
        "figures of a delta net that do not fit each other are refused",
        arguments: [
            ("ssm.inner_size", 33), ("ssm.inner_size", 64), ("ssm.time_step_rank", 3), ("ssm.group_count", 3), ("ssm.group_count", 0),
            ("ssm.conv_kernel", 1), ("ssm.state_size", 0), ("attention.value_length", 8),
        ] as [(String, UInt32)])
    func deltaNetFigures(_ key: String, _ value: UInt32) throws {
        let error = #expect(throws: ModelError.self) { try Self.outline { $0.set(own: key, .uint32(value)) } }
        #expect(error?.code == .metadata)
    }
}
