"""What does each way between two machines cost a token?

A head that keeps none of the model (`--no-local`) and one worker, so that every token crosses the way there and back: both on the internet, with a
port that UPnP opens, half-way, by way of a relay. What is on one machine takes no time on the wire: what is shown is what the programs and the kernel
add. That the answers are those of one machine, and that a relay carries what goes by way of it and nothing else, is checked; times are told.
"""

import time

from across import Apart, On, route_of
from interop import GEMMA, SHORT, Report, need_swiftlet, stop
from links import completion
from peers_wire import HeadMachine, WorkerMachine, new_token
from routers import Internet, possible
from wire import wait_for

report = Report()
PROMPT = "The lighthouse keeper opened the door and"
COUNT, ROUNDS = (12, 5) if SHORT else (16, 25)
HEAD = ["--ctx-size", "2048"]
# What it is called; the kind of routers; options of the machines; what the head calls the way.
WAYS = [
    ("directly", None, [], "25.77."),
    ("mapped by UPnP", "upnp", ["--upnp"], "25.77."),
    ("through full cones", "full cone", [], "25.77."),
    ("half-way, restricted", "restricted", [], "half-way"),
    ("by way of a relay, symmetric", "symmetric", [], "by way of"),
]


def carried(host):
    """Bytes that came to a host."""
    line = next(line for line in host.run("cat", "/proc/net/dev").splitlines() if "eth0:" in line)
    return int(line.split(":")[1].split()[0])


def middle(values):
    return sorted(values)[len(values) // 2]


class Way:
    """A head and a worker with a token of their own, and a node that joins others."""

    def __init__(self, apart, name, kind, options, route):
        self.name, self.kind, self.route = name, kind, route
        self.texts, self.times, self.passed_on = set(), [], 0
        near, far = apart.networks(kind)
        apart.token = new_token(f"token-{time.monotonic_ns()}")
        self.relay = apart.start_relay()
        self.head = apart.on(HeadMachine, near, *options).start(GEMMA, *HEAD, "--no-local").ready()
        self.worker = apart.on(WorkerMachine, far, *options).start().ready()

    def leads(self):
        return self.head.uses(self.worker.id) and self.route in (route_of(self.head, self.worker) or "")

    def ask(self):
        before = carried(self.relay.node)
        answer = completion(self.head, PROMPT, COUNT)
        self.passed_on += carried(self.relay.node) - before
        self.texts.add(answer["content"])
        self.times.append(1000 / answer["timings"]["predicted_per_second"])

    def tell(self, expected, direct):
        report.check(self.texts == {expected}, f"{self.name}: the answers are those of one machine")
        each = self.passed_on / COUNT / ROUNDS
        # The activations of a token are kilobytes; what nodes say to each other meanwhile is less.
        report.check((each > 2000) == (self.kind == "symmetric"), f"{self.name}: {route_of(self.head, self.worker)}; {each:.0f} bytes a token come to the relay")
        more = sorted(mine - other for mine, other in zip(self.times, direct.times))
        quarter = len(more) // 4
        told = f" ({middle(more):+.2f} against direct, half of the times between {more[quarter]:+.2f} and {more[-1 - quarter]:+.2f})"
        report.note(f"{self.name}: {middle(self.times):.2f} ms a token, at best {min(self.times):.2f}{told if self is not direct else ''}")


def alone():
    with Internet() as internet:
        machine = On(HeadMachine, internet.host(), new_token("token-alone"), "127.0.0.1:1").start(GEMMA, *HEAD).ready()
        found = [completion(machine, PROMPT, COUNT) for _ in range(ROUNDS)]
        machine.program.end()
        report.note(f"one machine: {middle([1000 / answer['timings']['predicted_per_second'] for answer in found]):.2f} ms a token")
        return found[0]["content"]


def main():
    expected = alone()
    # All at once, and asked in turn: so what else this machine does is shared by all.
    with Apart(None) as apart:
        apart.watch_outside()
        ways = [Way(apart, *row) for row in (WAYS if not SHORT else [WAYS[0], WAYS[-1]])]
        for way in ways:
            if not wait_for(way.leads, 60)[0]:
                stop(f"{way.name}: the worker is not used so: {route_of(way.head, way.worker)}: {way.head.program.text()[-1000:]}")
        for way in ways:
            completion(way.head, PROMPT, 4)
        for _ in range(ROUNDS):
            for way in ways:
                way.ask()
        for way in ways:
            way.tell(expected, ways[0])
        apart.check_nothing_left(report, "all of them")
        for way in ways:
            for machine in (way.head, way.worker, way.relay):
                machine.program.end()


if __name__ == "__main__":
    need_swiftlet()
    why = possible()
    if why:
        stop(why)
    main()
    report.finish()
