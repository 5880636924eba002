"""Servers that are broken, beside the head: does it say which and why, in time, and never crash or hang?

Servers of wrong versions, that close at once, answer garbage, announce or send endless replies, or nothing. Connections to a good
worker that close, or fall silent, at many points of the whole conversation. A connection lost once while weights are loaded.
"""

import contextlib
import os
import socket
import struct
import subprocess
import threading
import time

from interop import GEMMA, PROMPTS, SCRATCH, SHORT, SWIFTLET, RPCServer, Report, need_swiftlet
from relay import Relay

report = Report()
TIMEOUT = 2
# Seconds that the program itself may take beside its time limit, on a machine that does other things too.
OVERHEAD = 8
# What 8.0.0 answers to HELLO: three numbers, a byte of nothing, 24 bytes about the connection.
HELLO_ANSWER = 28


class Scripted:
    """A server that does the same to everybody who connects, on a thread each."""

    def __init__(self, behaviour):
        self.behaviour = behaviour

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *unused):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer, contextlib.suppress(OSError):
            self.behaviour(peer)


def request(peer):
    """(command, size) of the next message, whose content is read and dropped."""
    head = b""
    while len(head) < 9:
        part = peer.recv(9 - len(head))
        if not part:
            raise OSError("closed")
        head += part
    command, size = struct.unpack("<BQ", head)
    left = size
    while left:
        part = peer.recv(min(left, 1 << 16))
        if not part:
            raise OSError("closed")
        left -= len(part)
    return command, size


def answer(peer, content):
    peer.sendall(struct.pack("<Q", len(content)) + content)


def hello(peer, major=8, minor=0, patch=0):
    request(peer)
    answer(peer, struct.pack("<BBBB", major, minor, patch, 0) + bytes(HELLO_ANSWER - 4))


def wait_for_end(peer):
    while peer.recv(1 << 16):
        pass


def of_version(major, minor, patch):
    def behave(peer):
        hello(peer, major, minor, patch)
        wait_for_end(peer)
    return behave


def old_server(peer):
    """As versions were told before 7.0.0: in three bytes."""
    request(peer)
    answer(peer, struct.pack("<BBB", 3, 6, 0))
    wait_for_end(peer)


def garbage(peer):
    # Read first, so that nothing is lost to a reset.
    peer.recv(1 << 16)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    wait_for_end(peer)


def greet_then(behave):
    def whole(peer):
        hello(peer)
        behave(peer)
    return whole


def announce(size, content=b""):
    def behave(peer):
        request(peer)
        peer.sendall(struct.pack("<Q", size) + content)
        wait_for_end(peer)
    return behave


def endless(peer):
    request(peer)
    while True:
        peer.sendall(bytes(1 << 16))


def trickle(peer):
    """A byte of an answer that never ends, often enough that no single wait is long."""
    request(peer)
    peer.sendall(struct.pack("<Q", 1 << 20))
    while True:
        peer.sendall(b"\0")
        time.sleep(0.2)


def wrong_everywhere(peer):
    """Answers everything with four zero bytes of the wrong length."""
    while True:
        request(peer)
        answer(peer, bytes(3))


def many_devices(peer):
    while True:
        command, _ = request(peer)
        answer(peer, struct.pack("<I", 0xFFFFFFFF) if command == 15 else bytes(16))


def no_devices(peer):
    while True:
        command, _ = request(peer)
        answer(peer, bytes(4) if command == 15 else bytes(16))


