"""Are strangers refused, and does nobody else notice?

A head and two workers of a network, each a machine of its own (wire.py), with streams running; from another machine come all kinds of
strangers (strangers.py), a thousand attempts a second, at a worker's door and at the head's. Then every port of a worker is tried, and what
its door answers to whom.
"""

import collections
import contextlib
import http.client
import json
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import sys
import threading
import time

from interop import GEMMA, SCRATCH, SHORT, Report, need_swiftlet, stop
from peers_wire import HeadMachine, Streams, WorkerMachine, answers, inside, new_token, timed
from recovery_load import requests_of
from strangers import HELLO, LOOK, Network, Stranger, context_of, ec, enter, first_flight, say
from wire import Wire, possible

SECONDS = 5 if SHORT else 60
RATE = 1000
HEAD_DOOR, WORKER_DOOR, METRICS = 7700, 7701, 9464
HERE = pathlib.Path(__file__).resolve().parent
# What the log is to say of each kind; the silent and the trickling may also have had to make room.
REASONS = {
    "token": "none of this network", "network": "none of this network", "bare": "not return a certificate", "expired": "expired on",
    "foreign": "of another network", "revoked": "it is revoked", "silent": "too long|others were waiting", "rpc": "does not speak TLS",
    "http": "does not speak TLS", "random": "does not speak TLS", "replayed": "TLS|closed the connection|too long",
    "trickle": "too long|others were waiting|from there"}

need_swiftlet()
report = Report()


def metric(machine, name):
    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", METRICS, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        return int(float(re.search(rf"^\w*{name} (\S+)$", text, re.M).group(1)))

    return inside(machine.node, ask)


def descriptors(machine):
    """What each descriptor of a program is, in a word."""
    kinds = collections.Counter()
    folder = f"/proc/{machine.program.pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(OSError):
            kinds[os.readlink(f"{folder}/{name}").split(":")[0]] += 1
    return kinds


class Sampler(threading.Thread):
    """The largest resident memory and number of descriptors of some machines."""

    def __init__(self, machines):
        super().__init__(daemon=True)
        self.machines, self.over = machines, threading.Event()
        self.memory, self.files = {}, {}

    def run(self):
        while not self.over.wait(0.2):
            for machine in self.machines:
                name = machine.node.name
                self.memory[name] = max(self.memory.get(name, 0), machine.program.resident())
                self.files[name] = max(self.files.get(name, 0), descriptors(machine).total())


def record_true_client(node, stranger, door):
    """What a node says when it comes to a door, taken down on the way."""
    listener = socket.create_server((node.address, 0))
    taken = []

    def pass_on():
        near, _ = listener.accept()
        far = socket.create_connection(door, 5)
        ends = {near: far, far: near}
        while True:
            for end in select.select(list(ends), [], [], 5)[0]:
                data = end.recv(65536)
                if not data:
                    near.close()
                    far.close()
                    return
                if end is near:
                    taken.append(data)
                ends[end].sendall(data)

    passing = threading.Thread(target=pass_on, daemon=True)
    passing.start()
    number, answer = enter(stranger.order(), context_of(stranger.path), listener.getsockname(), node.address, LOOK)
    passing.join(10)
    listener.close()
    return number, answer["node"], b"".join(taken)


def open_ports(address):
    """Every TCP port that takes a connection."""
    found, ports = [], iter(range(1, 65536))
    poll, waiting = select.epoll(), {}
    done = False
    while waiting or not done:
        while len(waiting) < 500 and not done:
            port = next(ports, None)
            if port is None:
                done = True
                break
            plain = socket.socket()
            plain.setblocking(False)
            code = plain.connect_ex((address, port))
            if code == 0:
                found.append(port)
            elif code == 115:
                waiting[plain.fileno()] = (plain, port)
                poll.register(plain, select.EPOLLOUT)
                continue
            plain.close()
        for number, _ in poll.poll(5):
            plain, port = waiting.pop(number)
            if plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                found.append(port)
            poll.unregister(plain)
            plain.close()
    return sorted(found)


def only_alerts(answer):
    """Whether bytes are nothing, or records of TLS that hold alerts."""
    while answer:
        if len(answer) < 5 or answer[0] != 21:
            return False
        answer = answer[5 + int.from_bytes(answer[3:5]):]
    return True


