"""Heads of earlier versions of llama.cpp over our worker, which speaks their protocol, and our head over servers of them: do they
answer as by themselves?

Greedy answers on the F32 copy with every layer on one worker and on two, beside what the same head gets without any; the
cache filled and used; a head of another version, whose end is no end of the worker. Our head's logits of the F32 copy over one
server and over two, beside those without.
"""

import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from interop import (CACHE, GEMMA, GEMMA_F32, NEAR_TIE, PROMPTS, SCRATCH, SHORT, RPCServer, Report, compare as compare_logits, pack_strings,
                     parse_ids, stock_logits, stop, swiftlet_logits, text_tokens)

report = Report()
PROTOCOLS = ["7.0.0", "5.1.0"]


def be_head(protocol, endpoints, *arguments):
    """In a process of its own: what Tests/Interop/oracle/head.c does among the libraries of that version."""
    folder = CACHE / "heads" / protocol
    # The library is a Python module that brings its own llama.cpp; the others find their symbols in it.
    ctypes.CDLL(str(folder / "libllama.so"), mode=ctypes.RTLD_GLOBAL)
    head = ctypes.CDLL(str(folder / "head.so"))
    words = [b"head", *map(os.fsencode, arguments)]
    vector = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    sys.exit(head.head(os.fsencode(folder / "client.so"), endpoints.encode(), len(words), vector))


def be_server(protocol, endpoint):
    """In a process of its own: the RPC server of that version, with the processor as its device."""
    folder = CACHE / "heads" / protocol
    library = ctypes.CDLL(str(folder / "libllama.so"), mode=ctypes.RTLD_GLOBAL)
    # Client and server are one source.
    rpc = ctypes.CDLL(str(folder / "client.so"), mode=ctypes.RTLD_GLOBAL)
    library.ggml_backend_dev_get.restype = ctypes.c_void_p
    library.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    library.ggml_backend_dev_count.restype = ctypes.c_size_t
    devices = (ctypes.c_void_p * 1)(library.ggml_backend_dev_get(library.ggml_backend_dev_count() - 1))
    rpc.ggml_backend_rpc_start_server.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
    rpc.ggml_backend_rpc_start_server(endpoint.encode(), None, 2, 1, devices)


class EarlierServer(RPCServer):
    """A stock server of an earlier version; a context manager."""

    def __init__(self, protocol):
        super().__init__("stock")
        self.command = [sys.executable, __file__, "--server", protocol, self.endpoint]


