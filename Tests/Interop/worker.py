"""Stock llama.cpp as the head, our workers as its machines: does it answer as it does by itself?

Greedy answers of llama-completion on the F32 copy, with every layer on one of our workers, on two, and on one of ours and
one of stock's. Perplexity beside what stock gets over its own server, flash attention on and off, KV in F16 and Q8_0.
llama-server and llama-bench run to their ends. Then messages that make the stock server close or abort: ours closes, says
why, and serves the next.
"""

import contextlib
import json
import math
import re
import socket
import struct
import subprocess
import time
import urllib.request

from interop import (GEMMA, GEMMA_F32, NEAR_TIE, PROMPTS, ROOT, SCRATCH, SHORT, TEXT, RPCServer, Report, compare, free_port, oracle,
                     pack_strings, parse_ids, stock, stock_logits, stock_tokens, text_tokens)

report = Report()


# ---------------------------------------------------------------- answers

def completion(text, count, servers):
    """What llama-completion makes of a prompt, greedily; through RPC servers where there are any."""
    where = ["--rpc", ",".join(server.endpoint for server in servers), "-ngl", 99] if servers else []
    done = stock("llama-completion", "-m", GEMMA_F32, *where, "-p", text, "-n", count, "--temp", 0, "-no-cnv", "-t", 2,
                 "--no-display-prompt", "--no-warmup", "-c", 512)
    return done.stdout.decode(errors="replace").strip("\n")


def tokens_of(text):
    return parse_ids(oracle("tokenize", GEMMA, pack_strings([text.encode()]), bos=1, special=0).read_text().split("\n")[0])


def near_tie(prompt, expected, found):
    """The gap, in stock's logits, between the first two tokens that differ, by the text up to there."""
    shared = 0
    while shared < min(len(expected), len(found)) and expected[shared] == found[shared]:
        shared += 1
    tokens = tokens_of(prompt + expected[:shared])
    row = sorted(stock_logits(GEMMA_F32, tokens)[-1])
    return float(row[-1] - row[-2])


def check_answers(name, servers, prompts, count, alone):
    identical = 0
    for prompt in prompts:
        found = completion(prompt, count, servers)
        if found == alone[prompt]:
            identical += 1
            continue
        gap = near_tie(prompt, alone[prompt], found)
        report.check(gap < NEAR_TIE, f"{name}: {prompt[:30]!r}… parts at a gap of {gap:.1e} logits (near-tie below {NEAR_TIE})")
    report.check(all(server.alive() for server in servers), f"{name}: {identical} of {len(prompts)} answers identical to stock's alone")


# ---------------------------------------------------------------- perplexity

def perplexity(server, text, flash, cache):
    done = stock("llama-perplexity", "-m", GEMMA, "-f", text, "-c", 512, "-t", 2, "-fa", flash, "-ctk", cache, "-ctv", cache,
                 "--rpc", server.endpoint, "-ngl", 99)
    return float(re.findall(r"Final estimate: PPL = ([0-9.]+)", (done.stdout + done.stderr).decode())[-1])


def check_perplexity(ours, theirs):
    text = TEXT
    kinds = [("on", "f16"), ("off", "f16"), ("on", "q8_0")]
    if SHORT:
        text = SCRATCH / "short.txt"
        text.write_bytes(TEXT.read_bytes()[:5000])
        kinds = kinds[:1]
    own = {kind: perplexity(theirs, text, *kind) for kind in [("on", "f16"), ("off", "f16"), ("on", "q8_0")]}
    spread = max(own.values()) - min(own.values())
    # Figures of runs that round differently part by chance: perplexity.py says by how much.
    tokens = text_tokens(96 if SHORT else 448)
    divergence, _ = compare(stock_logits(GEMMA, tokens, flash=1), stock_logits(GEMMA, tokens, flash=0))
    judged = len(stock_tokens(GEMMA, [text.read_bytes()], bos=1)[0]) // 512 * 256
    chance = max(own.values()) * math.sqrt(2 * divergence / judged)
    report.note("stock over its own server: " + ", ".join(f"{kind[0]}/{kind[1]} {value:.4f}" for kind, value in own.items())
                + f": a spread of {spread:.4f}")
    for kind in kinds:
        found = perplexity(ours, text, *kind)
        away = max(0.0, min(own.values()) - found, found - max(own.values()))
        report.check(away <= max(spread, 2 * chance),
                     f"flash attention {kind[0]}, KV in {kind[1]}: {found:.4f}, {away:.4f} outside of stock's own spread "
                     f"(its width is {spread:.4f}; chance allows {chance:.4f}, and twice that passes)")


# ---------------------------------------------------------------- other programs