def scan(attacker, worker):
    began = time.monotonic()
    found = inside(attacker, lambda: open_ports(worker.node.address))
    report.check(found == [worker.port], f"all 65,535 ports of a worker in {time.monotonic() - began:.1f} s: open is {found}, its door is {worker.port}")
    door = (worker.node.address, worker.port)
    said = {
        "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "a HELLO of ggml": HELLO, "random bytes": bytes([22, 3, 1]) + os.urandom(200),
        "TLS 1.2": first_flight(network.knock, ssl.TLSVersion.TLSv1_2), "TLS 1.2 without a name": first_flight(None, ssl.TLSVersion.TLSv1_2),
        "TLS 1.3 without a name": first_flight(None), "TLS 1.3 with a wrong name": first_flight("example.com"), "nothing": b""}
    for name, data in said.items():
        answer = inside(attacker, lambda: say(door, attacker.address, data, 8))
        report.check(answer is not None and only_alerts(answer), f"to {name} the door answers {answer.hex() if answer else answer!r}, and closes")


def stream_figures(streams):
    return f"{streams.answers} answers, longest pause {streams.longest:.2f} s"


def attack(head, workers, attacker, newcomer, visitor, expected, bodies):
    doors = [[workers[0].node.address, WORKER_DOOR], [head.node.address, HEAD_DOOR]]
    with Streams(head, bodies, expected) as quiet:
        time.sleep(SECONDS)
    report.check(not quiet.faults, f"without strangers: {stream_figures(quiet)}")

    other = Network((SCRATCH / "other").read_text())
    beside = Network(token.read_text(), "beside")
    people = {
        "token": Stranger(other, SCRATCH, "token"), "network": Stranger(beside, SCRATCH, "network"),
        "bare": Stranger(network, SCRATCH, "bare", bare=True), "expired": Stranger(network, SCRATCH, "expired", days=-1),
        "foreign": Stranger(network, SCRATCH, "foreign", authority=ec.generate_private_key(ec.SECP256R1())),
        "revoked": Stranger(network, SCRATCH, "revoked")}
    for machine in [head, *workers]:
        machine.run("token", "revoke", people["revoked"].id, "--p2p-token-file", token)
    true = Stranger(network, SCRATCH, "true")
    number, card, recorded = inside(attacker, lambda: record_true_client(attacker, true, tuple(doors[0])))
    report.check(number == 1 and card["id"] == workers[0].id, "a node made from the description of what a token comes to is let in")

    # Addresses of the attacker's: two for each kind, and thirty that trickle.
    last = iter(range(100, 250))
    kinds = [*people, "silent", "rpc", "http", "random", "replayed"]
    sources = {kind: [f"10.77.0.{next(last)}" for _ in range(2)] for kind in kinds}
    tricklers = [f"10.77.0.{next(last)}" for _ in range(12 if SHORT else 30)]
    for address in [*sum(sources.values(), []), *tricklers]:
        attacker.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
    order = SCRATCH / "order.json"
    # Streams, a newcomer and those who look have their time within the flood's.
    seconds = SECONDS + 15
    order.write_text(json.dumps({
        "doors": doors, "strangers": {name: person.order() for name, person in people.items()}, "recorded": recorded.hex(),
        "hello": first_flight(network.knock).hex(), "sources": sources, "tricklers": tricklers, "rate": RATE, "seconds": seconds}))
    time.sleep(2)

    watched = [head, workers[0]]
    before = {machine.node.name: (machine.program.resident(), descriptors(machine)) for machine in watched}
    accepted = metric(workers[0], "connections_accepted_total")
    sampler = Sampler(watched)
    sampler.start()
    looks = []
    with Streams(head, bodies, expected) as streams:
        flood = attacker.start(["nice", sys.executable, HERE / "strangers.py", order])
        began = time.monotonic()
        context = context_of(true.path)
        third = None
        while time.monotonic() < began + SECONDS:
            if third is None and time.monotonic() > began + SECONDS / 3:
                third = {machine.node.name: machine.program.resident() for machine in watched}
            for door in doors:
                asked = time.monotonic()
                try:
                    number = inside(visitor, lambda: enter(true.order(), context, tuple(door), visitor.address, LOOK, 10))[0]
                    looks.append(time.monotonic() - asked if number == 1 else None)
                except (OSError, ValueError):
                    looks.append(None)
            time.sleep(0.2)
        still = metric(workers[0], "connections_accepted_total")
        held = {machine.node.name: machine.program.resident() for machine in watched}
        newcomer.start()
        used = timed(lambda: "takes tunnels" in newcomer.program.text() and head.uses(newcomer.id), 15)
        during = flood.alive()
    flood.signal(signal.SIGTERM)
    flood.process.wait(60)
    sampler.over.set()
    result = flood.lines()[-1] if flood.lines() else {"counts": {}, "answers": {}, "seconds": 1}
    sent = sum(result["counts"].values())
    report.note(f"{sent} attempts in {result['seconds']:.0f} s, {sent / result['seconds']:.0f} a second: {result['counts']}")
    for answer, count in sorted(result["answers"].items()):
        report.note(f"    {count:6} {answer}")
    report.check(sent > 0 and not any(": in" in answer for answer in result["answers"]), "none of them gets in")
    report.check(not streams.faults, f"among strangers: {stream_figures(streams)}; every text as it is to be")
    for fault in streams.faults[:3]:
        report.note(f"{fault}")
    limit = max(3 * quiet.longest, 2)
    report.check(streams.longest <= limit, f"longest pause {streams.longest:.2f} s, without strangers {quiet.longest:.2f} s (at most {limit:.2f})")
    report.check(still == accepted, f"the worker's RPC saw none of them: {still - accepted} connections were served")
    good = [took for took in looks if took is not None]
    report.check(
        len(good) == len(looks), f"a true node at another address came in {len(good)} times of {len(looks)}, after {max(good, default=-1):.2f} s at most")
    report.check(during and used is not None and used <= 10, f"a worker that joins meanwhile is used after {used or -1:.2f} s (at most 10)")
    # What another worker and the strangers needed is given back.
    newcomer.program.end()
    time.sleep(7)
    for machine in watched:
        name, title = machine.node.name, "the head" if machine is head else "the worker"
        memory, files = before[name]
        now, files_now = machine.program.resident(), descriptors(machine)
        report.check(
            held[name] - third[name] < 16 << 20 and held[name] - memory < 64 << 20,
            f"{title}: {memory / 1e6:.1f} MB resident before, {third[name] / 1e6:.1f} after a third of it, {held[name] / 1e6:.1f} in the end; "
            f"{now / 1e6:.1f} after")
        report.check(
            files_now.total() <= files.total() + 8 and sampler.files[name] <= files.total() + 128 + 20,
            f"{title}: {files.total()} descriptors before, {sampler.files[name]} at most, {files_now.total()} after, of which new: {dict(files_now - files)}")
        lines = [line for line in machine.program.text().splitlines() if "turned away" in line]
        for kind, reason in REASONS.items():
            addresses = tricklers if kind == "trickle" else sources[kind]
            told = [line for line in lines if any(f" {address}:" in line for address in addresses) and re.search(reason, line)]
            found = told[0].split("turned away: ")[1] if told else f"nothing in {len(lines)} lines"
            report.check(told, f"{title} tells of {kind}: {found}")
        report.check(len(lines) < 4 * (len(kinds) * 2 + len(tricklers)), f"{title}: {len(lines)} lines of it all")


