"""A laptop that moves: a worker that a model's layers are on gets another address ten times while texts are generated.

It has IPv4 only, and no other route: each time its tunnels are dead without a word. The texts must be those of one machine, and the worker the
same node before and after.
"""

import time

from interop import GEMMA, SHORT, Report, need_swiftlet, stop
from peers_wire import HeadMachine, Streams, WorkerMachine, answers_alone, new_token, timed
from recovery_load import requests_of
from wire import Wire, possible

CHANGES = 2 if SHORT else 10
OPTIONS = ["--parallel", "4", "--ctx-size", "4096"]
report = Report()
need_swiftlet()


def moved(head, worker, number):
    """Seconds until the head has noticed that the worker is gone, and until it uses it again."""
    worker.node.change_address(100 + number)
    dropped = timed(lambda: head.misses(worker.id), 20)
    return dropped, timed(lambda: head.uses(worker.id), 60)


why = possible()
if why:
    stop(why)
with Wire() as wire:
    token = new_token()
    head = HeadMachine(wire, token)
    worker = WorkerMachine(wire, token)
    for machine in (head, worker):
        machine.node.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6")
    bodies = requests_of(4)
    expected = answers_alone(wire, token, GEMMA, bodies, *OPTIONS)

    worker.start().ready()
    head.start(GEMMA, *OPTIONS, "--no-local").ready()
    ident = worker.id
    if timed(lambda: head.uses(ident), 60) is None:
        stop(f"the worker is not used: {head.program.text()[-1500:]}")
    drops, uses = [], []
    with Streams(head, bodies, expected) as streams:
        for number in range(CHANGES):
            dropped, used = moved(head, worker, number)
            if used is None:
                report.check(False, f"change {number + 1}: used again within 60 s: {head.program.text()[-1500:]}")
                break
            drops.append(dropped)
            uses.append((dropped or 0) + used)
            time.sleep(2)
    noticed = [seconds for seconds in drops if seconds is not None]
    report.check(
        len(uses) == CHANGES and not streams.faults and streams.answers >= 4,
        f"another address {CHANGES} times under 4 streams: {streams.answers} answers, all right"
        + (f"; noticed after {max(noticed):.1f} s at most, used again {max(uses):.1f} s after the change at most" if noticed else "")
        + f"; longest pause of a stream {streams.longest:.1f} s")
    for fault in streams.faults[:3]:
        report.note(f"{fault}")
    report.check(worker.id == ident and list(head.nodes()) == [ident], "the worker is the same node for the head, and there is no other")
    for machine in (head, worker):
        machine.program.end()
report.finish()
