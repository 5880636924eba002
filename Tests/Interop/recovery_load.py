"""What the checks of recovery share: streams that are watched token by token, and three workers that can be lost in every way."""

import contextlib
import http.client
import json
import os
import signal
import threading
import time

from interop import GEMMA, PROMPTS, SHORT, RPCServer, Server
from relay import Relay

CONTEXT = 512
STREAMS = 8
TOKENS = 64 if SHORT else 96
PREFIX = "The notes of the harbour master, who wrote down every ship, every storm and every quarrel of the quay for forty years. "


def requests_of(count=STREAMS, greedy=False):
    """Prompts that share a long beginning and others, greedy ones and sampled ones."""
    bodies = []
    for number in range(count):
        prompt = PREFIX + PROMPTS[number % len(PROMPTS)] if number % 2 else PROMPTS[number % len(PROMPTS)]
        body = {"prompt": prompt, "max_tokens": TOKENS, "ignore_eos": True, "temperature": 0}
        if number % 4 == 3 and not greedy:
            body |= {"temperature": 0.8, "seed": number}
        bodies.append(body)
    return bodies


class Stream(threading.Thread):
    """A streamed completion: its text, its status, when it began, and the longest time between two pieces."""

    def __init__(self, server, body, leaves_after=None):
        super().__init__(daemon=True)
        self.port, self.body, self.leaves_after = server.port, body, leaves_after
        self.text, self.status, self.error, self.retry_after = "", None, None, None
        self.pause, self.pieces, self.first = 0.0, 0, None

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        try:
            connection.request("POST", "/v1/completions", json.dumps(self.body | {"stream": True}), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            self.status, self.retry_after = answer.status, answer.headers.get("Retry-After")
            if self.status != 200:
                self.error = answer.read().decode(errors="replace")[:200]
                return
            self.read(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.error = repr(error)
        finally:
            connection.close()

    def read(self, answer):
        last = None
        for line in answer:
            if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                continue
            value = json.loads(line[6:])
            if "error" in value:
                self.error = value["error"]["message"]
                return
            if not value["choices"] or not value["choices"][0].get("text"):
                continue
            now = time.monotonic()
            self.first = self.first or now
            self.pause = max(self.pause, now - last) if last else 0.0
            last = now
            self.text += value["choices"][0]["text"]
            self.pieces += 1
            if self.leaves_after and self.pieces >= self.leaves_after:
                return


def run_streams(server, bodies, disturb=None, after=None):
    """All at once; `disturb` is called when the first has had a third of its tokens, or `after` seconds."""
    streams = [Stream(server, body) for body in bodies]
    leaver = Stream(server, bodies[0] | {"max_tokens": 400}, leaves_after=10)
    for stream in streams:
        stream.start()
    leaver.start()
    if disturb:
        if after is None:
            limit = time.monotonic() + 60
            while max(stream.pieces for stream in streams) < TOKENS // 3 and time.monotonic() < limit:
                time.sleep(0.005)
        else:
            time.sleep(after)
        disturb()
    for stream in streams + [leaver]:
        stream.join(240)
    return streams


class Worker(RPCServer):
    """A worker that can be killed and started again at its port, stopped and continued."""

    def start(self):
        self.__enter__()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def halt(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        with contextlib.suppress(OSError):
            os.kill(self.process.pid, signal.SIGCONT)

    def __exit__(self, *unused):
        self.go_on()
        return super().__exit__(*unused)


class Cluster:
    """Workers of these kinds: ours lend so much memory each, the last listens on IPv6 and is reached directly, the others are reached
    through a link that can be cut."""

    def __init__(self, kinds=("swiftlet",) * 3, memory="1G"):
        self.kinds, self.memory = kinds, memory

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.workers = []
        for number, kind in enumerate(self.kinds):
            ours = kind == "swiftlet"
            more = ["-m", self.memory] if ours else []
            host = "::1" if ours and number == len(self.kinds) - 1 and len(self.kinds) > 1 else "127.0.0.1"
            self.workers.append(self.stack.enter_context(Worker(kind, *more, threads=1, host=host)))
        self.relayed = [number for number, worker in enumerate(self.workers) if ":" not in worker.host]
        self.relay = self.stack.enter_context(Relay(*[self.workers[number].endpoint for number in self.relayed]))
        lanes = dict(zip(self.relayed, self.relay.endpoints))
        self.endpoints = [lanes.get(number, worker.endpoint) for number, worker in enumerate(self.workers)]
        return self

    def __exit__(self, *why):
        return self.stack.__exit__(*why)

    @property
    def option(self):
        return ["--workers", ",".join(self.endpoints)]

    def cut(self, number):
        self.relay.silence(self.endpoints[number])

    def mend(self):
        """Everything as it was."""
        self.relay.heal()
        for worker in self.workers:
            worker.go_on()
            if not worker.alive():
                worker.start()


def nodes_of(server):
    status, _, body = server.get("/v1/nodes")
    return {node["address"]: node for node in json.loads(body)["data"]} if status == 200 else {}


def health_of(server):
    """(status, state)."""
    status, _, body = server.get("/health")
    value = json.loads(body)
    return status, value.get("state", "unavailable")


def has_part(node):
    return node["state"] == "ready" and any(device["layer_count"] or device["has_output"] for device in node["devices"])


def wait_for(condition, seconds):
    """Seconds until it holds; None if it does not in time."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        with contextlib.suppress(OSError):
            if condition():
                return time.monotonic() - started
        time.sleep(0.05)
    return None


def serve(cluster, *more, model=GEMMA, **options):
    return Server(model, *cluster.option, *more, ctx=CONTEXT, parallel=STREAMS, patience=120, **options)


def expected_texts(bodies, model=GEMMA):
    with Server(model, ctx=CONTEXT, parallel=STREAMS) as server:
        return [stream.text for stream in run_streams(server, bodies)]


class Breaker:
    """Throws a fault at a worker, by its number in the round."""

    def __init__(self, cluster, server, kind, number):
        self.cluster, self.server, self.kind, self.number = cluster, server, kind, number

    @property
    def target(self):
        if self.kind == "cut":
            return self.cluster.relayed[self.number % len(self.cluster.relayed)]
        return self.number % len(self.cluster.workers)

    def __call__(self):
        first = self.cluster.workers[self.target]
        second = self.cluster.workers[(self.target + 1) % len(self.cluster.workers)]
        if self.kind == "stop":
            first.halt()
        elif self.kind == "cut":
            self.cluster.cut(self.target)
        else:
            first.kill()
        if self.kind == "restart":
            first.start()
        if self.kind == "two":
            second.kill()
        if self.kind == "during":
            wait_for(lambda: health_of(self.server)[1] == "recovering", 0.3)
            second.kill()
