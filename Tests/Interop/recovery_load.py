"""What the checks of recovery share: streams that are watched piece by piece, and three workers that can be lost in every way."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

from interop import GEMMA, PROMPTS, SHORT, RPCServer, Server, stop
from relay import Relay

CONTEXT = 512
STREAMS = 8
TOKENS = 64 if SHORT else 160
LOSSES = ["kill", "restart", "two", "during", "stop", "cut"]
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


# ---------------------------------------------------------------- streams

class Stream(threading.Thread):
    """A streamed completion: its text, its status, and when its pieces came."""

    def __init__(self, server, body, leaves_after=None):
        super().__init__(daemon=True)
        self.port, self.body, self.leaves_after = server.port, body, leaves_after
        self.text, self.status, self.error, self.retry_after = "", None, None, None
        self.times, self.ended, self.left, self.error_type = [], None, False, None
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        self.socket = None

    @property
    def pieces(self):
        return len(self.times)

    @property
    def is_refused(self):
        """Whether it was told that there is no room: by its status, or, where it had a slot and no answer yet, in the stream."""
        if self.status == 503:
            return bool(self.retry_after)
        return not self.pieces and self.error_type == "unavailable_error"

    @property
    def pause(self):
        """The longest time between two pieces."""
        return max((after - before for before, after in zip(self.times, self.times[1:])), default=0.0)

    def run(self):
        try:
            self.connection.connect()
            self.socket = self.connection.sock
            body = json.dumps(self.body | {"stream": True})
            self.connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            self.status, self.retry_after = answer.status, answer.headers.get("Retry-After")
            if self.status != 200:
                self.error = answer.read().decode(errors="replace")[:200]
            else:
                self.read(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.error = None if self.left else repr(error)
        finally:
            self.ended = time.monotonic()
            self.connection.close()

    def read(self, answer):
        for line in answer:
            if line.startswith(b"data: [DONE]"):
                return
            if not line.startswith(b"data: "):
                continue
            value = json.loads(line[6:])
            if "error" in value:
                self.error, self.error_type = value["error"]["message"], value["error"].get("type")
                return
            if not value["choices"] or not value["choices"][0].get("text"):
                continue
            self.times.append(time.monotonic())
            self.text += value["choices"][0]["text"]
            if self.leaves_after and self.pieces >= self.leaves_after:
                self.left = True
                return
        if not self.left:
            self.error = "the stream ends without [DONE]"

    def leave(self):
        """Closes the connection in the middle of the answer, from another thread."""
        self.left = True
        if self.socket:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)


class Round:
    """All requests at once, and a client that leaves half-way, in the middle of what `disturb` causes, and asks again. `disturb` is
    called when the first has had a third of its tokens, or `after` seconds."""

    def __init__(self, server, bodies, disturb=None, after=None):
        # It comes first so that it has a slot; the last of the others waits for one.
        leaver = Stream(server, bodies[0], leaves_after=None if disturb else TOKENS // 2)
        again = Stream(server, bodies[0])
        self.asked = [Stream(server, body) for body in bodies]
        self.streams = [leaver, *self.asked, again]
        for stream in self.streams[:-1]:
            stream.start()
        self.disturbed = None
        if disturb:
            limit = time.monotonic() + (60 if after is None else after)
            while time.monotonic() < limit and (after is not None or max(stream.pieces for stream in self.asked) < TOKENS // 3):
                time.sleep(0.005)
            self.disturbed = time.monotonic()
            disturb()
            leaver.leave()
        leaver.join(240)
        again.start()
        for stream in self.streams:
            stream.join(240)
        for stream in self.streams:
            if stream.is_alive():
                stream.error = "no end after 240 s"

    @property
    def is_refused(self):
        """Whether it was told that there is no room: by its status, or, where it had a slot and no answer yet, in the stream."""
        if self.status == 503:
            return bool(self.retry_after)
        return not self.pieces and self.error_type == "unavailable_error"

    @property
    def pause(self):
        return max(stream.pause for stream in self.streams)

    @property
    def wait(self):
        """The longest time from the fault to the first piece, of those that had none yet."""
        return max((stream.times[0] - self.disturbed for stream in self.asked if stream.times), default=0.0)

    @property
    def under_way(self):
        """How many requests had begun to be answered, and had not ended, when the fault came."""
        return sum(bool(stream.times) and stream.times[0] < self.disturbed < (stream.ended or self.disturbed + 1) for stream in self.asked)

    @property
    def waiting(self):
        """How many had not begun to be answered then."""
        return sum(not stream.times or stream.times[0] > self.disturbed for stream in self.asked)


known = {}


def expected_texts(bodies, model=GEMMA):
    """What this machine alone answers; asked for once."""
    keys = [(str(model), json.dumps(body)) for body in bodies]
    if not all(key in known for key in keys):
        with Server(model, ctx=CONTEXT, parallel=STREAMS, patience=120) as server:
            streams = Round(server, bodies).asked
        for key, stream in zip(keys, streams):
            if stream.error or not stream.text:
                stop(f"this machine alone does not answer {stream.body['prompt'][:40]!r}: {stream.error}")
            known[key] = stream.text
    return [known[key] for key in keys]


# ---------------------------------------------------------------- workers

class Worker(RPCServer):
    """A worker that can be killed and started again at its port, stopped and continued."""

    meant = False  # to have ended

    def start(self):
        self.meant = False
        self.__enter__()

    def kill(self):
        self.meant = True
        self.process.kill()
        self.process.wait()

    def halt(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        with contextlib.suppress(OSError):
            os.kill(self.process.pid, signal.SIGCONT)

    def terminate(self):
        self.meant = True
        self.process.send_signal(signal.SIGTERM)

    def ends_within(self, seconds):
        """Its status; None if it runs on."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(seconds)

    def __exit__(self, *unused):
        self.go_on()
        return super().__exit__(*unused)


