"""What the checks of this folder share: where things are, asking stock llama.cpp, asking swiftlet, comparing, reporting.

Stock's answers depend on nothing but its version, the model and the question, so they are kept in the cache under a
name made of all of these and asked for once.
"""

import atexit
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(
    os.environ.get("SWIFTLET_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "swiftlet")
MODELS = CACHE / "models"
GEMMA = MODELS / "gemma-3-270m-q4_k_m.gguf"
GEMMA_F32 = MODELS / "gemma-3-270m-f32.gguf"
SMOLLM = MODELS / "smollm2-135m-instruct-q4_1.gguf"
SMOLLM_F32 = MODELS / "smollm2-135m-instruct-f32.gguf"
TEXT = ROOT / "Fixtures" / "english.txt"
SWIFTLET = os.environ.get("SWIFTLET") or str(ROOT / ".build" / "release" / "swiftlet")
SHORT = os.environ.get("SWIFTLET_INTEROP", "full") == "short"

# Nothing that runs here is to look for others across the internet.
os.environ["LOCALAI_P2P_DISABLE_DHT"] = "true"
SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="swiftlet-interop-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)


# ---------------------------------------------------------------- reporting

class Report:
    """Counts what was expected and what was found; `finish` prints the sum and ends the program."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, good, what):
        good = bool(good)
        self.passed += good
        self.failed += not good
        print(("ok    " if good else "FAIL  ") + what, flush=True)
        return good

    def note(self, what):
        print("      " + what, flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed else 0)


def stop(message):
    """For what makes a check impossible, as opposed to failed."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(2)


# ---------------------------------------------------------------- stock

def run(command, **options):
    """Runs a command to its end; its output is shown only when it fails."""
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, **options)
    if done.returncode != 0:
        tail = (done.stdout[-2000:] + b"\n" + done.stderr[-4000:]).decode(errors="replace")
        stop(f"exit status {done.returncode} from: {' '.join(map(str, command))[:400]}\n{tail}")
    return done


def stock(program, *arguments):
    return run([ROOT / "scripts" / "stock", program, *arguments])


def stock_version():
    versions = CACHE / "stock" / "VERSIONS"
    if not versions.exists():
        stop("STOCK PEER MISSING: scripts/fetch-test-data lays it out")
    return hashlib.sha256(versions.read_bytes()).hexdigest()[:8]


def oracle(command, model, question, suffix="out", **options):
    """Asks the oracle (oracle/oracle.c) and keeps the answer; gives the answer's path."""
    source = (ROOT / "Tests" / "Interop" / "oracle" / "oracle.c").read_bytes()
    stat = pathlib.Path(model).stat()
    key = hashlib.sha256()
    for part in (source, stock_version().encode(), str(model).encode(), str(stat.st_size).encode(), question):
        key.update(struct.pack("<Q", len(part)) + part)
    key.update(json.dumps(options, sort_keys=True).encode())
    folder = CACHE / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    answer = folder / f"{command}-{pathlib.Path(model).stem}-{key.hexdigest()[:16]}.{suffix}"
    if not answer.exists():
        program = run([ROOT / "Tests" / "Interop" / "oracle" / "build"]).stdout.decode().strip()
        asked = SCRATCH / "question"
        asked.write_bytes(question)
        part = answer.with_suffix(f".part{os.getpid()}")
        stock(program, command, model, asked, part, *[f"{name}={value}" for name, value in options.items()])
        part.rename(answer)
    return answer


def stock_logits(model, tokens, flash=1, batch=512, threads=2):
    import numpy
    path = oracle("logits", model, struct.pack(f"<{len(tokens)}i", *tokens), "f32", flash=flash, batch=batch, threads=threads)
    return numpy.memmap(path, dtype="<f4", mode="r").reshape(len(tokens), -1)


def pack_strings(strings):
    return b"".join(struct.pack("<I", len(text)) + text for text in strings)


def parse_ids(line):
    return [int(part) for part in line.split(",") if part.strip()]


def stock_tokens(model, strings, bos=0, special=0):
    lines = oracle("tokenize", model, pack_strings(strings), bos=bos, special=special).read_text().split("\n")
    return [parse_ids(line) for line in lines[:len(strings)]]


# ---------------------------------------------------------------- swiftlet

def need_swiftlet():
    if not os.access(SWIFTLET, os.X_OK):
        stop(f"no swiftlet at {SWIFTLET}: build it (swift build -c release), or set SWIFTLET")


def swiftlet(*arguments, **options):
    need_swiftlet()
    return run([SWIFTLET, *arguments], **options)


def swiftlet_logits(model, tokens, *more):
    """Logits by `swiftlet eval`, in a scratch file that is deleted with the last reference to the array."""
    import numpy
    out = SCRATCH / f"logits-{time.monotonic_ns()}.f32"
    swiftlet("eval", "--model", model, "--tokens", ",".join(map(str, tokens)), "--output", out, *more)
    rows = numpy.memmap(out, dtype="<f4", mode="r")
    out.unlink()
    if rows.size % len(tokens):
        stop(f"swiftlet eval wrote {rows.size} floats for {len(tokens)} tokens")
    return rows.reshape(len(tokens), -1)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A program that runs in the background, writes a log, and ends at SIGTERM."""

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def tail(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_bytes()[-3000:].decode(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def resident(self):
        """Bytes resident in memory, the mapped file's pages included."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


class Server(Program):
    """`swiftlet serve` on a free port of the loopback; a context manager that ends it with SIGTERM."""

    def __init__(self, model, *arguments, ctx=4096, parallel=1, threads=2, patience=60):
        need_swiftlet()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(SCRATCH / f"serve-{self.port}.log", "wb")
        self.patience = patience
        self.command = [
            SWIFTLET, "serve", "--model", str(model), "--host", "127.0.0.1", "--port", str(self.port),
            "--ctx-size", str(ctx), "--parallel", str(parallel), "--threads", str(threads), *map(str, arguments)]

    def __enter__(self):
        started = time.monotonic()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        while True:
            if self.process.poll() is not None:
                stop(f"swiftlet serve ended with status {self.process.returncode}:\n{self.tail()}")
            with contextlib.suppress(OSError):
                if self.get("/health")[0] == 200:
                    break
            if time.monotonic() - started > self.patience:
                self.process.kill()
                stop(f"swiftlet serve was not ready after {self.patience} s:\n{self.tail()}")
            time.sleep(0.01)
        self.ready_after = time.monotonic() - started
        return self

    def private(self):
        """Bytes resident that no file backs: what leaks would show in."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status).group(1)) * 1024

    def request(self, method, path, body=None, headers=None, timeout=120):
        """(status, headers, bytes); HTTP errors are answers like any other."""
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def get(self, path):
        return self.request("GET", path, timeout=5)

    def post(self, path, value, **options):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.request("POST", path, body, {"Content-Type": "application/json"}, **options)


class RPCServer(Program):
    """`swiftlet worker`, or the stock server in its place, on a free port of the loopback; a context manager."""

    def __init__(self, kind, *arguments, threads=2, patience=30, host="127.0.0.1", before=()):
        self.kind = kind
        self.host = host
        self.port = free_port()
        self.endpoint = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.patience = patience
        self.log = open(SCRATCH / f"worker-{self.port}.log", "wb")
        program = [SWIFTLET, "worker"] if kind == "swiftlet" else [ROOT / "scripts" / "stock", "ggml-rpc-server"]
        self.command = [*map(str, before), *map(str, program), "-H", host, "-p", str(self.port), "-t", str(threads), *map(str, arguments)]

    def __enter__(self):
        if self.kind == "swiftlet":
            need_swiftlet()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + self.patience
        while True:
            if self.process.poll() is not None:
                stop(f"the worker ended with status {self.process.returncode}:\n{self.tail()}")
            with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
                return self
            if time.monotonic() > deadline:
                self.process.kill()
                stop(f"the worker did not listen after {self.patience} s:\n{self.tail()}")
            time.sleep(0.02)


# ---------------------------------------------------------------- comparing

# What greedy answers are asked for, and the gap between two logits below which rounding may choose the other; the model's
# top logits are about 20.
PROMPTS = [
    "The harbour at Westing still has its seven huts, and every evening",
    "A compiler is a program that",
    "Once upon a time there was a lighthouse keeper who",
    "The main differences between a queue and a stack are",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n",
    "Dear Mrs Pell,\n\nThank you for your letter about the tides.",
    "In distributed computing, a consensus algorithm",
    "Zutaten für einen einfachen Apfelkuchen:\n",
]
NEAR_TIE = 1e-2

def log_softmax(rows):
    import numpy
    rows = rows.astype(numpy.float64)
    rows -= rows.max(axis=1, keepdims=True)
    return rows - numpy.log(numpy.exp(rows).sum(axis=1, keepdims=True))


def compare(reference, other, step=16):
    """(mean KL(reference‖other) in nats, share of positions with the same top token)."""
    import numpy
    if reference.shape != other.shape:
        stop(f"logits of shape {other.shape}, expected {reference.shape}")
    divergence = 0.0
    same = 0
    for at in range(0, len(reference), step):
        p = log_softmax(reference[at:at + step])
        q = log_softmax(other[at:at + step])
        divergence += float((numpy.exp(p) * (p - q)).sum())
        same += int((p.argmax(axis=1) == q.argmax(axis=1)).sum())
    return divergence / len(reference), same / len(reference)


def nmse(reference, other):
    import numpy
    a = reference.astype(numpy.float64)
    b = other.astype(numpy.float64)
    return float(((a - b) ** 2).sum() / (a ** 2).sum())


def text_tokens(count, model=GEMMA):
    """The first tokens of the fixture's text, by stock, with the mark of a start where the model has one."""
    return stock_tokens(model, [TEXT.read_bytes()], bos=1)[0][:count]
