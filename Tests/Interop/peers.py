"""Do machines that have nothing but a token find each other, and does a head go on whatever happens to them?

Each machine is a namespace of its own with its own Avahi (wire.py). A head and three workers are started with a token and no addresses;
then workers come and go in every way while eight streams run. The rounds are few in the short sample.
"""

import argparse
import contextlib
import threading

from interop import GEMMA, SHORT, Report, need_swiftlet, stop
from peers_wire import HeadMachine, Streams, WorkerMachine, answers, answers_alone, new_token, timed
from recovery_load import requests_of
from wire import Wire, possible, wait_for

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=1 if SHORT else 20)
parser.add_argument("--only", help="kinds of rounds, separated by commas")
options = parser.parse_args()

need_swiftlet()
report = Report()
MODEL = GEMMA
HEAD = ["--parallel", "8", "--ctx-size", "4096", "--no-local"]


def middle(times):
    times = sorted(times)
    return f"{times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s" if times else "none"


class Rounds:
    """What is done to a worker, and how the head learns of it."""

    def __init__(self, head, workers):
        self.head, self.workers = head, workers

    def start(self, worker):
        """Stopped beforehand, out of what is timed."""
        worker.program.end()
        wait_for(lambda: self.head.misses(worker.id), 30)
        began = worker.start()
        used = timed(lambda: "takes tunnels" in began.program.text() and self.head.uses(worker.id), 60)
        return None, used

    def term(self, worker):
        ident = worker.id
        worker.program.signal(15)
        dropped = timed(lambda: self.head.misses(ident), 30)
        worker.program.end()
        worker.start().ready()
        return dropped, timed(lambda: self.head.uses(worker.id), 60)

    def kill(self, worker):
        ident = worker.id
        worker.program.kill()
        dropped = timed(lambda: self.head.misses(ident), 30)
        worker.start().ready()
        return dropped, timed(lambda: self.head.uses(worker.id), 60)

    def freeze(self, worker):
        worker.program.pause()
        dropped = timed(lambda: self.head.misses(worker.id), 30)
        worker.program.go_on()
        return dropped, timed(lambda: self.head.uses(worker.id), 90)

    def link(self, worker):
        worker.node.link_down()
        dropped = timed(lambda: self.head.misses(worker.id), 30)
        worker.node.link_up()
        return dropped, timed(lambda: self.head.uses(worker.id), 90)

    def avahi(self, worker):
        """Not to be noticed by a head that has its tunnel."""
        worker.node.restart_avahi(kill=True)
        lost = timed(lambda: self.head.misses(worker.id), 3)
        return lost, timed(lambda: self.head.uses(worker.id), 60)

    def address(self, worker):
        last = int(worker.node.address.rsplit(".", 1)[1])
        worker.node.change_address(last + 100 if last < 100 else last - 100)
        dropped = timed(lambda: self.head.misses(worker.id), 20)
        return dropped, timed(lambda: self.head.uses(worker.id), 90)


KINDS = ["start", "term", "kill", "freeze", "link", "avahi", "address"]


def rounds(head, workers, bodies, expected):
    kinds = options.only.split(",") if options.only else KINDS
    for kind in kinds:
        drops, uses, failures = [], [], 0
        with Streams(head, bodies, expected) as streams:
            for number in range(options.rounds):
                dropped, used = getattr(Rounds(head, workers), kind)(workers[number % len(workers)])
                if used is None:
                    failures += 1
                    continue
                uses.append(used)
                if dropped is not None:
                    drops.append(dropped)
        report.check(
            not streams.faults and not failures,
            f"{kind}, {options.rounds} times under 8 streams: {streams.answers} answers, all right; dropped after {middle(drops)}; "
            f"used (again) after {middle(uses)}; longest pause of a stream {streams.longest:.2f} s")
        for fault in streams.faults[:3]:
            report.note(f"{fault}")
        if failures:
            report.note(f"{failures} times it was not used again in time")
            report.note(head.program.text()[-1500:])


def inside_both(first, second, bodies):
    """The answers of two heads that are asked at the same time."""
    found = [None, None]

    def ask(number, head):
        with contextlib.suppress(RuntimeError):
            found[number] = answers(head, bodies)

    threads = [threading.Thread(target=ask, args=(number, head)) for number, head in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    return found


why = possible()
if why:
    stop(why)
with Wire() as wire:
    token = new_token()
    bodies = requests_of()
    expected = answers_alone(wire, token, MODEL, bodies, "--parallel", "8", "--ctx-size", "4096")

    head = HeadMachine(wire, token)
    workers = [WorkerMachine(wire, token) for _ in range(3)]
    other = WorkerMachine(wire, new_token("other"))
    beside = WorkerMachine(wire, token, "beside")
    for machine in (other, beside):
        machine.start()
    head.start(MODEL, *HEAD)
    for worker in workers:
        worker.start()
    used = timed(lambda: all("takes tunnels" in worker.program.text() and head.uses(worker.id) for worker in workers), 60)
    report.check(used is not None and used <= 5, f"a head and three workers with a token alone: all in use {used or -1:.2f} s after the last start (at most 5)")
    head.ready()
    found = answers(head, bodies)
    report.check(found == expected, "answers over them are those of one machine")
    strangers = {other.ready().id, beside.ready().id}
    report.check(not strangers & set(head.nodes()), "another token's worker and another network id's on the same wire are not its")
    second = HeadMachine(wire, token).start(MODEL, *HEAD).ready()
    wait_for(lambda: any(second.uses(worker.id) for worker in workers), 30, "the second head's places")
    both = inside_both(head, second, bodies)
    report.check(both == [expected, expected], "two heads with the token share the workers, and both say what one machine says")
    second.program.end()
    rounds(head, workers, bodies, expected)
    report.check(set(head.nodes()) == {worker.id for worker in workers}, "in the end the head has its three workers and no others")
    for machine in [head, *workers, other, beside]:
        with contextlib.suppress(Exception):
            machine.program.end()
report.finish()
