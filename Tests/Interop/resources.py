"""What does a server cost, how soon is it ready, does it stop when told to?"""

import json
import signal
import threading
import time

import gguf

from interop import GEMMA, Report, Server

report = Report()
CONTEXT = 4096
fields = gguf.GGUFReader(GEMMA).fields


def number(key):
    return int(fields[f"gemma3.{key}"].contents())


width = number("attention.key_length") + number("attention.value_length")
cache = CONTEXT * number("block_count") * number("attention.head_count_kv") * width * 2
size = GEMMA.stat().st_size
limit = size + cache + 150_000_000

GEMMA.read_bytes()  # so that the disk is not what is measured
with Server(GEMMA, ctx=CONTEXT, parallel=1) as server:
    report.check(server.ready_after <= 2, f"ready after {server.ready_after:.2f} s (at most 2)")
    idle = server.resident()
    status, _, _ = server.post("/v1/completions", {"prompt": "word " * 3000, "max_tokens": 64, "temperature": 0})
    full = server.resident()
    report.check(status == 200, f"a prompt of 3,000 tokens is answered: {status}")
    report.note(f"resident: {idle / 1e6:.0f} MB ready, {full / 1e6:.0f} MB after; no file behind {server.private() / 1e6:.0f} MB")
    report.check(full <= limit, f"resident {full / 1e6:.0f} MB, at most file {size / 1e6:.0f} + KV {cache / 1e6:.0f} + 150 = {limit / 1e6:.0f} MB")

    # SIGTERM during a request: it is finished, then the program ends by itself.
    answer = {}

    def ask():
        try:
            answer["status"], _, body = server.post("/v1/completions", {
                "prompt": "The sea", "max_tokens": 48, "temperature": 0, "logit_bias": {"1": -100}})
            answer["tokens"] = json.loads(body)["usage"]["completion_tokens"]
        except OSError as error:
            answer["error"] = repr(error)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.15)
    told = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    asking.join(30)
    try:
        code = server.process.wait(15)
    except Exception:
        code = "none: still running"
    took = time.monotonic() - told
    report.check(code == 0, f"SIGTERM: exit status {code} after {took:.2f} s")
    report.check(answer.get("status") == 200 and answer.get("tokens") == 48, f"SIGTERM: the request under way was finished: {answer}")
report.finish()
