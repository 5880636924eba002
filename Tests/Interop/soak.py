"""A worker under mixed load with faults, for as long as one likes: are its memory and its descriptors flat, its answers right?

    soak.py                an hour
    soak.py --minutes 5

Heads that generate, heads that are killed in the middle, loads over the cache, connections that come and go, wrong and random
messages, large buffers that are left behind. At the end nothing must be left of any of it.
"""

import argparse
import collections
import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time

from clients import Figures, finished, head
from interop import PROMPTS, SCRATCH, Report
from worker import HELLO, ask, bad_messages, greeted, message, record

report = Report()
counts = collections.Counter()
wrong = []
over = threading.Event()
TOKENS = 24


def generate(server, expected, chance):
    prompt = chance.choice(PROMPTS)
    text, _ = finished(head(server, prompt, TOKENS))
    counts["answers"] += 1
    if text != expected[prompt]:
        wrong.append((prompt, text))


def kill(server, expected, chance):
    victim = head(server, chance.choice(PROMPTS) * 8, 400, start_new_session=True)
    time.sleep(chance.uniform(0.2, 4))
    with contextlib.suppress(ProcessLookupError):
        os.killpg(victim.pid, signal.SIGKILL)
    victim.communicate()
    counts["killed heads"] += 1


def misbehave(server, expected, chance):
    for _ in range(50):
        if over.is_set():
            return
        with contextlib.suppress(OSError, EOFError):
            connection, handle, base = greeted(server)
            with connection:
                kind = chance.randrange(4)
                if kind == 0:
                    connection.sendall(chance.choice(list(bad_messages(handle, base).values())))
                elif kind == 1:
                    connection.sendall(chance.randbytes(chance.randrange(1, 4000)))
                elif kind == 2:
                    # Left behind with something in it.
                    size = chance.randrange(1 << 20, 64 << 20)
                    other = struct.unpack("<QQ", ask(connection, message(0, struct.pack("<IQ", 0, size))))[0]
                    connection.sendall(message(5, struct.pack("<QB", other, 1)))
                else:
                    connection.sendall(struct.pack("<BQ", 6, 305 + 100) + record(handle, base))
                connection.settimeout(0.05)
                connection.recv(1)
        counts["misbehaved connections"] += 1
        time.sleep(0.02)


def come_and_go(server, expected, chance):
    connections = []
    for _ in range(30):
        with contextlib.suppress(OSError, EOFError):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
            ask(connection, HELLO)
            connections.append(connection)
    time.sleep(chance.uniform(0, 1))
    for connection in connections:
        connection.close()
    counts["connections"] += len(connections)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=60)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    folder = tempfile.mkdtemp(prefix="soak-", dir=SCRATCH)
    with Figures("--cache-dir", folder, "--memory", "12G") as figures:
        server = figures.server
        expected = {prompt: finished(head(server, prompt, TOKENS))[0] for prompt in PROMPTS}
        deadline = time.monotonic() + options.minutes * 60

        def work(kind, index):
            chance = random.Random(options.seed * 100 + index)
            while not over.is_set() and server.alive():
                try:
                    kind(server, expected, chance)
                except Exception as error:
                    wrong.append((kind.__name__, repr(error)))
                    time.sleep(1)

        threads = [threading.Thread(target=work, args=(kind, index))
                   for index, kind in enumerate([generate, generate, kill, misbehave, come_and_go])]
        for thread in threads:
            thread.start()
        samples = []
        process = f"/proc/{server.process.pid}"
        while time.monotonic() < deadline and server.alive():
            time.sleep(2)
            with contextlib.suppress(OSError):
                samples.append((server.resident(), len(os.listdir(process + "/fd")), len(os.listdir(process + "/task"))))
        over.set()
        for thread in threads:
            thread.join()
        report.note(", ".join(f"{count} {what}" for what, count in counts.items()) + f", in {options.minutes:g} minutes")
        report.check(server.alive(), "the worker still runs")
        report.check(counts["answers"] > 0 and not wrong, f"{counts['answers']} answers, {len(wrong)} wrong {wrong[:2] if wrong else ''}")
        took = figures.wait(lambda now: now["sessions"] == 0 and now["memory_lent_bytes"] == 0, 10)
        report.check(took is not None, f"nothing is left lent at the end{'' if took is not None else f': {figures.read()}'}")
        # The least of each stretch: what is there whatever the load of the moment.
        quarter = max(1, len(samples) // 4)
        for index, (name, unit, slack) in enumerate([("resident memory", 1 << 20, 48), ("descriptors", 1, 2), ("threads", 1, 2)]):
            early, late = (min(sample[index] for sample in part) / unit for part in (samples[quarter:2 * quarter], samples[-quarter:]))
            report.check(late <= early * 1.1 + slack, f"{name}: at least {early:.0f} in the second quarter, {late:.0f} in the last"
                         + (" (MiB)" if unit > 1 else ""))
        report.note(f"resident at the end: {server.resident() / (1 << 20):.0f} MiB; cache folder: "
                    f"{sum(path.stat().st_size for path in pathlib.Path(folder).rglob('*') if path.is_file()) / (1 << 20):.0f} MiB")
    shutil.rmtree(folder, ignore_errors=True)
    report.finish()


if __name__ == "__main__":
    main()