def has_ipv6():
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False


class Cluster:
    """Workers of these kinds, each reached through a link that can be cut. Ours lend so much memory each; the last listens on IPv6."""

    def __init__(self, kinds=("swiftlet",) * 3, memory=("600M", "1G", "1G")):
        self.kinds, self.memory = kinds, memory
        self.fallen = []

    def __enter__(self):
        self.stack = contextlib.ExitStack()
        self.workers = []
        for number, kind in enumerate(self.kinds):
            ours = kind == "swiftlet"
            more = ["-m", self.memory[number]] if ours else []
            host = "::1" if ours and 0 < number == len(self.kinds) - 1 and has_ipv6() else "127.0.0.1"
            self.workers.append(self.stack.enter_context(Worker(kind, *more, threads=1, host=host)))
        self.relay = self.stack.enter_context(Relay(*[worker.endpoint for worker in self.workers]))
        self.endpoints = self.relay.endpoints
        return self

    def __exit__(self, *why):
        return self.stack.__exit__(*why)

    @property
    def option(self):
        return ["--workers", ",".join(self.endpoints)]

    def cut(self, number):
        self.relay.silence(self.endpoints[number])

    def complaints(self):
        """Workers that ended although nobody ended them."""
        fallen = [worker for worker in self.workers if not worker.meant and not worker.alive()]
        return self.fallen + [f"{worker.endpoint} ended with {worker.process.returncode}: {worker.tail()[-200:]}" for worker in fallen]

    def mend(self):
        """Everything as it was."""
        self.fallen = self.complaints()
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


# ---------------------------------------------------------------- faults

class Breaker:
    """Throws a fault at a worker, by its number in the round."""

    def __init__(self, cluster, server, kind, number):
        self.cluster, self.server, self.kind = cluster, server, kind
        self.target = number % len(cluster.workers)
        self.returned = self.without = None

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
            self.returned = time.monotonic()
            self.without = self.returned
            threading.Thread(target=self.watch, daemon=True).start()
        if self.kind == "two":
            second.kill()
        if self.kind == "during":
            wait_for(lambda: health_of(self.server)[1] == "recovering", 0.3)
            second.kill()

    def watch(self):
        """Notes when a worker that came back at once last had nothing to do."""
        address = self.cluster.endpoints[self.target]
        while time.monotonic() - self.returned < 40:
            with contextlib.suppress(OSError, KeyError):
                if not has_part(nodes_of(self.server)[address]):
                    self.without = time.monotonic()
            time.sleep(0.05)
            if self.without < time.monotonic() - 5:
                return

    def back(self):
        """Seconds from when it was back to when it was used, of a worker that came back at once."""
        return self.without - self.returned if self.returned else 0.0
