"""Does a head keep its worker for an hour over a link that is slow, lossy and narrow in turn, without ever giving it up?

    bad_hour.py [MINUTES]

All layers are on the worker, so each token crosses the link. Every half minute the link becomes another one, while texts are generated.
"""

import sys
import time

from interop import GEMMA, SHORT, Report, need_swiftlet, stop
from peers_wire import HeadMachine, Streams, WorkerMachine, answers_alone, new_token, timed
from recovery_load import requests_of
from shaped_link import ShapedLink, arrivals
from wire import Wire, possible

# Round trip in ms; Mbit/s (0: as much as comes); percent lost.
LINKS = [(300, 0, 1), (20, 10, 0), (1, 0, 0), (100, 10, 1), (300, 0, 0), (20, 0, 1), (300, 10, 1)]
PERIOD = 30
OPTIONS = ["--parallel", "4", "--ctx-size", "2048"]
report = Report()
need_swiftlet()
minutes = float(sys.argv[1]) if sys.argv[1:] else 1 if SHORT else 60


def over_links(link, head, worker):
    """Changes the link until the time is up; gives how often the worker was missing when it was looked."""
    missing, number = 0, 0
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        link.be(*LINKS[number % len(LINKS)])
        number += 1
        turn = min(end, time.monotonic() + PERIOD)
        while time.monotonic() < turn:
            missing += head.misses(worker.id)
            time.sleep(1)
    link.be(1, 0, 0)
    return missing


why = possible()
if why:
    stop(why)
with Wire() as wire:
    token = new_token()
    bodies = requests_of(2)
    expected = answers_alone(wire, token, GEMMA, bodies, *OPTIONS)
    head, worker = HeadMachine(wire, token), WorkerMachine(wire, token)
    link = ShapedLink(worker.node)
    link.be(1, 0, 0)
    worker.start().ready()
    head.start(GEMMA, *OPTIONS, "--no-local").ready()
    if timed(lambda: head.uses(worker.id), 120, 0.1) is None:
        stop(f"the worker is not used: {head.program.text()[-1500:]}")
    with Streams(head, bodies, expected) as streams:
        missing = over_links(link, head, worker)
    report.check(
        not streams.faults and streams.answers > 0,
        f"{minutes:g} minutes of bad links under 2 streams: {streams.answers} answers, all right; longest pause {streams.longest:.1f} s")
    for fault in streams.faults[:3]:
        report.note(f"{fault}")
    report.check(not missing and arrivals(head) == 1, f"the worker was never given up (missing {missing} times, came {arrivals(head)} times)")
    if missing:
        report.note(head.program.text()[-1500:])
    for machine in (head, worker):
        machine.program.end()
report.finish()
