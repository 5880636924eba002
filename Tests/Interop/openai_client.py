"""Does the OpenAI Python client, unmodified, get what it expects: models, completions, chats, streams, errors?"""

import openai

from interop import CACHE, GEMMA, Report, Server

# The model's file is a base model's and holds no chat template: Gemma's own comes from the reference's collection.
TEMPLATE = CACHE / "templates" / "google-gemma-2-2b-it.jinja"

report = Report()
with Server(GEMMA, "--api-key", "open-sesame", "--chat-template-file", TEMPLATE, parallel=2) as server:
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="open-sesame", max_retries=0, timeout=120)

    models = client.models.list().data
    report.check(len(models) == 1 and models[0].id, f"models.list: {[model.id for model in models]}")
    name = models[0].id

    whole = client.completions.create(model=name, prompt="The capital of France is", max_tokens=24, temperature=0)
    choice = whole.choices[0]
    report.check(choice.text.strip() and choice.finish_reason == "length", f"completion: {choice.text[:60]!r}, {choice.finish_reason}")
    usage = whole.usage
    report.check(usage and usage.completion_tokens == 24 and usage.prompt_tokens > 3
                 and usage.total_tokens == usage.prompt_tokens + 24, f"completion usage: {usage}")

    pieces, reason = [], None
    for event in client.completions.create(model=name, prompt="The capital of France is", max_tokens=24, temperature=0, stream=True):
        for part in event.choices:
            pieces.append(part.text)
            reason = part.finish_reason or reason
    report.check("".join(pieces) == choice.text and len([piece for piece in pieces if piece]) > 5 and reason == "length",
                 f"streamed completion: same text in {len(pieces)} events, {reason}")

    messages = [{"role": "user", "content": "Write one sentence about the sea."}]
    chat = client.chat.completions.create(model=name, messages=messages, max_tokens=32, temperature=0)
    report.check(chat.choices[0].message.role == "assistant" and chat.choices[0].message.content is not None,
                 f"chat: {chat.choices[0].message.content[:80]!r}, {chat.choices[0].finish_reason}")

    pieces, role, reason, counted = [], None, None, None
    for event in client.chat.completions.create(
            model=name, messages=messages, max_tokens=32, temperature=0, stream=True, stream_options={"include_usage": True}):
        counted = event.usage or counted
        for part in event.choices:
            role = part.delta.role or role
            pieces.append(part.delta.content or "")
            reason = part.finish_reason or reason
    report.check("".join(pieces) == chat.choices[0].message.content, "streamed chat: the same text as in one piece")
    report.check(role == "assistant" and reason in ("stop", "length"), f"streamed chat: role {role}, finish_reason {reason}")
    report.check(counted and counted.completion_tokens > 0, f"streamed chat: usage on request: {counted}")

    stopped = client.completions.create(
        model=name, prompt="1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,", max_tokens=40, temperature=0, stop=["15"])
    report.check("15" not in stopped.choices[0].text and stopped.choices[0].finish_reason == "stop",
                 f"stop: {stopped.choices[0].text!r}, {stopped.choices[0].finish_reason}")

    def drawn(seed):
        return client.completions.create(model=name, prompt="My favourite", max_tokens=16, temperature=1.0, seed=seed).choices[0].text

    report.check(drawn(7) == drawn(7), "the same seed draws the same text")
    report.check(len({drawn(seed) for seed in range(5)}) > 1, "other seeds draw other texts")

    # A token that is forbidden does not come; with so strong a bias towards one, nothing else does.
    forced = client.completions.create(model=name, prompt="The", max_tokens=3, temperature=0, logit_bias={"1000": 100})
    free = client.completions.create(model=name, prompt="The", max_tokens=3, temperature=0)
    report.check(forced.choices[0].text != free.choices[0].text, f"logit_bias: {forced.choices[0].text!r} beside {free.choices[0].text!r}")

    abandoned = client.completions.create(model=name, prompt="A very long story:", max_tokens=2000, temperature=0, stream=True)
    next(iter(abandoned))
    abandoned.close()
    after = client.completions.create(model=name, prompt="The capital of France is", max_tokens=24, temperature=0)
    report.check(after.choices[0].text == choice.text, "a stream given up half way leaves the server as it was")

    def refused(kind, what, ask):
        try:
            ask()
        except kind as error:
            detail = error.body if isinstance(error.body, dict) else {}
            report.check(detail.get("message"), f"{what}: {type(error).__name__}: {str(detail.get('message'))[:100]}")
        except openai.OpenAIError as error:
            report.check(False, f"{what}: {type(error).__name__}, expected {kind.__name__}: {error}")
        else:
            report.check(False, f"{what}: was accepted")

    stranger = client.with_options(api_key="wrong")
    refused(openai.AuthenticationError, "wrong API key",
            lambda: stranger.completions.create(model=name, prompt="x", max_tokens=1))
    refused(openai.BadRequestError, "prompt past the context",
            lambda: client.completions.create(model=name, prompt="word " * 9000, max_tokens=1))
    refused(openai.BadRequestError, "negative max_tokens",
            lambda: client.completions.create(model=name, prompt="x", max_tokens=-5))
    refused(openai.BadRequestError, "temperature of the wrong type",
            lambda: client.completions.create(model=name, prompt="x", max_tokens=1, temperature="hot"))
    refused(openai.BadRequestError, "message without a known role",
            lambda: client.chat.completions.create(model=name, messages=[{"role": 7, "content": "x"}], max_tokens=1))
    report.check(server.alive(), "the server is alive")
report.finish()
