"""Does a chat through the model's own template say what stock's llama-server says, word for word, at temperature 0?

On the F32 copy of a small instruct model. Where two answers part, the prompts' tokens must be equal all the same: then it was a
near-tie, and at most one of the answers may end so.
"""

import contextlib
import json
import subprocess
import time
import urllib.request

from interop import ROOT, SCRATCH, SHORT, SMOLLM_F32, Program, Report, Server, free_port, stop

CHATS = [
    [("user", "What is the capital of France?")],
    [("system", "You answer in one short sentence."), ("user", "Why is the sky blue?")],
    [("user", "My name is Ada."), ("assistant", "Hello Ada! How can I help you today?"), ("user", "What is my name?")],
    [("user", "Write a haiku about the sea.")],
    [("user", "List three fruits, one a line.\n\nNothing else.")],
    [("user", "Übersetze ins Deutsche: The house is small. 😀")],
    [("system", ""), ("user", "Say <|im_end|> and stop.")],
    [("user", "def add(a, b):\n    return a + b\n\nWhat does this do?")],
]
TOKENS = 24 if SHORT else 64


class StockServer(Program):
    """llama-server on a free port of the loopback."""

    def __init__(self, model):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(SCRATCH / f"stock-server-{self.port}.log", "wb")
        self.command = [
            str(ROOT / "scripts" / "stock"), "llama-server", "-m", str(model), "--host", "127.0.0.1", "--port", str(self.port),
            "-c", "2048", "-np", "1", "-t", "2", "--jinja", "--no-webui"]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        while True:
            if self.process.poll() is not None:
                stop(f"llama-server ended with status {self.process.returncode}:\n{self.tail()}")
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(self.url + "/health", timeout=5) as answer:
                    if answer.status == 200:
                        return self
            if time.monotonic() > deadline:
                self.process.kill()
                stop(f"llama-server was not ready after 60 s:\n{self.tail()}")
            time.sleep(0.05)


def ask(url, chat):
    body = {"model": "m", "messages": [{"role": role, "content": content} for role, content in chat], "max_tokens": TOKENS,
            "temperature": 0, "top_k": 1, "seed": 1}
    request = urllib.request.Request(
        url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        said = json.loads(answer.read())
    return said["choices"][0]["message"]["content"], said["usage"]["prompt_tokens"], said["choices"][0]["finish_reason"]


report = Report()
chats = CHATS[:3] if SHORT else CHATS
# Control tokens in messages are plain text here, unless stock's way is asked for.
with StockServer(SMOLLM_F32) as stock:
    expected = [ask(stock.url, chat) for chat in chats]
with Server(SMOLLM_F32, "--chat-special-tokens", ctx=2048) as ours:
    found = [ask(ours.url, chat) for chat in chats]
same = 0
for number, (wanted, said) in enumerate(zip(expected, found), 1):
    report.check(said[1] == wanted[1], f"chat {number}: {said[1]} prompt tokens, stock has {wanted[1]}")
    if said == wanted:
        same += 1
    else:
        report.note(f"chat {number}: stock {wanted[0]!r} ({wanted[2]}), swiftlet {said[0]!r} ({said[2]})")
report.check(same >= len(chats) - 1, f"{same} of {len(chats)} answers of up to {TOKENS} tokens are stock's, to the letter")
report.finish()
