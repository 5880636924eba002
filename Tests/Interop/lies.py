"""Is a network of machines that have a token left in peace by somebody who has none, and tells lies by multicast?

A head and two workers in namespaces (wire.py), streams that run, and a liar beside them (liar.py). The head has its workers and no others
throughout, answers are right, nothing grows, and a worker that comes meanwhile is used. Then machines with other addresses than usual.
"""

import argparse
import contextlib
import json
import os
import pathlib
import sys
import threading
import time

from interop import GEMMA, SCRATCH, SHORT, SWIFTLET, Report, need_swiftlet, stop
from peers_wire import HeadMachine, Streams, WorkerMachine, answers, new_token, part_of, timed
from recovery_load import requests_of
from wire import Wire, possible, wait_for

parser = argparse.ArgumentParser()
parser.add_argument("parts", nargs="*", help="lies, interfaces, link_local; all if none is named")
options = parser.parse_args()

need_swiftlet()
report = Report()
PROBE = pathlib.Path(SWIFTLET).parent / "peer-probe"
HERE = pathlib.Path(__file__).resolve().parent
HEAD = ["--parallel", "4", "--ctx-size", "4096", "--no-local"]
SECONDS = 5 if SHORT else 30
NAMES_SECONDS = 20 if SHORT else 120
# New names a second. Of more, or with many known, Avahi itself is late: at 1,000 its socket overflows, and a registration takes 19 s, not 1.
NAMES_RATE = 250
TICKS = os.sysconf("SC_CLK_TCK")


class Figures:
    """What a program takes of its machine now."""

    def __init__(self, program):
        self.resident = program.resident()
        self.threads = len(os.listdir(f"/proc/{program.pid}/task"))
        self.descriptors = len(os.listdir(f"/proc/{program.pid}/fd"))
        fields = pathlib.Path(f"/proc/{program.pid}/stat").read_text().rsplit(")", 1)[1].split()
        self.seconds = (int(fields[11]) + int(fields[12])) / TICKS

    def __str__(self):
        return f"{self.resident / 1e6:.1f} MB, {self.threads} threads, {self.descriptors} descriptors"


