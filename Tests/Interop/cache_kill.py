"""Does the worker's cache ever serve something wrong? It is killed (SIGKILL) at random moments while it stores tensors, and started
again over the same folder, 200 times (20 when short). Each time it is asked for what was being stored and for some of what was
stored before; what it claims to have is read back and compared. Then every content's file is damaged: none may be served.
"""

import contextlib
import os
import random
import socket
import struct
import threading
import time

from interop import RPCServer, Report, SCRATCH, SHORT
from worker import HELLO, ask, message, record

report = Report()
ROUNDS = 20 if SHORT else 200
PER_ROUND = 3
ROOM = 8 << 20
FOLDER = SCRATCH / "tensors"

PRIME, BASIS, MASK = 0x100000001b3, 0xcbf29ce484222325, (1 << 64) - 1
STEP = 64
LEAP = pow(PRIME, STEP, 1 << 64)


def content(number):
    """(bytes, their FNV-1a): different in every sector, and of zeros in between, so that hashing them is quick in Python too."""
    chance = random.Random(number)
    steps = chance.randrange((1 << 20) // STEP, ROOM // STEP)
    marks = bytes(byte | 1 for byte in chance.randbytes(steps))
    data = bytearray(steps * STEP)
    data[::STEP] = marks
    value = BASIS
    for mark in marks:
        value = ((value ^ mark) * LEAP) & MASK
    return bytes(data), value


class Client:
    """A connection with a buffer that holds any of the contents."""

    def __init__(self, worker):
        self.connection = socket.create_connection(("127.0.0.1", worker.port), timeout=30)
        ask(self.connection, HELLO)
        self.handle = struct.unpack("<QQ", ask(self.connection, message(0, struct.pack("<IQ", 0, ROOM))))[0]
        self.base = struct.unpack("<Q", ask(self.connection, message(3, struct.pack("<Q", self.handle))))[0]

    def tensor(self, size):
        return record(self.handle, self.base, ne=(size // 4, 1, 1, 1))

    def has(self, size, value):
        return ask(self.connection, message(7, self.tensor(size) + struct.pack("<QQ", 0, value))) == b"\1"

    def get(self, size):
        return ask(self.connection, message(8, self.tensor(size) + struct.pack("<QQ", 0, size)))

    def store(self, data):
        self.connection.sendall(message(6, self.tensor(len(data)) + struct.pack("<BQ", 1, 0) + data))

    def settle(self):
        """Waits until everything sent is done."""
        ask(self.connection, message(1, struct.pack("<I", 0)))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.connection.close()


def worker():
    return RPCServer("swiftlet", "-c", "--cache-dir", FOLDER)


def parts():
    return list((FOLDER / "parts").iterdir())


def asked(client, number):
    """Whether the content is there; None if what is served is something else."""
    data, value = content(number)
    if not client.has(len(data), value):
        return False
    return True if client.get(len(data)) == data else None


def usual_time():
    """Seconds that storing one round's contents takes."""
    with worker() as server, Client(server) as client:
        contents = [content(-1 - index)[0] for index in range(PER_ROUND)]
        started = time.monotonic()
        for data in contents:
            client.store(data)
        client.settle()
        # Writing goes on behind the answers; a question for a content waits for it.
        asked(client, -PER_ROUND)
        return time.monotonic() - started


def store_and_kill(server, client, numbers, delay):
    contents = [content(number)[0] for number in numbers]
    killing = threading.Timer(delay, server.process.kill)
    killing.start()
    with contextlib.suppress(OSError, EOFError):
        for data in contents:
            client.store(data)
        client.settle()
    killing.join()
    server.process.wait()


def check_kills():
    chance = random.Random(4)
    span = usual_time()
    served = missing = wrong = unfinished = left = lost = 0
    known = []
    stored = set()
    last = []
    for number in range(ROUNDS + 1):
        with worker() as server, Client(server) as client:
            left += len(parts())
            for index in last + chance.sample(known, min(3, len(known))):
                found = asked(client, index)
                served += found is True
                missing += found is False
                wrong += found is None
                lost += found is not True and index in stored
                if found:
                    stored.add(index)
            known += last
            if number == ROUNDS:
                break
            last = [number * PER_ROUND + index for index in range(PER_ROUND)]
            store_and_kill(server, client, last, chance.uniform(0, 1.1 * span))
        unfinished += len(parts()) > 0
    report.note(f"{ROUNDS} times killed, within the {1000 * span:.0f} ms that {PER_ROUND} contents take; "
                f"{unfinished} times in the middle of a file")
    report.check(wrong == 0, f"served {served} times, not there {missing} times, wrong {wrong} times")
    report.check(lost == 0, f"{lost} contents lost that had been served before")
    report.check(served > 0 and (unfinished > 0 or SHORT), "some contents were whole, some writes were cut off")
    report.check(left == 0, f"{left} unfinished files left after a start")
    return sorted(stored)


def check_damage(stored):
    """Shortened, lengthened, one bit turned, exchanged for another's: nothing of it is served."""
    chance = random.Random(5)
    blobs = sorted((FOLDER / "blobs").iterdir())
    for index, blob in enumerate(blobs):
        kind = index % 4
        if kind == 3:
            other = blobs[index - 1]
            blob.unlink()
            os.link(other, blob)
            continue
        with open(blob, "r+b") as file:
            size = blob.stat().st_size
            if kind == 0:
                file.truncate(chance.randrange(size))
            elif kind == 1:
                file.seek(size)
                file.write(b"x")
            else:
                place = chance.randrange(size)
                file.seek(place)
                byte = file.read(1)[0]
                file.seek(place)
                file.write(bytes([byte ^ (1 << chance.randrange(8))]))
    found = []
    with worker() as server, Client(server) as client:
        for number in stored[-40:]:
            found.append(asked(client, number))
        data, value = content(stored[-1])
        client.store(data)
        report.check(asked(client, stored[-1]) is True, "what was damaged is stored anew")
        report.check(server.alive(), "the worker still runs")
    report.check(not any(answer is not False for answer in found), f"{len(found)} damaged contents asked for, none served")


def main():
    check_damage(check_kills())
    report.finish()


if __name__ == "__main__":
    main()
