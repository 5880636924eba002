/// Chat templates for models whose file has none, chosen by the marks of turns that the vocabulary knows.
public enum FallbackTemplates {
    /// The text of the template that suits the vocabulary.
    public static func choose(for vocabulary: Vocabulary) -> String {
        if vocabulary.tokens.find("<start_of_turn>") != nil { return gemma }
        if vocabulary.tokens.find("<|start_header_id|>") != nil { return llama3 }
        if vocabulary.tokens.find("<|im_start|>") != nil { return chatML }
        return plain
    }

    /// Gemma has no system role: what it would say opens the first turn of the user.
    static let gemma = """
        {{ bos_token }}
        {%- set opening = namespace(text='') -%}
        {%- for message in messages -%}
        {%- if message.role == 'system' -%}
        {%- set opening.text = message.content | trim ~ '\\n\\n' -%}
        {%- else -%}
        {{ '<start_of_turn>' ~ ('model' if message.role == 'assistant' else message.role) ~ '\\n' }}
        {{- opening.text ~ (message.content | trim) ~ '<end_of_turn>\\n' }}
        {%- set opening.text = '' -%}
        {%- endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}
        """

    static let llama3 = """
        {{ bos_token }}
        {%- for message in messages -%}
        {{ '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\\n\\n' ~ (message.content | trim) ~ '<|eot_id|>' }}
        {%- endfor -%}
        {%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}
        """

    static let chatML = """
        {%- for message in messages -%}
        {{ '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' }}
        {%- endfor -%}
        {%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}
        """

    static let plain = """
        {{ bos_token }}
        {%- for message in messages -%}
        {{ message.role ~ ': ' ~ message.content ~ '\\n' }}
        {%- endfor -%}
        {%- if add_generation_prompt -%}{{ 'assistant:' }}{%- endif -%}
        """
}