def ask(protocol, servers, *arguments):
    return subprocess.run(
        [sys.executable, __file__, "--head", protocol, ",".join(server.endpoint for server in servers), *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=600)


def answers(protocol, servers, model, prompts, count):
    """Per prompt, its ids and the ids that follow it, greedily."""
    asked, out = SCRATCH / "prompts", SCRATCH / "answers"
    asked.write_bytes(pack_strings([prompt.encode() for prompt in prompts]))
    out.unlink(missing_ok=True)
    done = ask(protocol, servers, "greedy", model, asked, out, f"n={count}", "threads=2")
    if done.returncode != 0 or not out.exists():
        report.check(False, f"{protocol}: the head ends with status {done.returncode}: {done.stderr[-600:].decode(errors='replace')}")
        return None
    return [tuple(parse_ids(part) for part in line.split("\t")[:2]) for line in out.read_text().splitlines()]


def near_tie(prompt, expected, found):
    """The gap, in stock's logits, between the first two tokens where the answers part."""
    shared = 0
    while shared < min(len(expected), len(found)) and expected[shared] == found[shared]:
        shared += 1
    row = sorted(stock_logits(GEMMA_F32, prompt + expected[:shared])[-1])
    return float(row[-1] - row[-2])


def worker(protocol, *arguments):
    return RPCServer("swiftlet", "--protocol", protocol, "--log-level", "debug", *arguments)


def graphs(servers, wanted):
    """How many graphs the servers' logs tell of, once they tell of as many as are wanted or have had time to."""
    deadline = time.monotonic() + 5
    while True:
        logs = [pathlib.Path(server.log.name).read_text(errors="replace") for server in servers]
        counts = [sum(map(int, re.findall(r"(\d+) graphs", log))) for log in logs]
        if min(counts) >= wanted or time.monotonic() > deadline:
            return counts
        time.sleep(0.1)


def compare(name, protocol, servers, prompts, count, alone):
    found = answers(protocol, servers, GEMMA_F32, prompts, count)
    if found is None:
        return
    identical = 0
    for text, (prompt, expected), (_, answer) in zip(prompts, alone, found):
        if answer == expected:
            identical += 1
            continue
        gap = near_tie(prompt, expected, answer)
        report.check(gap < NEAR_TIE, f"{name}: {text[:30]!r}… parts at a gap of {gap:.1e} logits (near-tie below {NEAR_TIE})")
    report.check(len(found) == len(prompts) and all(server.alive() for server in servers),
                 f"{name}: {identical} of {len(prompts)} answers identical to the head's alone")
    counts = graphs(servers, count)
    report.check(min(counts) >= count, f"{name}: workers computed {' and '.join(map(str, counts))} graphs")


def check_version(protocol, prompts, count):
    alone = answers(protocol, [], GEMMA_F32, prompts, count)
    if alone is None:
        return
    with worker(protocol) as one, worker(protocol) as two:
        compare(f"{protocol}, one worker", protocol, [one], prompts, count, alone)
        compare(f"{protocol}, two workers", protocol, [one, two], prompts, count, alone)
        for other in PROTOCOLS:
            if other == protocol:
                continue
            done = ask(other, [two], "greedy", GEMMA, SCRATCH / "prompts", SCRATCH / "refused", "n=1")
            report.check(done.returncode != 0 and two.alive(), f"{protocol}: a head of {other} is turned away, the worker still runs")


def settle(folder):
    """Waits until the worker has written what it was sent: that goes on behind its answers."""
    last, since = None, time.monotonic()
    while time.monotonic() - since < 2:
        now = [sorted(path.name for path in (folder / name).iterdir()) for name in ("blobs", "parts")]
        if now != last or now[1]:
            last, since = now, time.monotonic()
        time.sleep(0.1)


def check_cache(protocol, prompts):
    folder = SCRATCH / f"cache-{protocol}"
    with worker(protocol, "--cache-dir", folder) as server:
        first = answers(protocol, [server], GEMMA, prompts[:1], 8)
        settle(folder)
        kept = {path.name: path.stat().st_ino for path in (folder / "blobs").iterdir()}
        again = answers(protocol, [server], GEMMA, prompts[:1], 8)
        sizes = [path.stat().st_size for path in (folder / "blobs").iterdir()]
        report.check(sizes and min(sizes) > 10 << 20, f"{protocol}: the cache has {len(sizes)} tensors, {sum(sizes) >> 20} MiB")
        report.check(first and first == again and kept == {path.name: path.stat().st_ino for path in (folder / "blobs").iterdir()},
                     f"{protocol}: from the cache, the same answer, and nothing is kept anew")
    shutil.rmtree(folder, ignore_errors=True)


def check_our_head(protocol, tokens, alone):
    with EarlierServer(protocol) as one, EarlierServer(protocol) as two:
        for servers in [[one]] if SHORT else [[one], [one, two]]:
            rows = swiftlet_logits(GEMMA_F32, tokens, "--no-progress", "--no-local", "--workers", ",".join(s.endpoint for s in servers),
                                   *(["--split", "1,3"] if len(servers) > 1 else []))
            divergence, _ = compare_logits(alone, rows)
            report.check(divergence <= 1e-5, f"{protocol}: our head over {len(servers)} stock server(s), F32: mean KL to this machine's "
                         f"logits {divergence:.2e} (at most 1e-5)")


def main():
    prompts = PROMPTS[:2] if SHORT else PROMPTS
    tokens = text_tokens(48 if SHORT else 200)
    alone = swiftlet_logits(GEMMA_F32, tokens, "--no-progress")
    for protocol in PROTOCOLS:
        if not (CACHE / "heads" / protocol / "head.so").exists():
            stop(f"NO HEAD OF PROTOCOL {protocol}: scripts/earlier-heads lays it out")
        check_version(protocol, prompts, 16 if SHORT else 64)
        check_cache(protocol, prompts)
        check_our_head(protocol, tokens, alone)
    report.finish()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--head"]:
        be_head(*sys.argv[2:])
    if sys.argv[1:2] == ["--server"]:
        be_server(*sys.argv[2:])
        sys.exit(1)
    main()