def check_server(server):
    port = free_port()
    log = open(SCRATCH / "llama-server.log", "wb")
    head = subprocess.Popen(
        [str(ROOT / "scripts" / "stock"), "llama-server", "-m", str(GEMMA), "--rpc", server.endpoint, "-ngl", "99", "--port", str(port),
         "--host", "127.0.0.1", "-c", "2048", "-t", "2"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        answer = None
        while time.monotonic() < deadline and head.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/completion", json.dumps({"prompt": "The capital of France is", "n_predict": 16}).encode(),
                    {"Content-Type": "application/json"})
                answer = json.load(urllib.request.urlopen(request, timeout=60))["content"]
                break
            time.sleep(0.2)
        report.check(answer, f"llama-server answers over the worker: {answer!r}")
    finally:
        head.terminate()
        head.wait(30)
        log.close()


# ---------------------------------------------------------------- bad messages

HELLO = struct.pack("<BQ", 14, 24) + bytes(24)


def record(buffer=0, data=0, ne=(4, 1, 1, 1), type=0, operation=0, sources=(), id=1):
    nb = (4, 4 * ne[0], 4 * ne[0] * ne[1], 4 * ne[0] * ne[1] * ne[2])
    sources = list(sources) + [0] * (10 - len(sources))
    return (struct.pack("<QIQ", id, type, buffer) + struct.pack("<4I", *ne) + struct.pack("<4I", *[n & 0xffffffff for n in nb])
            + struct.pack("<I", operation) + bytes(64) + struct.pack("<i", 16) + struct.pack("<10Q", *sources)
            + struct.pack("<QQQ", 0, 0, data) + bytes(64) + struct.pack("<i", 1))


def message(command, content=b""):
    return struct.pack("<BQ", command, len(content)) + content


def bad_messages(handle, base):
    at = record(handle, base)
    graph = lambda nodes, tensors: message(  # noqa: E731
        10, struct.pack("<IQI", 0, 0, len(nodes)) + b"".join(struct.pack("<Q", node) for node in nodes)
        + struct.pack("<I", len(tensors)) + b"".join(tensors))
    return {
        "an unknown command": message(99),
        "a wrong size": message(4, bytes(7)),
        "a second greeting": HELLO,
        "an unknown handle": message(3, struct.pack("<Q", 1234567)),
        "an unknown device": message(1, struct.pack("<I", 7)),
        "a tensor outside of its buffer": message(8, record(handle, base + (1 << 20)) + struct.pack("<QQ", 0, 4)),
        "a read past the tensor": message(8, at + struct.pack("<QQ", 0, 1000)),
        "a write past the tensor": message(6, at + struct.pack("<BQ", 0, 8) + bytes(100)),
        "stretches of no bytes": message(19, at + struct.pack("<QQQQ", 0, 0, 1, 4)),
        "a read at the buffer's end": message(8, record(handle, base + 4096, ne=(0, 1, 1, 1)) + struct.pack("<QQ", 4096, 0)),
        "a missing source": graph([2], [record(handle, base, operation=2, sources=(8, 9), id=2)]),
        "recomputing graph 0": message(16, struct.pack("<IQ", 0, 0)),
        "recomputing an unknown graph": message(16, struct.pack("<IQ", 0, 77)),
        "an operation that there is not": graph([2], [record(handle, base, operation=5000, sources=(2,), id=2)]),
        "a graph that cannot be computed": graph(
            [2], [record(handle, base, ne=(5, 1, 1, 1), operation=2, sources=(1, 1), id=2), record(handle, base + 64)]),
        "2^63 bytes announced": struct.pack("<BQ", 10, 1 << 63),
        "an all-reduce without a link": message(21, struct.pack("<I", 0) + at),
    }


def exact(connection, count):
    got = b""
    while len(got) < count:
        part = connection.recv(count - len(got))
        if not part:
            raise EOFError
        got += part
    return got


def ask(connection, content):
    connection.sendall(content)
    return exact(connection, struct.unpack("<Q", exact(connection, 8))[0])


def greeted(server):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    ask(connection, HELLO)
    handle = struct.unpack("<QQ", ask(connection, message(0, struct.pack("<IQ", 0, 4096))))[0]
    base = struct.unpack("<Q", ask(connection, message(3, struct.pack("<Q", handle))))[0]
    return connection, handle, base


def check_bad_messages(server):
    bystander, handle, base = greeted(server)
    for name in bad_messages(1, 1):
        connection, other, place = greeted(server)
        closed = False
        with connection, contextlib.suppress(ConnectionError):
            connection.sendall(bad_messages(other, place)[name])
            closed = connection.recv(1) == b""
        time.sleep(0.05)
        said = server.tail()[-400:].splitlines()
        report.check(closed and server.alive() and said and "connection closed" in said[-1],
                     f"{name}: closed, and the log says: {said[-1].split('connection closed: ')[-1][:110] if said else 'nothing'}")
    with bystander:
        size = struct.unpack("<Q", ask(bystander, message(1, struct.pack("<I", 0))))[0]
        report.check(size > 0, "a client that was there all along is still served")


def main():
    count = 24 if SHORT else 64
    prompts = PROMPTS[:2] if SHORT else PROMPTS
    alone = {prompt: completion(prompt, count, []) for prompt in prompts}
    with RPCServer("swiftlet") as one, RPCServer("swiftlet", threads=1) as two, RPCServer("stock") as other:
        check_answers("one worker", [one], prompts, count, alone)
        check_answers("two workers", [one, two], prompts, count, alone)
        check_answers("one of each", [one, other], prompts, count, alone)
        check_perplexity(one, other)
        check_server(one)
        rows = json.loads(stock("llama-bench", "-m", GEMMA, "--rpc", one.endpoint, "-ngl", 99, "-p", 64, "-n", 8, "-r", 1, "-o", "json").stdout)
        report.check(len(rows) == 2, "llama-bench: " + ", ".join(f"{row['avg_ts']:.0f} t/s" for row in rows))
        check_bad_messages(one)
        report.check(one.alive() and two.alive(), "the workers still run")
    report.finish()


if __name__ == "__main__":
    main()