BROKEN = [
    # name, behaviour, one of these words says why
    ("speaks 9.0.0", of_version(9, 0, 0), ["9.0"]),
    ("speaks 8.1.0", of_version(8, 1, 0), ["8.1"]),
    ("speaks 3.6.0", of_version(3, 6, 0), ["3.6"]),
    ("speaks 3.6.0 in three bytes", old_server, ["3.6", "bytes"]),
    ("closes at once", lambda peer: None, ["closed", "reset", "ended"]),
    ("closes after the greeting's question", lambda peer: request(peer), ["closed", "reset", "ended"]),
    ("answers like a web server", garbage, ["bytes", "HTTP", "announce", "size"]),
    ("is silent", wait_for_end, ["time", "second", " s", "answer"]),
    ("is silent after greeting", greet_then(wait_for_end), ["time", "second", " s", "answer"]),
    ("closes after greeting", greet_then(lambda peer: None), ["closed", "reset", "ended"]),
    ("announces 2^63 bytes", greet_then(announce(1 << 63)), ["bytes"]),
    ("announces 2^64 − 1 bytes in greeting", announce((1 << 64) - 1), ["bytes"]),
    ("announces 1 GiB", greet_then(announce(1 << 30)), ["bytes"]),
    ("announces no bytes", greet_then(announce(0)), ["bytes", "short"]),
    ("sends zeros without end", endless, ["bytes", "version", "0.0"]),
    ("sends zeros without end after greeting", greet_then(endless), ["bytes", "device"]),
    ("sends a byte now and then", trickle, ["bytes", "time", "second", " s"]),
    ("answers everything with 3 bytes", greet_then(wrong_everywhere), ["bytes"]),
    ("has 2^32 − 1 devices", greet_then(many_devices), ["device"]),
    ("has no devices", greet_then(no_devices), ["device"]),
]


def ask(program, endpoints, *more, limit=TIMEOUT + OVERHEAD):
    """(status or None for too late, standard output, standard error, seconds)."""
    command = [SWIFTLET, program, "--model", str(GEMMA), "--workers", ",".join(endpoints), "--no-local", "--no-progress", "--worker-timeout",
               str(TIMEOUT), *map(str, more)]
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(timeout=limit)
        status = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        status = None
    return status, out.decode(errors="replace"), err.decode(errors="replace"), time.monotonic() - started


def run(endpoints, limit=TIMEOUT + OVERHEAD):
    return ask("run", endpoints, "--raw", "--prompt", PROMPTS[0], "--n-predict", 3, "--temperature", 0, "--ctx-size", 256, limit=limit)


def complaint(result, endpoint, reasons=("",)):
    """What is wrong with how the head ended; None if it did as it must."""
    status, _, err, seconds = result
    if status is None:
        return f"still runs after {seconds:.0f} s"
    if status < 0 or status >= 128:
        return f"ended by signal {-status if status < 0 else status - 128}"
    if status == 0:
        return "ended as if all were well"
    if endpoint not in err:
        return f"does not name the server: {err.strip()[-300:]}"
    if not any(word in err for word in reasons):
        return f"does not say why: {err.strip()[-300:]}"
    if len(err) > 1000:
        return f"says too much: {len(err)} characters"
    return None


def check_broken():
    with RPCServer("swiftlet") as good:
        for name, behaviour, reasons in BROKEN:
            with Scripted(behaviour) as server:
                for program in ["plan", "run"] if not SHORT else ["plan"]:
                    result = ask(program, [server.endpoint]) if program == "plan" else run([good.endpoint, server.endpoint])
                    wrong = complaint(result, server.endpoint, reasons)
                    said = (result[2].strip().splitlines() or [""])[-1].replace(server.endpoint, "…")
                    report.check(wrong is None, f"{program}: a server that {name}: " + (f"{said!r}, {result[3]:.1f} s" if wrong is None else wrong))
        report.check(good.alive(), "the good worker beside them runs on")


# ---------------------------------------------------------------- the end of a connection at any point

