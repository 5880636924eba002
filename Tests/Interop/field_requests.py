"""Requests as clients of other engines send them, browsers and tricks among them: what each is answered."""

import json

from interop import SMOLLM, Server

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"


def check(report):
    with Server(SMOLLM, "--cors-origin", "https://page.example", "--api-key", "secret", ctx=512) as server:
        key = {"Authorization": "Bearer secret", "Content-Type": "application/json"}

        def ask(path, body, headers=None, method="POST"):
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            status, fields, answer = server.request(method, path, data, headers if headers is not None else key)
            return status, {name.lower(): value for name, value in fields.items()}, answer

        browsers(report, ask, key)
        members(report, ask)
        limits(report, ask)
        words(report, ask, key)
    with Server(SMOLLM, ctx=512) as server:
        hosts(report, server)
        prefill(report, server)


def hosts(report, server):
    """Names that only begin like this machine's address (DNS rebinding), where no key keeps pages out."""
    for host, wanted in (("127.0.0.1", 200), ("localhost", 200), ("[::1]:8080", 200), ("127.9.9.9", 200), ("127.evil.com", 403),
                         ("127.0.0.1.evil.com", 403), ("localhost.evil.com", 403), ("evil.com", 403), ("127.0.0.1@evil.com", 403)):
        status, _, _ = server.request("GET", "/v1/models", None, {"Host": host})
        report.check(status == wanted, f"Host: {host}: {status} ({wanted})")


def browsers(report, ask, key):
    preflight = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    status, fields, _ = ask(CHAT, b"", preflight, "OPTIONS")
    report.check(status in (200, 204) and fields.get("access-control-allow-origin") == "https://page.example"
                 and "authorization" in fields.get("access-control-allow-headers", "").lower(), f"a preflight without a key: {status}")
    status, fields, _ = ask(CHAT, b"", dict(preflight, Origin="https://other.example"), "OPTIONS")
    report.check(fields.get("access-control-allow-origin") in (None, "https://page.example"), f"a preflight of another origin: {status}, not let in")
    for what, body in (("an error", b"{"), ("a stream", {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1, "stream": True})):
        status, fields, _ = ask(CHAT, body, dict(key, Origin="https://page.example"))
        report.check(fields.get("access-control-allow-origin") == "https://page.example", f"{what} for a page that is let in: {status}, with its origin")
    for header in ({"X-Api-Key": "secret"}, {"Authorization": "Bearer secret"}):
        report.check(ask("/v1/models", b"", header, "GET")[0] == 200, f"a key as {next(iter(header))}")
    report.check(ask("/v1/models", b"", {"X-Api-Key": "wrong"}, "GET")[0] == 401, "a wrong key: 401")


def members(report, ask):
    """Members that would change the answer, and that are not done here, are refused by name."""
    for name, value in (("min_tokens", 5), ("samplers", ["top_k"]), ("guided_regex", "[0-9]+"), ("structured_outputs", {"regex": "a"}), ("top_n_sigma", 1.0),
                        ("lora", [{"id": 0, "scale": 1}]), ("t_max_predict_ms", 100), ("mirostat", 2), ("response_format", {"type": "json_object"})):
        status, _, answer = ask(TEXT, {"prompt": "a", "max_tokens": 1, name: value})
        report.check(status == 400 and name in answer.decode(), f"{name}: {status}, named")
    for name, value in (("repetition_penalty", 1.3), ("stop_token_ids", [5]), ("cache_prompt", False), ("n", 2), ("logit_bias", [[" the", -100]]), ("user", "x")):
        report.check(ask(TEXT, {"prompt": "a", "max_tokens": 1, name: value})[0] == 200, f"{name}: done")


def limits(report, ask):
    """What other engines take."""
    message = {"role": "user", "content": "a"}
    for what, path, body in (
            ("max_tokens -1", TEXT, {"prompt": "a", "max_tokens": -1, "stop": ["e", "a", " ", ".", "\n", "t", "o"]}),
            ("an empty stop", TEXT, {"prompt": "a", "max_tokens": 1, "stop": ""}), ("a list of an empty stop", TEXT, {"prompt": "a", "max_tokens": 1, "stop": [""]}),
            ("40 stops", TEXT, {"prompt": "a", "max_tokens": 1, "stop": [f"x{number}" for number in range(40)]}),
            ("logprobs false", TEXT, {"prompt": "a", "max_tokens": 1, "logprobs": False}),
            ("a BOM", TEXT, b"\xef\xbb\xbf" + json.dumps({"prompt": "a", "max_tokens": 1}).encode()),
            ("content null", CHAT, {"messages": [message, {"role": "assistant", "content": None}, message], "max_tokens": 1}),
            ("no content", CHAT, {"messages": [message, {"role": "assistant"}, message], "max_tokens": 1}),
            ("parts", CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "max_tokens": 1}),
            ("members of messages", CHAT, {"messages": [dict(message, name="n", reasoning_content="r")], "max_tokens": 1}),
            ("tools that are not to be called", CHAT, {"messages": [message], "max_tokens": 1, "tool_choice": "none", "tools": [{"type": "function", "function": {"name": "f"}}]}),
            ("an empty response_format", CHAT, {"messages": [message], "max_tokens": 1, "response_format": {}})):
        status, _, answer = ask(path, body)
        report.check(status == 200, f"{what}: {status} {'' if status == 200 else answer[:200]}")


def words(report, ask, key):
    status, _, answer = ask(TEXT, b"\x1f\x8b\x08\x00", dict(key, **{"Content-Encoding": "gzip"}))
    report.check(status == 415 and b"gzip" in answer, f"a packed body: {status}")
    status, _, answer = ask("/v1/completion", {"prompt": "a"})
    report.check(status == 404 and b"/" in answer, f"a path that there nearly is: {answer[:160]}")
    status, _, answer = ask(TEXT, {"prompt": "a " * 2000})
    error = json.loads(answer)["error"]
    report.check(status == 400 and error.get("n_ctx") == 512 and error.get("n_prompt_tokens", 0) > 512 and ".." not in error["message"], f"a prompt too long: {error}")
    for path, body in (("/completion", {"prompt": "a", "n_predict": 1}), ("/chat/completions", {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}),
                       ("/apply-template", {"messages": [{"role": "user", "content": "a"}]}), ("/tokenize", {"content": "a b", "with_pieces": True})):
        report.check(ask(path, body)[0] == 200, f"llama-server's {path}")
    tokens = json.loads(ask("/tokenize", {"content": "Hello there, you"})[2])["tokens"]
    pieces = "".join(json.loads(ask("/detokenize", {"tokens": [token]})[2])["content"] for token in tokens)
    report.check(pieces == "Hello there, you", f"tokens one by one are the text: {pieces!r}")


def prefill(report, server):
    """An assistant's message at the end is gone on with."""
    messages = [{"role": "user", "content": "Count."}, {"role": "assistant", "content": "One, two, three, four, five, six, seven,"}]
    status, _, answer = server.post(CHAT, {"messages": messages, "max_tokens": 3, "temperature": 0})
    text = json.loads(answer)["choices"][0]["message"]["content"]
    report.check(status == 200 and "eight" in text, f"an assistant's message at the end is gone on with: {text!r}")
    status, _, _ = server.post(CHAT, {"messages": messages, "max_tokens": 1, "continue_final_message": True, "add_generation_prompt": True})
    report.check(status == 400, f"to go on with a message and to begin another: {status}")
    status, _, _ = server.post(CHAT, {"messages": messages + messages[1:], "max_tokens": 1})
    report.check(status == 400, f"two messages of the assistant at the end: {status}")
