"""Can a request hurt the server? Malformed, oversized and hostile bodies, broken HTTP: each gets a clear error, the server serves on
and does not grow. And can a file hurt the program? Truncated and flipped models: an error each, never a crash."""

import concurrent.futures
import json
import os
import random
import shutil
import socket
import subprocess

from interop import CACHE, GEMMA, MODELS, Report, SCRATCH, SHORT, SWIFTLET, Server, need_swiftlet

report = Report()
need_swiftlet()


def deep(levels):
    return b'{"prompt":' + b"[" * levels + b"]" * levels + b"}"


def completion(**fields):
    return json.dumps({"prompt": "x", "max_tokens": 1} | fields).encode()


def chat(**fields):
    return json.dumps({"messages": [{"role": "user", "content": "x"}], "max_tokens": 1} | fields).encode()


COMPLETIONS, CHATS = "/v1/completions", "/v1/chat/completions"
REFUSED = [  # what, path, body
    ("empty body", COMPLETIONS, b""),
    ("no JSON", COMPLETIONS, b"hello"),
    ("JSON cut off", COMPLETIONS, b'{"prompt": "x", "max_to'),
    ("array for an object", COMPLETIONS, b"[1,2,3]"),
    ("null", COMPLETIONS, b"null"),
    ("a number too large for any type", COMPLETIONS, b'{"prompt":"x","max_tokens":1e999}'),
    ("deep nesting", COMPLETIONS, deep(100_000)),
    ("invalid UTF-8 in a string", COMPLETIONS, b'{"prompt":"\xff\xfe","max_tokens":1}'),
    ("lone surrogate escape", COMPLETIONS, b'{"prompt":"\\ud800","max_tokens":1}'),
    ("no prompt", COMPLETIONS, b'{"max_tokens":1}'),
    ("prompt of the wrong type", COMPLETIONS, completion(prompt={"a": 1})),
    ("token ids out of range", COMPLETIONS, completion(prompt=[1, 99999999])),
    ("negative token ids", COMPLETIONS, completion(prompt=[-1])),
    ("max_tokens of the wrong type", COMPLETIONS, completion(max_tokens="many")),
    ("negative max_tokens", COMPLETIONS, completion(max_tokens=-7)),
    ("fractional max_tokens", COMPLETIONS, completion(max_tokens=1.5)),
    ("top_p above 1", COMPLETIONS, completion(top_p=2)),
    ("logit_bias that is no number", COMPLETIONS, completion(logit_bias={"5": "much"})),
    ("logit_bias past the vocabulary", COMPLETIONS, completion(logit_bias={"999999999": 1})),
    ("stop of the wrong type", COMPLETIONS, completion(stop=5)),
    ("prompt past the context", COMPLETIONS, completion(prompt="word " * 5000)),
    ("oversized body", COMPLETIONS, completion(prompt="x" * (96 << 20))),
    ("no messages", CHATS, b'{"max_tokens":1}'),
    ("empty messages", CHATS, chat(messages=[])),
    ("messages of the wrong type", CHATS, chat(messages="hello")),
    ("message without content", CHATS, chat(messages=[{"role": "user"}])),
    ("message without a role", CHATS, chat(messages=[{"role": "", "content": "x"}])),
    ("content of the wrong type", CHATS, chat(messages=[{"role": "user", "content": 5}])),
    ("tokenize without content", "/tokenize", b"{}"),
    ("detokenize of ids out of range", "/detokenize", b'{"tokens":[999999999]}'),
    ("detokenize of negative ids", "/detokenize", b'{"tokens":[-5]}'),
    ("detokenize of the wrong type", "/detokenize", b'{"tokens":"abc"}'),
]
# These either make sense to somebody or do not; what counts is that the answer is clean.
CLEAN = [
    ("both keys of a pair twice", COMPLETIONS, b'{"prompt":"a","prompt":"b","max_tokens":1}'),
    ("negative temperature", COMPLETIONS, completion(temperature=-1)),
    ("logit_bias of a text", COMPLETIONS, completion(logit_bias={"not a number": 1})),
    ("message with an unknown role", CHATS, chat(messages=[{"role": "pirate", "content": "x"}])),
    ("unknown fields", COMPLETIONS, completion(nonsense={"a": [1]})),
    ("max_tokens of 0", COMPLETIONS, completion(max_tokens=0)),
    ("max_tokens past the context", COMPLETIONS, completion(max_tokens=10**9, stop=["\n", " ", "."])),
    ("max_tokens past Int64", COMPLETIONS, b'{"prompt":"x","max_tokens":99999999999999999999,"stop":[" "]}'),
    ("seed past Int64", COMPLETIONS, b'{"prompt":"x","max_tokens":1,"seed":99999999999999999999}'),
    ("huge top_k", COMPLETIONS, completion(top_k=10**12)),
    ("empty prompt", COMPLETIONS, completion(prompt="")),
    ("empty stop", COMPLETIONS, completion(stop=[""])),
    ("prompt of NULs", COMPLETIONS, completion(prompt="\0" * 100)),
    ("logit_bias of infinity", COMPLETIONS, b'{"prompt":"x","max_tokens":1,"logit_bias":{"5":1e400}}'),
    ("temperature of 1e30", COMPLETIONS, completion(temperature=1e30)),
    ("temperature of 1e-30", COMPLETIONS, completion(temperature=1e-30)),
    ("extreme penalties", COMPLETIONS, completion(frequency_penalty=1e30, presence_penalty=-1e30)),
]
RAW = [  # bytes sent as they are, on a connection of their own
    b"\0\1\2\3\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET /health HTTP/9.9\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"A: " + b"b" * (1 << 20) + b"\r\n\r\n",
    b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n{}",
    b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\nContent-Length: 20\r\n\r\n{}",
    b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n{}",
    b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{\"prompt\":",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 200,
]


def error_shape(body):
    """Why this is no error of OpenAI's shape, or None if it is one."""
    try:
        error = json.loads(body)["error"]
        return None if isinstance(error["message"], str) and error["message"] and "type" in error else f"fields {sorted(error)}"
    except (ValueError, KeyError, TypeError):
        return f"body {body[:120]!r}"


with Server(GEMMA, ctx=2048, parallel=2) as server:
    def works():
        status, _, body = server.post(COMPLETIONS, {"prompt": "The sea", "max_tokens": 4, "temperature": 0})
        return status == 200 and bool(json.loads(body)["choices"][0]["text"])

    def send(path, body):
        try:
            return server.post(path, body)
        except OSError as error:  # the server may close on a body it will not read
            return type(error).__name__, {}, b""

    report.check(works(), "a good request is answered")
    for what, path, body in REFUSED:
        status, _, answer = send(path, body)
        if what == "oversized body" and not isinstance(status, int):
            report.check(server.alive(), f"{what}: connection closed ({status})")
            continue
        shape = error_shape(answer)
        report.check(isinstance(status, int) and 400 <= status < 500 and not shape,
                     f"{what}: {status} {shape or json.loads(answer)['error']['message'][:90]}")
    for what, path, body in CLEAN:
        status, _, answer = send(path, body)
        report.check(status == 200 or (isinstance(status, int) and 400 <= status < 500 and not error_shape(answer)),
                     f"{what}: {status} {'' if status == 200 else answer[:100]}")
    for method, path, allowed in (("GET", "/nowhere", {404}), ("DELETE", COMPLETIONS, {404, 405}), ("GET", COMPLETIONS, {404, 405})):
        status, _, _ = server.request(method, path)
        report.check(status in allowed, f"{method} {path}: {status}")
    # A client that sends on regardless may see no more than a closed connection; one that looks, sees why.
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                           b"Content-Length: 100000000\r\n\r\n" + b'{"prompt":"' + b"x" * 5000)
        answer = connection.recv(65536)
    report.check(b" 413 " in answer.split(b"\r\n")[0], f"a body said to be 100 MB: {answer.split(bytes([13, 10]))[0]!r}")
    for data in RAW:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(4096)
            except OSError:
                pass
    report.check(server.alive() and works(), f"{len(RAW)} kinds of broken HTTP: serving on")

    # Again and again, several at once: memory that no file backs must not go on growing.
    rng = random.Random(5)
    template = completion(prompt="The sea is", temperature=0.5, stop=[" ", ".", ",", "\n", "e"], logit_bias={"5": 1})

    def flipped(_):
        data = bytearray(template)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return send(COMPLETIONS, bytes(data[:rng.randint(1, len(data))]) if rng.random() < 0.5 else bytes(data))[0]

    def storm(count):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(flipped, range(count)))

    storm(100 if SHORT else 300)
    before = server.private()
    rounds = storm(200 if SHORT else 2000)
    growth = server.private() - before
    report.check(all(status in (200, 400, 413, 415, 422) for status in rounds),
                 f"{len(rounds)} flipped and truncated bodies: statuses {sorted(set(rounds), key=str)}")
    report.check(growth < 32 << 20, f"… and memory grew by {growth / (1 << 20):.1f} MiB (less than 32)")
    report.check(server.alive() and works(), "serving on")