def points(total, count):
    """Places in a stream of so many bytes: the first ones densely, then further and further apart, and the end."""
    found = {0, 1, 7, 8, 9, 27, 28, 29, max(0, total - 1)}
    for number in range(count):
        found.add(int(total ** (number / count)))
    found = sorted(point for point in found if point < total)
    return found[::max(1, len(found) // count)]


def check_cuts():
    count = 4 if SHORT else 24
    with RPCServer("swiftlet") as worker, RPCServer("swiftlet") as other:
        with Relay(worker.endpoint) as relay:
            endpoint = relay.endpoints[0]
            status, expected, err, _ = run([endpoint, other.endpoint], limit=60)
            carried = relay.counters()[endpoint]
            report.check(status == 0 and expected, f"through the relay the head answers {expected.strip()!r}"
                         + ("" if status == 0 else f": {err[-300:]}"))
        report.note(f"a whole conversation: {carried['up']} bytes there, {carried['down']} back, {carried['connections']} connections, "
                    f"{carried['down_turns']} answers")
        for way in ("down", "up"):
            for kind in ("close", "silent"):
                wrongs, ends, resumed, slowest = [], 0, 0, 0.0
                places = points(carried[way], count if kind == "close" else max(2, count // 3))
                for after in places:
                    # A relay each, so that every connection of this run, and none of another, ends there.
                    with Relay(worker.endpoint) as relay:
                        endpoint = relay.endpoints[0]
                        relay.fault(kind, after, way=way, times=1000)
                        result = run([endpoint, other.endpoint], limit=2 * TIMEOUT + OVERHEAD)
                        slowest = max(slowest, result[3])
                        if result[0] == 0 and result[1] == expected:
                            resumed += 1
                        else:
                            wrong = complaint(result, endpoint)
                            ends += wrong is None
                            if wrong:
                                wrongs.append(f"{way} {after} {kind}: {wrong}")
                for wrong in wrongs[:6]:
                    report.note(wrong)
                report.check(not wrongs, f"connections that {'close' if kind == 'close' else 'fall silent'} after so many bytes "
                             f"{'from' if way == 'down' else 'to'} the server, at {len(places)} points: {ends} errors that name it, {resumed} right answers, "
                             f"{slowest:.1f} s at most" + (f"; {len(wrongs)} wrong" if wrongs else ""))
        report.check(worker.alive() and other.alive(), "the workers run on")


def check_resume():
    """A connection that breaks once, in the middle of the weights: what the worker keeps is not sent again."""
    folder = SCRATCH / "kept"
    with RPCServer("swiftlet") as worker, RPCServer("swiftlet", "--cache-dir", folder) as keeping:
        with Relay(worker.endpoint) as relay:
            endpoint = relay.endpoints[0]
            _, expected, _, _ = run([endpoint], limit=60)
            whole = relay.counters()[endpoint]["up"]
        for name, server in (("a worker", worker), ("a worker that keeps tensors", keeping)):
            with Relay(server.endpoint) as relay:
                endpoint = relay.endpoints[0]
                relay.fault("close", int(whole * 0.9), times=1)
                status, text, err, _ = run([endpoint], limit=60)
                carried = relay.counters()[endpoint]
                report.check(carried["broken"] == 1 and status == 0 and text == expected,
                             f"{name}: loading goes on after a connection lost at 90 % of {whole / 1e6:.0f} MB"
                             + ("" if status == 0 else f": status {status}, {err.strip()[-200:]}"))
                report.note(f"{carried['up'] / 1e6:.1f} MB there in all, over {carried['connections']} connections")


def check_worker_killed():
    """The worker's end in the middle of generating, and one that stands still."""
    for how, signal_ in (("killed", 9), ("stopped", 19)):
        with RPCServer("swiftlet") as worker:
            command = [SWIFTLET, "run", "--model", str(GEMMA), "--workers", worker.endpoint, "--no-local", "--no-progress", "--worker-timeout",
                       str(TIMEOUT), "--raw", "--prompt", PROMPTS[0], "--n-predict", "2000", "--ignore-eos", "--ctx-size", "2048"]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdout.read(20)
            started = time.monotonic()
            os.kill(worker.process.pid, signal_)
            try:
                out, err = process.communicate(timeout=TIMEOUT + OVERHEAD)
                status = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                status = None
            if signal_ == 19:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, 18)
            result = (status, "", err.decode(errors="replace"), time.monotonic() - started)
            wrong = complaint(result, worker.endpoint)
            report.check(wrong is None, f"a worker {how} while it computes: " + (wrong or f"{result[2].strip().splitlines()[-1]!r} after {result[3]:.1f} s"))


def main():
    need_swiftlet()
    check_broken()
    check_resume()
    check_cuts()
    check_worker_killed()
    report.finish()


if __name__ == "__main__":
    main()