why = possible()
if why:
    stop(why)
with Wire() as wire:
    token = new_token()
    new_token("other")
    network = Network(token.read_text())
    head = HeadMachine(wire, token)
    shown = json.loads(head.run("token", "show", "--json", "--p2p-token-file", token))
    report.check(shown["network"] == network.tag, f"the tag from the token, derived anew: {network.tag}")
    alone = HeadMachine(wire, token, "alone").start(GEMMA, "--parallel", "8", "--ctx-size", "4096", "--no-mdns").ready()
    bodies = requests_of()
    expected = answers(alone, bodies)
    alone.program.end()
    workers = [WorkerMachine(wire, token) for _ in range(2)]
    newcomer = WorkerMachine(wire, token)
    attacker, visitor = wire.node(avahi=False), wire.node(avahi=False)
    head.start(GEMMA, "--parallel", "8", "--ctx-size", "4096", "--no-local", "--p2p-port", HEAD_DOOR)
    for worker in workers:
        worker.start("--metrics", METRICS, "--p2p-port", WORKER_DOOR)
    head.ready()
    ready = timed(lambda: all("takes tunnels" in worker.program.text() and head.uses(worker.id) for worker in workers), 60)
    report.check(ready is not None, "a head uses two workers")
    scan(attacker, workers[1])
    attack(head, workers, attacker, newcomer, visitor, expected, bodies)
    for machine in [head, *workers, newcomer]:
        with contextlib.suppress(Exception):
            machine.program.end()
report.finish()
