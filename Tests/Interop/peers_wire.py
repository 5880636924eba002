"""What the checks of peers share: machines on a wire that have a token and nothing else, and streams that run meanwhile."""

import contextlib
import ctypes
import http.client
import json
import os
import threading
import time

from interop import SCRATCH, SWIFTLET, run
from recovery_load import Stream
from wire import wait_for

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
HEAD_PORT = 8080


def enter(node):
    """Has this thread's new sockets be of a node's network. A thread stays there, so it is to be one that ends."""
    descriptor = os.open(f"/proc/{node.keeper.pid}/ns/net", os.O_RDONLY)
    try:
        if _libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)


def inside(node, body):
    """Runs `body` in a thread whose sockets are of a node's network, and gives what it gives."""
    outcome = []

    def work():
        try:
            enter(node)
            outcome.append((body(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error:
        raise error
    return value


def new_token(name="token"):
    path = SCRATCH / name
    run([SWIFTLET, "token", "new", "--output", path])
    return path


def part_of(device):
    return device["layer_count"] or device["has_output"]


class Machine:
    """A node of the wire with a home of its own, and what of swiftlet runs there."""

    def __init__(self, wire, token, network=None):
        self.node = wire.node()
        self.home = SCRATCH / f"home-{self.node.name}"
        self.home.mkdir(exist_ok=True)
        self.token = token
        self.network = network
        self.program = None

    def peers(self):
        options = ["--p2p-token-file", self.token, "--p2p-name", self.node.name]
        return options + (["--p2p-network-id", self.network] if self.network else [])

    def swiftlet(self, command, *arguments):
        return self.node.start([SWIFTLET, command, "--p2p", *self.peers(), *arguments], {"HOME": str(self.home)})

    def run(self, *arguments):
        return self.node.run("env", f"HOME={self.home}", SWIFTLET, *arguments)


class WorkerMachine(Machine):
    def start(self, *arguments):
        self.program = self.swiftlet("worker", "--threads", "1", "--grace", "5", *arguments)
        return self

    def ready(self):
        wait_for(lambda: "takes tunnels" in self.program.text(), 20, f"{self.node.name}: {self.program.text()}")
        return self

    @property
    def id(self):
        line = next(line for line in self.program.text().splitlines() if "takes tunnels" in line)
        return line.split("node ", 1)[1].split()[0]

    @property
    def port(self):
        line = next(line for line in self.program.text().splitlines() if "takes tunnels" in line)
        return int(line.split("at port ", 1)[1].split(",")[0])


class HeadMachine(Machine):
    port = HEAD_PORT

    def start(self, model, *arguments):
        self.program = self.swiftlet(
            "serve", "--model", model, "--port", HEAD_PORT, "--no-progress", "--threads", "1", *arguments)
        return self

    def ready(self, patience=60):
        wait_for(lambda: self.program.alive() and "listening on" in self.program.text(), patience, f"the head: {self.program.text()}")
        return self

    def get(self, path):
        def ask():
            connection = http.client.HTTPConnection("127.0.0.1", HEAD_PORT, timeout=30)
            with contextlib.closing(connection):
                connection.request("GET", path)
                answer = connection.getresponse()
                return json.loads(answer.read())

        return inside(self.node, ask)

    def nodes(self):
        """The workers that the head has, by their ids, without itself."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            return {entry["address"]: entry for entry in self.get("/v1/nodes")["data"] if entry["address"] != "local"}
        return {}

    def uses(self, ident):
        """Whether a worker has a part of the model."""
        entry = self.nodes().get(ident)
        return bool(entry) and entry["state"] == "ready" and any(map(part_of, entry["devices"]))

    def misses(self, ident):
        """Whether it has nothing of the model any more, however it is listed."""
        entry = self.nodes().get(ident)
        return not entry or entry["state"] in ("absent", "failed") or not any(map(part_of, entry["devices"]))


class WireStream(Stream):
    """A streamed completion from a head on the wire."""

    def __init__(self, head, body):
        self.head = head
        super().__init__(head, body)

    def run(self):
        enter(self.head.node)
        super().run()




class Streams:
    """Requests that are asked again and again, each compared with what it is to say."""

    def __init__(self, head, bodies, expected):
        self.head, self.bodies, self.expected = head, bodies, expected
        self.over = threading.Event()
        self.answers, self.faults, self.longest = 0, [], 0.0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.ask, args=(number,), daemon=True) for number in range(len(bodies))]

    def ask(self, number):
        while not self.over.is_set():
            stream = WireStream(self.head, self.bodies[number])
            stream.start()
            stream.join()
            with self.lock:
                self.answers += 1
                self.longest = max(self.longest, stream.pause)
                if stream.error or stream.text != self.expected[number]:
                    self.faults.append((number, stream.error or f"{stream.text[-60:]!r} in place of {self.expected[number][-60:]!r}"))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.over.set()
        for thread in self.threads:
            thread.join(120)


def answers(head, bodies):
    """What each request is answered with, one after the other."""
    texts = []
    for body in bodies:
        stream = WireStream(head, body)
        stream.start()
        stream.join()
        if stream.error:
            raise RuntimeError(stream.error)
        texts.append(stream.text)
    return texts


def answers_alone(wire, token, model, bodies, *arguments):
    """What a machine of its own answers."""
    alone = HeadMachine(wire, token, "alone").start(model, *arguments, "--no-mdns").ready()
    texts = answers(alone, bodies)
    alone.program.end()
    return texts


def timed(condition, patience, step=0.02):
    """Seconds until `condition` holds; None if it does not within `patience`."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > patience:
            return None
        time.sleep(step)
    return time.monotonic() - began
