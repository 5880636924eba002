import Model
import Testing

/// Models without a chat template of their own still get their family's marks around each turn.
@Suite struct FallbackTemplateTests {
    private func render(_ marks: [String], _ messages: [ChatMessage]) throws -> String {
        let vocabulary = try Vocabulary(
            tokens: TokenTable(["<unk>", "<bos>", "<eos>"] + marks), scores: nil, types: nil)
        let chosen = FallbackTemplates.choose(for: vocabulary)
        let template = try ChatTemplate(source: chosen, bosToken: "<bos>", eosToken: "<eos>")
        return try template.render(messages: messages, addGenerationPrompt: true).text
    }

    private let conversation = [
        ChatMessage(role: "system", content: "Be brief."), ChatMessage(role: "user", content: " Hello "),
        ChatMessage(role: "assistant", content: "Hi."), ChatMessage(role: "user", content: "Rivers?"),
    ]

    @Test("Gemma: the system's text opens the user's first turn, the assistant is called model")
    func gemma() throws {
        let text = try render(["<start_of_turn>", "<end_of_turn>"], conversation)
        #expect(
            text == "<bos><start_of_turn>user\nBe brief.\n\nHello<end_of_turn>\n<start_of_turn>model\nHi.<end_of_turn>\n"
                + "<start_of_turn>user\nRivers?<end_of_turn>\n<start_of_turn>model\n")
    }

    @Test("Llama 3: every turn under its header")
    func llama3() throws {
        let text = try render(["<|start_header_id|>"], Array(conversation.suffix(1)))
        #expect(
            text == "<bos><|start_header_id|>user<|end_header_id|>\n\nRivers?<|eot_id|>"
                + "<|start_header_id|>assistant<|end_header_id|>\n\n")
    }

    @Test("ChatML, and plain roles where the vocabulary has no marks at all")
    func others() throws {
        let last = Array(conversation.suffix(1))
        #expect(try render(["<|im_start|>"], last) == "<|im_start|>user\nRivers?<|im_end|>\n<|im_start|>assistant\n")
        #expect(try render([], last) == "<bos>user: Rivers?\nassistant:")
    }
}