class Watch:
    """Asks a head again and again which workers it has and uses."""

    def __init__(self, head, workers):
        self.head, self.expected, self.newcomer = head, {worker.id for worker in workers}, None
        self.over, self.looks, self.faults = threading.Event(), 0, []
        self.peak = Figures(head.program)
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self):
        while not self.over.wait(0.2):
            nodes = self.head.nodes()
            if not nodes:
                continue
            self.looks += 1
            allowed = self.expected | ({self.newcomer.id} if self.newcomer and "takes tunnels" in self.newcomer.program.text() else set())
            if not self.expected <= set(nodes) <= allowed:
                self.faults.append(f"it has {sorted(nodes)}")
            for ident in self.expected & set(nodes):
                if nodes[ident]["state"] != "ready" or not any(map(part_of, nodes[ident]["devices"])):
                    # A newcomer is given its part of the others.
                    if not self.newcomer:
                        self.faults.append(f"{ident} is not in use")
            now = Figures(self.head.program)
            for figure in ("resident", "threads", "descriptors"):
                setattr(self.peak, figure, max(getattr(self.peak, figure), getattr(now, figure)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.over.set()
        self.thread.join(60)


def true_records(node, worker, count):
    """What a browser is told of the true nodes."""
    tag = worker.program.text().split("in network ", 1)[1].split()[0]
    browser = node.start([PROBE, "browse", tag, 60])
    told = lambda: {line["found"]: line for line in browser.lines() if "found" in line and any("[" not in place for place in line["endpoints"])}
    wait_for(lambda: len(told()) >= count, 20, f"{count} true records; {browser.text()}")
    browser.end()
    return list(told().values())


def lies(wire):
    token = new_token()
    head, one, two, late = HeadMachine(wire, token), *(WorkerMachine(wire, token) for _ in range(3))
    liar = wire.node(avahi=False)
    workers = [one, two]
    for worker in workers:
        worker.start()
    head.start(GEMMA, *HEAD).ready()
    used = timed(lambda: all("takes tunnels" in worker.program.text() and head.uses(worker.id) for worker in workers), 60)
    report.check(used is not None, f"a head and two workers: in use {used or -1:.2f} s after the last start")
    bodies = requests_of(4)
    expected = answers(head, bodies)
    truth = SCRATCH / "true.json"
    truth.write_text(json.dumps({"records": true_records(late.node, one, 3), "head": head.node.address}))
    begun = lambda kinds, *arguments: liar.start(
        [sys.executable, HERE / "liar.py", "--records", truth, "--address", liar.address, "--kinds", kinds, *arguments])

    def waited(lying):
        wait_for(lambda: not lying.alive(), 300, "the liar's end")
        report.note(lying.text().strip())

    before, worker_before = Figures(head.program), Figures(one.program)

    with Watch(head, workers) as watch, Streams(head, bodies, expected) as streams:
        lying = begun("names,names,names,names,replay", "--seconds", NAMES_SECONDS, "--rate", NAMES_RATE)
        time.sleep(SECONDS)
        began, daemon = time.monotonic(), Figures(head.node.daemon).seconds
        watch.newcomer = late.start()
        wait_for(lambda: "takes tunnels" in late.program.text(), 20, late.program.text())
        comes, uses = timed(lambda: late.id in head.nodes(), 90), timed(lambda: head.uses(late.id), 60)
        now = time.monotonic()
        report.note(f"Avahi used {Figures(head.node.daemon).seconds - daemon:.2f} s of the head's processor meanwhile")
        # Every machine's Avahi is at work on all of the names, here on the processors of one machine, and loses what it has no time for: what counts
        # is that the newcomer comes in, at the latest when the names end, and that nobody else is disturbed.
        limit = max(60, NAMES_SECONDS + 15)
        report.check(
            comes is not None and uses is not None and now - began <= limit,
            f"a worker that is started among {NAMES_RATE} new names a second, for {NAMES_SECONDS} s, is in use {now - began:.2f} s after its start "
            f"(at most {limit})")
        waited(lying)
        for kinds in ("replay,ports,own", "places", "goodbye", "taken,goodbye,replay"):
            waited(begun(kinds, "--seconds", SECONDS, "--rate", 200))
    report.check(
        not streams.faults and streams.answers >= 4, f"{streams.answers} streamed answers meanwhile, all right; longest pause {streams.longest:.2f} s")
    for fault in streams.faults[:3]:
        report.note(f"{fault}")
    report.check(not watch.faults and watch.looks > 20, f"the head had its workers and no others, in use, all {watch.looks} times that it was asked")
    for fault in watch.faults[:3]:
        report.note(fault)
    after, worker_after = Figures(head.program), Figures(one.program)
    report.note(f"the head: {before} before, {after} after, at most {watch.peak}")
    report.note(f"a worker: {worker_before} before, {worker_after} after")
    report.check(after.resident < before.resident + 24e6 and worker_after.resident < worker_before.resident + 24e6, "memory stays flat")
    report.check(watch.peak.threads < before.threads + 2 * 64 + 40, "threads are bounded")
    report.check(watch.peak.descriptors < before.descriptors + 4 * 64 + 60, "and so are descriptors")
    idle = Figures(head.program).seconds
    time.sleep(SECONDS)
    start = Figures(head.program).seconds
    idle, began = (start - idle) / SECONDS, time.monotonic()
    waited(begun("names", "--count", 10000, "--rate", 2000))
    spent, took = Figures(head.program).seconds - start, time.monotonic() - began
    report.note(f"the head's processor time: {idle:.3f} s a second when idle, {spent / took:.3f} with 10,000 new names in {took:.1f} s")
    report.check(Figures(head.program).resident < before.resident + 24e6, "10,000 names leave nothing behind")
    report.check(set(head.nodes()) == {worker.id for worker in [*workers, late]}, "in the end the head has its three workers and no others")
    end(head, *workers, late)


def end(*machines):
    for machine in machines:
        with contextlib.suppress(Exception):
            machine.program.end()


def found_and_used(head, workers, what, limit=10):
    used = timed(lambda: all("takes tunnels" in worker.program.text() and head.uses(worker.id) for worker in workers), 60)
    report.check(used is not None and used <= limit, f"{what}: in use after {used or -1:.2f} s (at most {limit})")
    report.check(set(head.nodes()) == {worker.id for worker in workers}, "as one node each")


def interfaces(wire):
    """A worker on two networks, of which the head is on one, and then on both."""
    token = new_token("interfaces")
    head, worker = HeadMachine(wire, token), WorkerMachine(wire, token)
    wire.second_bridge()
    worker.node.second_interface()
    worker.start().ready()
    head.start(GEMMA, *HEAD)
    found_and_used(head, [worker], "a worker with two interfaces, one of them on the head's network")
    head.node.second_interface()
    time.sleep(3)
    found_and_used(head, [worker], "and when the head is on both")
    worker.node.link_down()
    time.sleep(1)
    found_and_used(head, [worker], "when the first network is cut it is reached by the second", 40)
    end(head, worker)


def link_local(wire):
    token = new_token("link_local")
    head, worker = HeadMachine(wire, token), WorkerMachine(wire, token)
    for machine in (head, worker):
        machine.node.run("ip", "-4", "address", "flush", "dev", "eth0")
        machine.node.restart_avahi()
    worker.start().ready()
    head.start(GEMMA, *HEAD)
    found_and_used(head, [worker], "a worker where there are only link-local IPv6 addresses")
    end(head, worker)


if not os.access(PROBE, os.X_OK):
    stop(f"no peer-probe at {PROBE}: build it (swift build -c release --product peer-probe)")
why = possible()
if why:
    if os.environ.get("CI") == "true":
        stop(why)
    report.note(f"LEFT OUT: {why}")
    report.finish()
for part in (lies, interfaces, link_local):
    if options.parts and part.__name__ not in options.parts:
        continue
    with Wire() as wire:
        part(wire)
report.finish()
