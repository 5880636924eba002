"""Requests and connections without end: memory and descriptors stay what they were.

SWIFTLET_REQUESTS=1000000 asks for as many completions of one token (on two cores a quarter of an hour).
"""

import contextlib
import os
import socket
import statistics
import threading
import time

from interop import SHORT, Server
from synthetic import synthetic

REQUESTS = int(os.environ.get("SWIFTLET_REQUESTS") or (4_000 if SHORT else 100_000))
CONNECTIONS = 1_000 if SHORT else 10_000
CLIENTS = 4
MIB = 1 << 20


def descriptors(server):
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


class Client:
    """One connection that asks again and again."""

    BODY = b'{"prompt":"a","max_tokens":1,"temperature":0}'
    REQUEST = b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def ask(self):
        """Whether the answer is 200."""
        self.socket.sendall(Client.REQUEST)
        while b"\r\n\r\n" not in self.rest:
            self.take()
        head, _, rest = self.rest.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        self.rest = rest
        while len(self.rest) < length:
            self.take()
        self.rest = self.rest[length:]
        return head.split(b" ", 2)[1] == b"200"

    def take(self):
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("closed")
        self.rest += part


def requests(report):
    with Server(synthetic(layers=1, width=256, inner=256), ctx=64, parallel=CLIENTS) as server:
        good, samples, lock = 0, [], threading.Lock()
        done = threading.Event()

        def watch():
            while not done.wait(0.2):
                samples.append((good, server.private()))

        def work(count):
            nonlocal good
            client = Client(server)
            for _ in range(count):
                ok = client.ask()
                with lock:
                    good += ok

        started = time.monotonic()
        watcher = threading.Thread(target=watch)
        watcher.start()
        clients = [threading.Thread(target=work, args=(REQUESTS // CLIENTS,)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        done.set()
        watcher.join()
        seconds = time.monotonic() - started
        report.check(good == REQUESTS // CLIENTS * CLIENTS, f"{good:,} completions of one token in {seconds:.0f} s ({good / seconds:.0f}/s), each answered with 200")
        quarters = [[size for at, size in samples if low <= at < low + REQUESTS / 4] or [samples[-1][1]]
                    for low in (0, REQUESTS / 4, REQUESTS / 2, REQUESTS * 3 / 4)]
        # The first quarter is also when caches and pools fill.
        middle = [statistics.median(quarter) / MIB for quarter in quarters]
        report.check(middle[3] - middle[1] < 4 and middle[3] - middle[0] < 24,
                     "private memory by quarter " + ", ".join(f"{size:.1f}" for size in middle) + " MiB: flat")


def connections(report):
    with Server(synthetic(layers=1, width=256, inner=256), ctx=64) as server:
        server.post("/v1/completions", {"prompt": "a", "max_tokens": 1})
        time.sleep(0.5)
        before, memory = descriptors(server), server.private()
        refused = 0
        for _ in range(CONNECTIONS):
            try:
                with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
                    client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
            except OSError:
                refused += 1
        deadline = time.monotonic() + 30
        while descriptors(server) > before + 2 and time.monotonic() < deadline:
            time.sleep(0.1)
        with contextlib.suppress(OSError):
            server.post("/v1/completions", {"prompt": "a", "max_tokens": 1})
        grown = (server.private() - memory) / MIB
        report.check(refused == 0 and descriptors(server) <= before + 2,
                     f"{CONNECTIONS:,} connections opened and left in the middle of a request: descriptors {before}, then {descriptors(server)}")
        report.check(grown < 24, f"… and memory grew by {grown:.1f} MiB")


def check(report):
    requests(report)
    connections(report)
