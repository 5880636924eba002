internal import Base

extension RequestMember {
    /// What only chats have.
    static let chats: [RequestMember] = [
        done("messages", [.chat], everyone, "every member of messages and parts reaches the template; parts are of type text"),
        done("top_logprobs", [.chat], [.openAI, .vLLM, .ollama], "up to 20, with logprobs"),
        done("chat_template_kwargs", [.chat], [.llamaServer, .vLLM], "variables for the template"),
        done("reasoning_effort", [.chat], [.openAI, .llamaServer, .vLLM, .ollama], "a variable for the template, for those that know it"),
        done("add_generation_prompt", [.chat], [.llamaServer, .vLLM], "false leaves the assistant's turn unopened"),
        done(
            "continue_final_message", [.chat], [.llamaServer, .vLLM],
            "go on with the assistant's message at the end; the default where neither this nor add_generation_prompt is given"),
        refused("add_special_tokens", [.chat], [.vLLM], unless: [false], "the template writes the control tokens"),
        refused("echo", [.chat], [.llamaServer, .vLLM], unless: [false], "the answer is told without what it goes on with"),
        refused("chat_template", [.chat], [.vLLM], unless: [], "the template is the server's"),
        refused("documents", [.chat], [.vLLM], unless: [[]], "give them as messages, or in chat_template_kwargs"),
        refused("tools", [.chat], everyone, unless: [[]], "tools cannot be called from here; tool_choice \"none\" lets them pass"),
        refused("functions", [.chat], [.openAI], unless: [[]], "tools cannot be called from here"),
        refused("tool_choice", [.chat], everyone, unless: ["none", "auto"], "tools cannot be called from here"),
        refused("function_call", [.chat], [.openAI], unless: ["none", "auto"], "tools cannot be called from here"),
        inert("parallel_tool_calls", [.chat], [.openAI, .llamaServer, .vLLM], "belongs to tools"),
        inert("parse_tool_calls", [.chat], [.llamaServer], "belongs to tools"),
        refused("web_search_options", [.chat], [.openAI], unless: [], "nothing is looked up"),
        refused("modalities", [.chat], [.openAI], unless: [["text"]], "answers are text only"),
        refused("audio", [.chat], [.openAI], unless: [], "answers are text only"),
        refused("verbosity", [.chat], [.openAI], unless: ["medium"], "ask for it in a message"),
        refused("reasoning_format", [.chat], [.llamaServer], unless: ["none"], "what a model thinks is part of its answer"),
        refused(
            "reasoning_budget_tokens", [.chat], [.llamaServer], unless: [-1],
            "what a model thinks is not told apart; max_tokens limits all of it"),
        refused(
            "thinking_budget_tokens", [.chat], [.llamaServer], unless: [-1],
            "what a model thinks is not told apart; max_tokens limits all of it"),
        refused("reasoning_control", [.chat], [.llamaServer], unless: [false], "what a model thinks is not told apart"),
        inert("reasoning_budget_start_tag", [.chat], [.llamaServer], "belongs to reasoning_budget_tokens"),
        inert("reasoning_budget_end_tags", [.chat], [.llamaServer], "belongs to reasoning_budget_tokens"),
        inert("reasoning_budget_message", [.chat], [.llamaServer], "belongs to reasoning_budget_tokens"),
        refused(
            "thinking_token_budget", [.chat], [.vLLM], unless: [-1], "what a model thinks is not told apart; max_tokens limits all of it"),
        refused("thinking_forced_open", [.chat], [.llamaServer], unless: [false], "what a model thinks is part of its answer"),
        inert("reasoning_in_content", [.chat], [.llamaServer], "what a model thinks is always part of its answer"),
        refused("include_reasoning", [.chat], [.vLLM], unless: [true], "what a model thinks is part of its answer"),
        refused("think", texts, [.ollama], unless: [], "say it to the template by chat_template_kwargs"),
        inert("prediction", [.chat], [.openAI], "speed alone"),
        inert("metadata", [.chat], [.openAI], "nothing is stored"),
        inert("store", [.chat], [.openAI], "nothing is stored"),
        inert("service_tier", [.chat], [.openAI], "requests are answered in their order"),
        inert("safety_identifier", [.chat], [.openAI], "who asks makes no difference"),
        inert("prompt_cache_key", [.chat], [.openAI], "the answer is the same whatever is reused"),
        inert("prompt_cache_retention", [.chat], [.openAI], "the answer is the same whatever is reused"),
        inert("mm_processor_kwargs", texts, [.vLLM], "prompts are text only"),
        inert("media_io_kwargs", [.chat], [.vLLM], "prompts are text only"),
    ]

    /// What only embeddings have.
    static let embeddings: [RequestMember] = [
        done("input", [.embedding], everyone, "a text, a list of texts, a list of tokens, or a list of lists of tokens"),
        done("encoding_format", [.embedding], [.openAI, .llamaServer, .vLLM], "float or base64"),
        done("dimensions", [.embedding], [.openAI, .vLLM, .ollama], "only the length that the model's vectors have"),
        refused("embd_normalize", [.embedding], [.llamaServer], unless: [2], "vectors have the length 1"),
        refused("normalize", [.embedding], [.vLLM], unless: [true], "vectors have the length 1"),
        refused("use_activation", [.embedding], [.vLLM], unless: [true], "vectors have the length 1"),
        refused("embed_dtype", [.embedding], [.vLLM], unless: ["float32"], "numbers have 32 bits"),
        refused("endianness", [.embedding], [.vLLM], unless: ["native", "little"], "base64 has the low byte first"),
        refused(
            "add_special_tokens", [.embedding], [.vLLM], unless: [true],
            "a text has the tokens around it that its model wants; give tokens to have none"),
        refused("messages", [.embedding], [.vLLM], unless: [], "give a text as 'input'"),
        refused("options", [.embedding], [.ollama], unless: [[:]], "vectors depend on none"),
    ]
}
