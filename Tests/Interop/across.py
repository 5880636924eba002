"""Do machines that have nothing but a token find each other across networks: by the table of a bootstrap node alone, and through routers?

Each machine is a namespace behind a router of a kind (routers.py), without multicast; what is on the "internet" between them is a bootstrap node
and, where both sides are behind routers, a node that joins them. Packets on that internet are searched for what must not be there.
"""

import json
import pathlib
import sys
import time

from interop import GEMMA, SCRATCH, SHORT, SWIFTLET, Report, need_swiftlet, stop
from peers_wire import HeadMachine, WorkerMachine, answers, new_token, timed
from recovery_load import requests_of
from routers import Internet, possible
from wire import wait_for

report = Report()
BOOTSTRAP_PORT = 6881
PORT = 7000
WITHOUT_MULTICAST = ["--no-mdns"]

# Writes the payload of each IP packet on a link to a file.
CAPTURE = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
print('{"ready": true}', flush=True)
with open(sys.argv[1], "ab", buffering=0) as out:
    while True:
        frame = s.recv(70000)
        if frame[12:14] == b"\\x08\\x00":
            out.write(frame[14:])
"""


class On:
    """A machine of peers_wire.py on a host that is there already."""

    def __init__(self, kind, host, token, bootstrap, *options):
        self.machine = kind.__new__(kind)
        self.machine.node, self.machine.token, self.machine.network, self.machine.program = host, token, None, None
        self.machine.home = SCRATCH / f"home-{host.name}"
        self.machine.home.mkdir(exist_ok=True)
        self.options = [*WITHOUT_MULTICAST, "--bootstrap", bootstrap, *options]

    def start(self, *arguments):
        self.machine.start(*arguments, *self.options)
        return self.machine


def bootstrap_node(internet):
    host = internet.host()
    program = host.start([SWIFTLET, "bootstrap", "--port", str(BOOTSTRAP_PORT)])
    wait_for(lambda: "UDP port" in program.text(), 10, f"the bootstrap node: {program.text()}")
    return f"{host.address}:{BOOTSTRAP_PORT}"


class Apart(Internet):
    """Two networks behind routers of a kind, or hosts with addresses of their own where it is None, with a bootstrap node and a token."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def __enter__(self):
        super().__enter__()
        self.bootstrap, self.token = bootstrap_node(self), new_token(f"token-{time.monotonic_ns()}")
        self.near, self.far = self.networks(self.kind)
        return self

    def networks(self, kind):
        """Two networks."""
        routers = [self.router(kind), self.router(kind)] if kind else [self, self]
        if kind == "upnp":
            for router in routers:
                router.start_daemon()
        return routers

    def on(self, kind, network, *options):
        """A machine on a new host of a network; those behind one router have ports of their own, which it keeps."""
        host = network.host()
        behind = len(getattr(network, "hosts", [host]))
        return On(kind, host, self.token, self.bootstrap, *options, "--p2p-port", str(PORT + behind - 1))

    def start_relay(self):
        """A node on the internet that joins others."""
        return self.on(WorkerMachine, self, "--relay").start("--memory", "16M").ready()


def used_after(head, workers, began, what, limit):
    wait_for(lambda: all("takes tunnels" in worker.program.text() for worker in workers), 30, "workers")
    used = timed(lambda: all(head.uses(worker.id) for worker in workers), 90)
    took = time.monotonic() - began
    report.check(used is not None and took <= limit, f"{what}: in use {took:.1f} s after the last start (at most {limit})")
    if used is None:
        report.note(head.program.text()[-1500:])
        report.note(workers[0].program.text()[-1500:])
    return used is not None


def ways(machine, bootstrap):
    """The kind of way to each node, as `swiftlet nodes` finds them from a machine."""
    text = machine.run("nodes", "--p2p-token-file", machine.token, "--no-mdns", "--bootstrap", bootstrap, "--json", "--time", "15")
    return {node["name"]: node["way"] for node in json.loads(text)["nodes"]}


def route_of(head, worker):
    return head.nodes().get(worker.id, {}).get("route")


def speed(head, bodies, expected, what):
    began = time.monotonic()
    found = answers(head, bodies)
    took = time.monotonic() - began
    report.check(found == expected, f"{what}: answers are those of one machine")
    return took


def by_table(expected, bodies):
    with Internet() as internet:
        bootstrap, token = bootstrap_node(internet), new_token("token-table")
        head = On(HeadMachine, internet.host(), token, bootstrap).start(GEMMA, "--no-local", "--ctx-size", "4096")
        workers = [On(WorkerMachine, internet.host(), token, bootstrap).start() for _ in range(3)]
        began = time.monotonic()
        stranger = On(WorkerMachine, internet.host(), new_token("token-other"), bootstrap).start()
        if used_after(head, workers, began, "a head and three workers, by a bootstrap node alone", 30):
            speed(head, bodies, expected, "by the table")
        report.check(len(head.nodes()) == 3 and stranger.id not in head.nodes(), "another token's worker in the same table is not its")


def through(kind, options, expected_ways, expected, bodies, limit=30):
    """A head on one network and two workers on another, both behind routers of a kind."""
    what = f"through {kind} routers{' with ' + ' '.join(options) if options else ''}"
    with Apart(kind) as apart:
        capture = apart.bridge.start([sys.executable, "-c", CAPTURE, str(SCRATCH / "captured")])
        wait_for(lambda: "ready" in capture.text(), 10, "capturing")
        relay = apart.start_relay()
        head = apart.on(HeadMachine, apart.near, *options).start(GEMMA, "--no-local", "--ctx-size", "4096").ready()
        workers = [apart.on(WorkerMachine, apart.far, *options).start() for _ in range(2)]
        began = time.monotonic()
        if used_after(head, workers, began, what, limit):
            speed(head, bodies, expected, what)
            # A better way than the first is found a little later, and takes its place.
            routes = lambda: [route_of(head, worker) for worker in workers]
            best = lambda: all(any(word in (route or "") for word in expected_ways) for route in routes())
            report.check(wait_for(best, 45)[0], f"{what}: the ways are {routes()}")
        for machine in (head, relay, *workers):
            machine.program.end()
        capture.end()
        packets = (SCRATCH / "captured").read_bytes()
        secret = pathlib.Path(apart.token).read_text().strip()
        told = [word for word in (secret[40:80], "gemma", "token_embd", "blk.0.") if word.encode() in packets]
        report.check(len(packets) > 100_000 and not told, f"{what}: of {len(packets) / 1e6:.1f} MB on the internet between them nothing tells {'' if not told else told}"
                     f"the token, the model or a tensor")
        (SCRATCH / "captured").unlink()


def alone():
    """What one machine says."""
    with Internet() as internet:
        bodies = requests_of(2)
        machine = On(HeadMachine, internet.host(), new_token("token-alone"), "127.0.0.1:1").start(GEMMA, "--ctx-size", "4096").ready()
        texts = answers(machine, bodies)
        machine.program.end()
        return bodies, texts


if __name__ == "__main__":
    need_swiftlet()
    why = possible()
    if why:
        stop(why)
    bodies, expected = alone()
    by_table(expected, bodies)
    through("restricted", [], ["half-way"], expected, bodies)
    through("symmetric", [], ["by way of"], expected, bodies)
    if not SHORT:
        through("full cone", [], ["25.77.", "half-way"], expected, bodies)
    through("upnp", ["--upnp"], ["25.77."], expected, bodies)
    report.finish()
