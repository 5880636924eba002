"""Random faults under load for as long as is wanted: no wrong text, no failed request but 503 with Retry-After, memory that stays flat.

    recovery_soak.py [--minutes 60] [--seed N] [--no-local]
"""

import argparse
import collections
import contextlib
import random
import threading
import time

from interop import Report
from recovery_load import LOSSES, STREAMS, Breaker, Cluster, Stream, expected_texts, requests_of, serve

report = Report()
MIB = 1 << 20


class Load:
    """Clients that ask again and again, and leave now and then."""

    def __init__(self, server, bodies, expected):
        self.server, self.bodies, self.expected = server, bodies, expected
        self.lock = threading.Lock()
        self.stopping = False
        self.done = self.left = self.refused = 0
        self.wrong, self.failed = [], []
        self.longest = 0.0

    def __str__(self):
        return (f"{self.done} answers, {self.left} left, {self.refused} refused, {len(self.wrong)} wrong, {len(self.failed)} failed; "
                f"longest pause {self.longest:.1f} s")

    def client(self, seed):
        chance = random.Random(seed)
        while not self.stopping:
            number = chance.randrange(len(self.bodies))
            leaves = chance.randrange(3, 60) if chance.random() < 0.1 else None
            stream = Stream(self.server, self.bodies[number], leaves_after=leaves)
            stream.start()
            stream.join(300)
            with self.lock:
                self.judge(stream, self.expected[number])
            time.sleep(chance.random() * 0.5)

    def judge(self, stream, expected):
        self.longest = max(self.longest, stream.pause)
        if stream.is_alive():
            self.failed.append("no end after 300 s")
        elif stream.is_refused:
            self.refused += 1
        elif stream.error:
            self.failed.append(f"status {stream.status}: {stream.error}")
        elif stream.left and expected.startswith(stream.text):
            self.left += 1
        elif stream.text != expected:
            self.wrong.append(f"{stream.text[-80:]!r} for {expected[-80:]!r}")
        else:
            self.done += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--no-local", action="store_true", help="no layers on this machine")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    bodies = requests_of()
    expected = expected_texts(bodies)
    # By free memory this machine would have nearly everything, and there would be little to lose.
    where = ["--no-local"] if options.no_local else ["--split", "1,1,1,1"]
    with Cluster() as cluster, serve(cluster, *where) as server:
        load = Load(server, bodies, expected)
        clients = [threading.Thread(target=load.client, args=(options.seed + number,), daemon=True) for number in range(STREAMS)]
        for client in clients:
            client.start()
        started = time.monotonic()
        faults, samples, next_report = collections.Counter(), [], 60.0
        while (passed := time.monotonic() - started) < options.minutes * 60 and server.alive():
            kind = chance.choice(LOSSES)
            Breaker(cluster, server, kind, chance.randrange(len(cluster.workers)))()
            faults[kind] += 1
            time.sleep(chance.uniform(3, 15))
            cluster.mend()
            time.sleep(chance.uniform(2, 12))
            # What ended meanwhile has no figures.
            with contextlib.suppress(OSError, AttributeError):
                samples.append((time.monotonic() - started, server.resident(), server.private()))
                if passed >= next_report:
                    next_report += 60
                    report.note(f"{passed / 60:5.1f} min: {faults.total()} faults, {load}; head {samples[-1][1] // MIB} MiB "
                                f"({samples[-1][2] // MIB} its own), workers "
                                + ", ".join(f"{worker.resident() // MIB}" for worker in cluster.workers))
        load.stopping = True
        for client in clients:
            client.join(320)
        thrown = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items()))
        report.check(server.alive(), f"the head runs on after {faults.total()} faults ({thrown}; seed {options.seed})"
                     + ("" if server.alive() else f": status {server.process.returncode}: {server.tail()[-500:]}"))
        complaints = cluster.complaints()
        report.check(not complaints, "no worker ended by itself" + (f" but {len(complaints)}: {complaints[0]}" if complaints else ""))
        report.check(load.done > 0 and not load.wrong, f"{load.done} answers as they should be, {len(load.wrong)} not"
                     + (f": {load.wrong[0]}" if load.wrong else ""))
        report.check(not load.failed, f"{load.refused} refused with 503 and Retry-After, {len(load.failed)} failed"
                     + (f": {load.failed[0]}" if load.failed else ""))
        compare_memory(samples, options.minutes * 60)
        report.note(f"longest pause {load.longest:.1f} s")
    report.finish()


def compare_memory(samples, length):
    """The head's, in the second quarter of the time and the last."""
    for index, what in ((1, "memory"), (2, "own memory, without the mapped file")):
        second = [sample[index] for sample in samples if 0.25 * length <= sample[0] < 0.5 * length]
        last = [sample[index] for sample in samples if sample[0] >= 0.75 * length]
        if min(len(second), len(last)) < 10:
            report.note(f"too few samples ({len(second)} and {len(last)}) to judge the head's {what}: let it run for longer")
            continue
        before, after = sum(second) / len(second), sum(last) / len(last)
        report.check(after <= 1.15 * before,
                     f"the head's {what}: {before / MIB:.0f} MiB in the second quarter, {after / MIB:.0f} in the last")


if __name__ == "__main__":
    main()
