import Foundation
import Jinja
import Model
import TestSupport
import Testing

@Suite("Chat templates")
struct ChatTemplateTests {
    @Test("Gemma's template, as it stands, marks turns as the model was trained")
    func gemma() throws {
        guard let file = ExternalData.find("templates/google-gemma-2-2b-it.jinja") else { return }
        let template = try ChatTemplate(source: String(contentsOf: file, encoding: .utf8), bosToken: "<bos>", eosToken: "<eos>")
        let messages = [
            ChatMessage(role: "user", content: " Hi "), ChatMessage(role: "assistant", content: "Hello!"),
            ChatMessage(role: "user", content: "Why?"),
        ]
        let prompt = try template.render(messages: messages, addGenerationPrompt: true).text
        #expect(
            prompt == "<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello!<end_of_turn>\n"
                + "<start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n")
        #expect(throws: TemplateError.self) {
            try template.render(messages: [ChatMessage(role: "system", content: "x")], addGenerationPrompt: true)
        }
    }
}
