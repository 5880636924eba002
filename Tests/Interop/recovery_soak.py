"""Random faults under load for as long as is wanted: no wrong text, no failed request but 503 with Retry-After, memory that stays flat.

    recovery_soak.py [--minutes 60] [--seed N]
"""

import argparse
import random
import threading
import time

from interop import Report
from recovery_load import Breaker, Cluster, Stream, expected_texts, requests_of, serve

report = Report()
KINDS = ["kill", "stop", "cut", "restart", "two", "during"]


class Load:
    """Clients that ask again and again, and leave now and then."""

    def __init__(self, server, bodies, expected, seed):
        self.server, self.bodies, self.expected = server, bodies, expected
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.stopping = False
        self.done = self.left = self.refused = 0
        self.wrong, self.failed = [], []
        self.longest = 0.0

    def client(self, seed):
        chance = random.Random(seed)
        while not self.stopping:
            number = chance.randrange(len(self.bodies))
            leaves = chance.randrange(3, 60) if chance.random() < 0.1 else None
            stream = Stream(self.server, self.bodies[number], leaves_after=leaves)
            stream.start()
            stream.join(300)
            with self.lock:
                self.longest = max(self.longest, stream.pause)
                if stream.is_alive():
                    self.failed.append("no end after 300 s")
                elif stream.status == 503 and stream.retry_after or stream.error and "cannot be used" in stream.error:
                    self.refused += 1
                elif stream.error:
                    self.failed.append(stream.error)
                elif leaves and self.expected[number].startswith(stream.text):
                    self.left += 1
                elif stream.text != self.expected[number]:
                    self.wrong.append(f"{stream.text[-80:]!r} for {self.expected[number][-80:]!r}")
                else:
                    self.done += 1
            time.sleep(chance.random() * 0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    chance = random.Random(options.seed)
    bodies = requests_of()
    expected = expected_texts(bodies)
    with Cluster() as cluster, serve(cluster, "--no-local") as server:
        load = Load(server, bodies, expected, options.seed)
        clients = [threading.Thread(target=load.client, args=(options.seed + number,), daemon=True) for number in range(6)]
        for client in clients:
            client.start()
        started = time.monotonic()
        faults, samples, next_report = 0, [], 60.0
        while (passed := time.monotonic() - started) < options.minutes * 60:
            Breaker(cluster, server, chance.choice(KINDS), chance.randrange(6))()
            faults += 1
            time.sleep(chance.uniform(3, 12))
            cluster.mend()
            time.sleep(chance.uniform(2, 12))
            samples.append((time.monotonic() - started, server.private()))
            if passed >= next_report:
                next_report += 60
                report.note(f"{passed / 60:5.1f} min: {faults} faults, {load.done} answers, {load.left} left, {load.refused} refused, "
                            f"{len(load.wrong)} wrong, {len(load.failed)} failed; longest pause {load.longest:.1f} s; head "
                            f"{server.private() >> 20} MiB, workers " + ", ".join(f"{worker.resident() >> 20}" for worker in cluster.workers))
            if not server.alive():
                break
        load.stopping = True
        for client in clients:
            client.join(320)
        report.check(server.alive(), f"the head runs on after {faults} faults (seed {options.seed})")
        report.check(not load.wrong, f"{load.done} answers as they should be, {len(load.wrong)} not" + (f": {load.wrong[0]}" if load.wrong else ""))
        report.check(not load.failed, f"{load.refused} refused with 503, {len(load.failed)} failed" + (f": {load.failed[0]}" if load.failed else ""))
        length = options.minutes * 60
        second = [size for at, size in samples if 0.25 * length <= at < 0.5 * length]
        last = [size for at, size in samples if at >= 0.75 * length]
        if second and last:
            before, after = sum(second) / len(second), sum(last) / len(last)
            report.check(after <= 1.15 * before, f"the head's memory: {before / 2**20:.0f} MiB in the second quarter, {after / 2**20:.0f} in the last")
        report.note(f"longest pause {load.longest:.1f} s")
    report.finish()


if __name__ == "__main__":
    main()
