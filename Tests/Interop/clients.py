"""Many clients at one worker, well-behaved and not: each gets right answers and its share, and nobody's fate is another's.

Stock heads generate at once, among connections that only wait. One is killed in the middle of its prompt. Clients that send
a byte now and then, announce absurd sizes, never greet, or stay idle for too long. The memory that may be lent, the machines
that may connect, IPv6, the figures for Prometheus, and the end by SIGTERM.
"""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.request

from interop import GEMMA, PROMPTS, ROOT, SCRATCH, SHORT, RPCServer, Report, free_port
from worker import HELLO, ask, exact, greeted, message, record

report = Report()
CLIENTS = 4 if SHORT else 8
CONNECTIONS = 64
# Its number on the wire.
MUL_MAT = 29
TOKENS = 48 if SHORT else 128


class Figures:
    """A worker with its figures for Prometheus."""

    def __init__(self, *arguments, **options):
        self.port = free_port()
        self.server = RPCServer("swiftlet", "--metrics", self.port, "--log-level", "debug", *arguments, **options)

    def __enter__(self):
        self.server.__enter__()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.read()
                break
            time.sleep(0.05)
        return self

    def __exit__(self, *why):
        return self.server.__exit__(*why)

    def read(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        figures = {}
        for line in lines:
            if not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                # Of all devices together.
                name = name.removeprefix("swiftlet_worker_").split("{")[0]
                figures[name] = figures.get(name, 0) + float(value)
        return figures

    def wait(self, condition, seconds):
        """Seconds until the figures satisfy the condition; None if they do not in time."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            if condition(self.read()):
                return time.monotonic() - started
            time.sleep(0.05)
        return None


# ---------------------------------------------------------------- stock heads at once

def head(server, prompt, count, context=1024, **options):
    """A stock head that generates greedily over the worker, its answer on standard output, its timings on standard error."""
    command = [ROOT / "scripts" / "stock", "llama-completion", "-m", GEMMA, "--rpc", server.endpoint, "-ngl", 99, "-p", prompt,
               "-n", count, "--temp", 0, "-no-cnv", "-t", 1, "--no-display-prompt", "--no-warmup", "-c", context, "--ignore-eos"]
    return subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def finished(process):
    out, err = process.communicate(timeout=600)
    rate = re.findall(r" eval time = .*?([0-9.]+) tokens per second", err.decode(errors="replace"))
    return out.decode(errors="replace").strip("\n"), float(rate[-1]) if rate else 0.0


def check_many(figures):
    server = figures.server
    prompts = [PROMPTS[index % len(PROMPTS)] for index in range(CLIENTS)]
    alone = {prompt: finished(head(server, prompt, TOKENS))[0] for prompt in set(prompts)}
    waiting = [greeted(server) for _ in range(CONNECTIONS - CLIENTS)]
    processes = [head(server, prompt, TOKENS) for prompt in prompts]
    most = 0
    while any(process.poll() is None for process in processes):
        most = max(most, figures.read()["sessions"])
        # The pipes hold more than these programs write.
        time.sleep(0.1)
    results = [finished(process) for process in processes]
    right = sum(text == alone[prompt] for (text, _), prompt in zip(results, prompts))
    rates = [rate for _, rate in results]
    report.check(right == CLIENTS, f"{right} of {CLIENTS} heads at once answer as each does alone; up to {most:.0f} connections")
    # In a sample their loads and ends weigh more than the time in which all of them run.
    limit = 5 if SHORT else 2
    report.check(min(rates) > 0 and max(rates) <= limit * min(rates),
                 f"their rates are within {max(rates) / max(min(rates), 1e-9):.2f} × of each other: {min(rates):.1f} to {max(rates):.1f} tokens/s")
    for connection, handle, base in waiting:
        with connection:
            ask(connection, message(3, struct.pack("<Q", handle)))
    report.check(server.alive(), f"{len(waiting)} connections that waited meanwhile are still served")


def check_kill(figures):
    """SIGKILL of a head in the middle of a graph."""
    server = figures.server
    figures.wait(lambda now: now["sessions"] == 0, 5)
    before = figures.read()["memory_lent_bytes"]
    expected = finished(head(server, PROMPTS[0], TOKENS))[0]
    other = head(server, PROMPTS[0], TOKENS)
    # A prompt long enough to be met in the middle of a graph, whatever the machine.
    victim = head(server, " ".join(PROMPTS * 24), 400, context=4096, start_new_session=True)
    figures.wait(lambda now: now["sessions_computing"] >= 2, 60)
    time.sleep(0.2)
    os.killpg(victim.pid, signal.SIGKILL)
    victim.communicate()
    text, _ = finished(other)
    report.check(text == expected, "another head's answer is right although one was killed in the middle of a graph")
    took = figures.wait(lambda now: now["sessions"] == 0 and now["memory_lent_bytes"] <= before, 5)
    report.check(took is not None, f"the killed head's memory is back within 5 s"
                 + ("" if took is not None else f": {figures.read()}"))


def check_kill_long_graph(figures):
    """A client that vanishes while a single graph computes for many seconds."""
    server = figures.server
    connection, _, _ = greeted(server)
    connection.sendall(long_graph(connection, 100, n=6144))
    size = 3 * 4 * 6144 * 6144
    computing = figures.wait(lambda now: now["sessions_computing"] >= 1, 10)
    connection.close()
    took = figures.wait(lambda now: now["sessions"] == 0 and now["memory_lent_bytes"] < size, 5)
    report.check(computing is not None and took is not None,
                 "the memory of a client that left in the middle of a graph of many seconds is back "
                 + (f"after {took:.2f} s" if took is not None else f"too late: {figures.read()}"))


# ---------------------------------------------------------------- clients that misbehave

def check_slow(figures):
    """A trickle of bytes and absurd sizes, while a head works."""
    server = figures.server
    expected, rate_alone = finished(head(server, PROMPTS[1], TOKENS))
    stop = threading.Event()
    trickles = [greeted(server)[0] for _ in range(8)]

    def trickle():
        header = struct.pack("<BQ", 10, 1 << 20)
        at = 0
        while not stop.wait(0.2):
            for connection in trickles:
                with contextlib.suppress(OSError):
                    connection.send((header + bytes(64))[at % 72:at % 72 + 1] or b"\0")
            at += 1

    thread = threading.Thread(target=trickle)
    thread.start()
    announced = []
    for command in (6, 10, 18):
        connection, handle, base = greeted(server)
        connection.sendall(struct.pack("<BQ", command, 1 << 63) + record(handle, base) + bytes(32))
        announced.append(connection)
    text, rate = finished(head(server, PROMPTS[1], TOKENS))
    stop.set()
    thread.join()
    closed = 0
    for connection in announced:
        connection.settimeout(2)
        with connection, contextlib.suppress(OSError):
            closed += connection.recv(1) == b""
    report.check(text == expected, "a head's answer is right beside 8 clients that trickle and 3 that announce 2^63 bytes")
    report.note(f"its rate: {rate:.1f} tokens/s, {rate_alone:.1f} without them")
    report.check(closed == 3, f"{closed} of 3 that announced 2^63 bytes are closed")
    for connection in trickles:
        connection.close()


def closes_within(connection, seconds):
    connection.settimeout(seconds)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def check_timeouts():
    with RPCServer("swiftlet", "--greeting-timeout", 1, "--stall-timeout", 1, "--idle-timeout", 3, "--max-connections", 6,
                   "--graph-timeout", 1) as server:
        silent = socket.create_connection(("127.0.0.1", server.port))
        report.check(closes_within(silent, 5), "a connection that does not greet is closed")
        stalled, handle, base = greeted(server)
        stalled.sendall(struct.pack("<BQ", 6, 305 + 4096) + record(handle, base))
        report.check(closes_within(stalled, 5), "one that stops in the middle of a message is closed")
        idle, _, _ = greeted(server)
        report.check(closes_within(idle, 8), "one that is idle for longer than it may is closed")
        busy, _, _ = greeted(server)
        handle = struct.unpack("<QQ", ask(busy, message(0, struct.pack("<IQ", 0, 16 << 20))))[0]
        base = struct.unpack("<Q", ask(busy, message(3, struct.pack("<Q", handle))))[0]
        # Rows at distances of 0: 2^40 products over 8 MiB.
        wide = [bytearray(record(handle, base, ne=(1 << 20, 1 << 10, 1, 1), id=number)) for number in (2, 3)]
        for source in wide:
            struct.pack_into("<4I", source, 36, 4, 0, 0, 0)
        product = record(handle, base + (8 << 20), ne=(1 << 10, 1 << 10, 1, 1), operation=MUL_MAT, sources=(2, 3), id=1)
        busy.sendall(message(10, struct.pack("<IQIQI", 0, 0, 1, 1, 3) + product + bytes(wide[0]) + bytes(wide[1])))
        closed = closes_within(busy, 10)
        time.sleep(0.1)
        report.check(closed and "s of work" in server.tail(), "a graph of 2^40 products over 8 MiB is refused")
        many = [greeted(server)[0] for _ in range(6)]
        extra = socket.create_connection(("127.0.0.1", server.port))
        with contextlib.suppress(OSError):
            extra.sendall(HELLO)
        report.check(closes_within(extra, 5), "a connection beyond --max-connections is turned away")
        for connection in many:
            connection.close()
        report.check(server.alive(), "the worker runs on")


def check_frozen():
    """A client that asks for much and reads nothing."""
    with RPCServer("swiftlet", "--stall-timeout", 2) as server:
        connection, _, _ = greeted(server)
        size = 64 << 20
        handle = struct.unpack("<QQ", ask(connection, message(0, struct.pack("<IQ", 0, size))))[0]
        base = struct.unpack("<Q", ask(connection, message(3, struct.pack("<Q", handle))))[0]
        connection.sendall(message(8, record(handle, base, ne=(size // 4, 1, 1, 1)) + struct.pack("<QQ", 0, size)))
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline and "stalled" not in server.tail():
            time.sleep(0.1)
        report.check("stalled" in server.tail(), "a client that does not read its answer is closed")
        connection.close()


# ---------------------------------------------------------------- what is lent, and to whom

def check_memory():
    with Figures("--memory", "64M") as figures:
        server = figures.server
        one, _, _ = greeted(server)
        two, _, _ = greeted(server)
        ask_for = lambda connection, size: struct.unpack("<QQ", ask(connection, message(0, struct.pack("<IQ", 0, size))))  # noqa: E731
        free_of = lambda connection: struct.unpack("<QQ", ask(connection, message(11, struct.pack("<I", 0))))  # noqa: E731
        before, total = free_of(two)
        handle, _ = ask_for(one, 40 << 20)
        after, _ = free_of(two)
        report.check(total == 64 << 20 and 40 << 20 <= before - after <= 41 << 20,
                     f"of {total >> 20} MiB lent, {before >> 20} are reported free, then {after >> 20}, when another client has 40")
        report.check(handle != 0 and ask_for(two, 40 << 20)[0] == 0, "what is not there is not lent")
        one.close()
        took = figures.wait(lambda now: now["memory_lent_bytes"] < 1 << 20, 5)
        report.check(took is not None and ask_for(two, 40 << 20)[0] != 0, "what a client gave back is lent again")
        two.close()


def check_places():
    with RPCServer("swiftlet", "--allow", "10.0.0.0/8,192.168.1.7") as server:
        connection = socket.create_connection(("127.0.0.1", server.port))
        report.check(closes_within(connection, 5), "an address that --allow does not name is turned away")
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        report.note("LEFT OUT: this machine has no IPv6, so nothing is said of it")
        return
    port = free_port()
    process = subprocess.Popen(
        [os.environ.get("SWIFTLET") or str(ROOT / ".build" / "release" / "swiftlet"), "worker", "-H", "127.0.0.1,::1", "-p", str(port),
         "--allow", "::1", "--log-format", "json"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    lines = [json.loads(process.stderr.readline()) for _ in range(2)]
    report.check([line["message"] for line in lines] == [f"listening on 127.0.0.1:{port}", f"listening on [::1]:{port}"]
                 and all(line["level"] == "notice" and line["time"] for line in lines), "log lines are JSON where that is asked for")
    with socket.create_connection(("::1", port)) as connection:
        report.check(len(ask(connection, HELLO)) == 28, "IPv6 clients are served, at the second of two addresses")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        report.check(closes_within(connection, 5), "IPv4 clients are not, where only ::1 is allowed")
    process.send_signal(signal.SIGTERM)
    report.check(process.wait(15) == 0, "SIGTERM ends the worker with status 0")
    process.stderr.close()


def long_graph(connection, count, n=2048):
    """A graph of so many products of matrices, and a read of the first result's row behind it, not yet sent."""
    size = 3 * 4 * n * n
    handle = struct.unpack("<QQ", ask(connection, message(0, struct.pack("<IQ", 0, size))))[0]
    base = struct.unpack("<Q", ask(connection, message(3, struct.pack("<Q", handle))))[0]
    matrix = lambda number, at, **more: record(handle, base + at, ne=(n, n, 1, 1), id=number, **more)  # noqa: E731
    nodes = list(range(3, 3 + count))
    tensors = [matrix(1, 0), matrix(2, 4 * n * n)]
    tensors += [matrix(node, 8 * n * n, operation=MUL_MAT, sources=(1, 2)) for node in nodes]
    graph = message(10, struct.pack("<IQI", 0, 0, len(nodes)) + b"".join(struct.pack("<Q", node) for node in nodes)
                    + struct.pack("<I", len(tensors)) + b"".join(tensors))
    return graph + message(8, matrix(3, 8 * n * n) + struct.pack("<QQ", 0, 4 * n))


def check_stop_in_a_graph():
    """SIGTERM in the middle of a graph of a second or more."""
    with Figures("--grace", 60) as figures:
        server = figures.server
        busy, _, _ = greeted(server)
        busy.sendall(long_graph(busy, 10))
        figures.wait(lambda now: now["sessions_computing"] >= 1, 10)
        server.process.send_signal(signal.SIGTERM)
        busy.settimeout(60)
        started = time.monotonic()
        answer = exact(busy, struct.unpack("<Q", exact(busy, 8))[0])
        report.check(len(answer) == 4 * 2048, f"a graph that is computed when SIGTERM comes is answered, {time.monotonic() - started:.1f} s later")
        report.check(server.process.wait(15) == 0, "then the worker ends with status 0")


def check_stop():
    """SIGTERM: what was asked for is answered, then the worker ends."""
    with RPCServer("swiftlet") as server:
        idle, _, _ = greeted(server)
        busy, handle, base = greeted(server)
        values = struct.pack("<4f", 1, 2, 3, 4)
        busy.sendall(message(6, record(handle, base) + struct.pack("<BQ", 0, 0) + values)
                     + message(8, record(handle, base) + struct.pack("<QQ", 0, 16)))
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        busy.settimeout(10)
        exact(busy, 8)
        report.check(exact(busy, 16) == values, "what was asked before SIGTERM is answered")
        report.check(server.process.wait(15) == 0, "the worker ends with status 0, idle connections or not")
        idle.close()
        busy.close()


def main():
    with Figures() as figures:
        check_many(figures)
        check_kill(figures)
        check_kill_long_graph(figures)
        check_slow(figures)
    check_timeouts()
    check_frozen()
    check_memory()
    check_places()
    check_stop()
    check_stop_in_a_graph()
    report.finish()


if __name__ == "__main__":
    main()