# Files. A name that says what is wrong where, and an exit status that is no signal's.
sources = [CACHE / "vocab" / "ggml-vocab-llama-spm.gguf", MODELS / "tiny" / "llama-moe-q8_0.gguf"]
rng = random.Random(6)
crashed, silent, tried, accepted = [], [], 0, 0
for source in sources:
    whole = source.read_bytes()
    for number in range(20 if SHORT else 150):
        data = bytearray(whole)
        if number % 3 == 0:
            del data[rng.randrange(len(data)):]
        elif number % 3 == 1:
            for _ in range(rng.randint(1, 8)):
                data[rng.randrange(min(len(data), 4096))] = rng.randrange(256)
        else:
            at = rng.randrange(min(len(data), 65536) - 8)
            data[at:at + 8] = rng.choice([b"\xff" * 8, b"\0" * 8, b"\0\0\0\0\0\0\0\x80", b"\xff" * 7 + b"\x7f"])
        hostile = SCRATCH / "hostile.gguf"
        hostile.write_bytes(data)
        for command in (["inspect", hostile], ["eval", "--model", hostile, "--tokens", "1,2", "--output", SCRATCH / "out"]):
            done = subprocess.run([SWIFTLET, *map(str, command)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            tried += 1
            accepted += done.returncode == 0
            if done.returncode < 0 or done.returncode >= 128:
                crashed.append((source.name, number, command[0], done.returncode))
            elif done.returncode != 0 and not done.stderr.strip():
                silent.append((source.name, number, command[0]))
report.check(not crashed, f"{tried} runs on damaged files ({accepted} harmless), no crash {crashed[:5] or ''}")
report.check(not silent, f"… each refusal says why {silent[:5] or ''}")

# A file that is cut short while it is used is the one thing that nobody can survive; it must say so and have a status of its own.
victim = SCRATCH / "victim.gguf"
shutil.copyfile(GEMMA, victim)
with Server(victim, ctx=256) as server:
    os.truncate(victim, 4096)
    try:
        server.post(COMPLETIONS, {"prompt": "The sea is", "max_tokens": 8})
    except OSError:
        pass  # The connection goes with the process.
    try:
        status = server.process.wait(20)
    except subprocess.TimeoutExpired:
        status = None
    told = [line for line in server.tail().splitlines() if "was cut short" in line]
    report.check(status == 74, f"a model's file cut short while it is served ends the server with status {status} (74)")
    report.check(len(told) == 1 and str(victim) in told[0], f"… and a line that names it: {told}")
report.finish()
