"""Reports about other programs of this kind, tried on ours."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time

from interop import GEMMA, SCRATCH, SMOLLM, SWIFTLET, RPCServer, Server, stock


def check(report):
    parts_of_a_model(report)
    with Server(GEMMA, ctx=4096) as server:
        characters_of_several_tokens(report, server)
        clients_that_go(report, server)
    port_of_one_that_was_killed(report)


def refused(path):
    """What a command says of a file that it cannot use; None if it could, or if it did not end by itself."""
    done = subprocess.run([SWIFTLET, "run", "-m", path, "-p", "a", "-n", "1", "--no-progress"], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return done.stderr.decode() if done.returncode == 1 else None


def parts_of_a_model(report):
    """A later part named instead of the first (lemonade-sdk/lemonade #499), parts joined end to end (ggml-org/llama.cpp #9613), half
    of a file that was cut in two (oobabooga/textgen #6187), a part that was renamed (ngxson/wllama #135)."""
    folder = SCRATCH / "parts"
    folder.mkdir()
    stock("llama-gguf-split", "--split", "--split-max-size", "40M", SMOLLM, folder / "model")
    parts = sorted(folder.glob("*.gguf"))
    said = refused(parts[1])
    report.check(said and parts[0].name in said, f"the second part of {len(parts)}: names the first ({said})")
    joined = folder / "joined.gguf"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    said = refused(joined)
    report.check(said and "--merge" in said, f"parts joined end to end: says how they are joined ({said})")
    half = folder / "model.gguf.part1of2"
    half.write_bytes(SMOLLM.read_bytes()[:30_000_000])
    said = refused(half)
    report.check(said and "cut short" in said, f"half of a file: says that it is one ({said})")
    parts[1].rename(folder / "other-00002-of-00003.gguf")
    said = refused(parts[0])
    report.check(said and parts[1].name in said, f"a part that is not there: named ({said})")


def characters_of_several_tokens(report, server):
    """Characters cut in two by events of a stream (Blaizzy/mlx-vlm #1076, ikawrakow/ik_llama.cpp #780)."""
    body = {"prompt": "𓀀𓀁𓀂𓀃𓀄𓀀𓀁𓀂𓀃𓀄𓀀𓀁𓀂𓀃", "max_tokens": 60, "temperature": 0}
    whole = json.loads(server.post("/v1/completions", body)[2])["choices"][0]["text"]
    events = [json.loads(line[6:]) for line in server.post("/v1/completions", dict(body, stream=True))[2].decode().splitlines() if line.startswith("data: {")]
    texts = [event["choices"][0]["text"] for event in events if event["choices"]]
    report.check("".join(texts) == whole and len(whole.encode()) > 3 * len(whole) and not any("\ufffd" in text for text in texts),
                 f"{len(whole)} characters of four bytes each, in {len(texts)} events: whole in each")


def clients_that_go(report, server):
    """Answers that nobody waits for computed to their end (ggml-org/llama.cpp #24496, #11720)."""
    for streams in (True, False):
        body = json.dumps({"prompt": "Once", "max_tokens": 4000, "ignore_eos": True, "stream": streams}).encode()
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            deadline = time.monotonic() + 10
            while busy(server) == 0 and time.monotonic() < deadline:
                time.sleep(0.02)
            began = busy(server)
        left = time.monotonic()
        while busy(server) > 0 and time.monotonic() < left + 20:
            time.sleep(0.02)
        took = time.monotonic() - left
        report.check(began == 1 and took < 2, f"a client of {'a stream' if streams else 'an answer'} goes: its slot is free after {took:.2f} s")


def busy(server):
    return json.loads(server.get("/health")[2])["slots_processing"]


def port_of_one_that_was_killed(report):
    """A server that cannot begin anew where one was killed that had clients (ggml-org/llama.cpp #7293)."""
    with RPCServer("swiftlet") as worker:
        with socket.create_connection(("127.0.0.1", worker.port)) as client:
            client.sendall(b"\x0e" + (24).to_bytes(8, "little") + bytes(24))
            client.recv(64)
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
            again = subprocess.Popen(worker.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            good = False
            deadline = time.monotonic() + 5
            while not good and again.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", worker.port), timeout=1):
                    good = True
            again.kill()
            again.wait()
            report.check(good, "a worker is killed while it has a client: the next one listens at the same port at once")
