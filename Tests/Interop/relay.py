#!/usr/bin/env python3
"""A TCP relay on the loopback that delays, limits, counts and breaks off.

    relay.py HOST:PORT… [--delay MS] [--rate MB_PER_S [--shared]]      relay to each, at ports that are printed
    relay.py --measure [--delay MS]                                    how precise it is here

In a program: `with Relay("127.0.0.1:50052", delay=0.001) as relay:` gives `relay.endpoints`, `relay.counters()`,
`relay.change(delay=0)`, `relay.cut()`, `relay.silence()` and `relay.heal()`. It runs in a process of its own, so that its time is not the
test's. What stands for a target of IPv6 listens on IPv6 itself.

Each direction of each connection keeps the order and the pieces in which bytes came. A piece leaves `delay` seconds after it came,
and where there is a rate not before the link has carried what came earlier: a link is a direction of one target, or of all
with --shared. Connecting itself is not delayed. The last 80 µs before a piece is due are spent looking at the clock.
"""

import argparse
import collections
import contextlib
import ctypes
import heapq
import json
import os
import select
import socket
import statistics
import struct
import subprocess
import sys
import time

SPIN = 80e-6
PIECE = 1 << 18
QUEUE = 32 << 20
DIRECTIONS = ("up", "down")  # to the target, and back


class Timer:
    """Wakes an epoll at a time of the monotonic clock; epoll's own time-out counts in milliseconds."""

    def __init__(self):
        self.library = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self.library.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
        if self.descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def wake(self, when):
        nanoseconds = max(1, int(when * 1e9))
        value = struct.pack("<4q", 0, 0, nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000)
        self.library.timerfd_settime(self.descriptor, 1, value, None)

    def clear(self):
        try:
            os.read(self.descriptor, 8)
        except BlockingIOError:
            pass


class Link:
    """What carries bytes one after the other at a rate: bytes per second, or None."""

    def __init__(self, rate):
        self.rate = rate
        self.free = 0.0

    def leaves(self, size, now):
        """When so many bytes that came now have left."""
        if not self.rate:
            return now
        self.free = max(self.free, now) + size / self.rate
        return self.free


class Lane:
    """A target and the port that stands for it."""

    def __init__(self, target, settings, links):
        host, _, port = target.rpartition(":")
        self.target = (host.strip("[]"), int(port))
        self.settings = settings
        self.links = links
        self.fault = None
        self.counters = {f"{way}{what}": 0 for way in DIRECTIONS for what in ("", "_turns")} | {"connections": 0, "broken": 0}
        six = ":" in self.target[0]
        here, family = ("::1", socket.AF_INET6) if six else ("127.0.0.1", socket.AF_INET)
        self.listener = socket.create_server((here, 0), family=family, backlog=256)
        self.listener.setblocking(False)
        self.endpoint = f"{'[::1]' if six else here}:{self.listener.getsockname()[1]}"
        self.connections = set()
        self.silenced = False
        self.held = []  # accepted while silenced

    def room(self, way):
        """Bytes that may wait in a direction of a connection before its sender has to."""
        rate = self.links[way].rate
        return max(1 << 18, int(2 * rate * self.settings["delay"])) if rate else QUEUE


class Pipe:
    """One direction of a connection."""

    def __init__(self, connection, way, source, sink):
        self.connection = connection
        self.way = way
        self.source = source
        self.sink = sink
        self.queue = collections.deque()  # (due, bytes), with no bytes for the end
        self.queued = 0
        self.forwarded = 0
        self.blocked = self.scheduled = self.finished = self.full = False


class Connection:
    def __init__(self, lane, near, far):
        self.lane = lane
        self.sockets = (near, far)
        self.pipes = {"up": Pipe(self, "up", near, far), "down": Pipe(self, "down", far, near)}
        self.last = None
        self.silent = self.closed = False


class Loop:
    def __init__(self, targets, settings, rate, shared):
        # Ahead of programs that compute on every core, whose turns are milliseconds long; not everybody may.
        try:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        except OSError:
            pass
        self.epoll = select.epoll()
        self.timer = Timer()
        self.settings = settings
        self.due = []
        self.order = 0
        self.readers = {}
        self.interest = {}
        together = {way: Link(rate) for way in DIRECTIONS}
        self.lanes = [Lane(target, settings, together if shared else {way: Link(rate) for way in DIRECTIONS}) for target in targets]
        for lane in self.lanes:
            self.watch(lane.listener, select.EPOLLIN, lambda _, lane=lane: self.accept(lane))
        self.epoll.register(self.timer.descriptor, select.EPOLLIN)
        self.readers[self.timer.descriptor] = lambda _: self.timer.clear()
        self.commands = b""
        os.set_blocking(0, False)
        self.epoll.register(0, select.EPOLLIN)
        self.readers[0] = lambda _: self.command()

    def watch(self, socket_, events, reader):
        self.readers[socket_.fileno()] = reader
        self.interest[socket_.fileno()] = events
        self.epoll.register(socket_.fileno(), events)

    def want(self, socket_, event, wanted):
        number = socket_.fileno()
        before = self.interest.get(number)
        if before is None:
            return
        after = before | event if wanted else before & ~event
        if after != before:
            self.interest[number] = after
            self.epoll.modify(number, after)

    # ------------------------------------------------------------ connections

    def accept(self, lane):
        try:
            near, _ = lane.listener.accept()
        except OSError:
            return
        if lane.silenced:
            lane.held.append(near)
            return
        try:
            far = socket.create_connection(lane.target, timeout=5)
        except OSError:
            near.close()
            return
        lane.counters["connections"] += 1
        connection = Connection(lane, near, far)
        lane.connections.add(connection)
        for end, read, written in ((near, "up", "down"), (far, "down", "up")):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.watch(end, select.EPOLLIN, lambda events, c=connection, r=read, w=written: self.ready(c, r, w, events))

    def ready(self, connection, read, written, events):
        if events & select.EPOLLOUT:
            pipe = connection.pipes[written]
            pipe.blocked = False
            self.want(pipe.sink, select.EPOLLOUT, False)
            self.send(pipe)
        if not connection.closed and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            self.receive(connection.pipes[read], events)

    def receive(self, pipe, events):
        connection, lane = pipe.connection, pipe.connection.lane
        if connection.silent or pipe.full:
            if events & (select.EPOLLHUP | select.EPOLLERR):
                self.close(connection)
            return
        try:
            data = pipe.source.recv(1 << 14 if lane.links[pipe.way].rate else PIECE)
        except BlockingIOError:
            return
        except OSError:
            return self.close(connection)
        now = time.monotonic()
        if data and connection.last != pipe.way:
            connection.last = pipe.way
            lane.counters[pipe.way + "_turns"] += 1
        when = lane.links[pipe.way].leaves(len(data), now) + self.settings["delay"]
        pipe.queue.append((when, data))
        pipe.queued += len(data)
        if not data:
            self.want(pipe.source, select.EPOLLIN, False)
        elif pipe.queued > lane.room(pipe.way):
            pipe.full = True
            self.want(pipe.source, select.EPOLLIN, False)
        self.send(pipe)

    def send(self, pipe):
        """Sends what is due, and sees to it that the rest is when it is."""
        connection, lane = pipe.connection, pipe.connection.lane
        while pipe.queue and not pipe.blocked and not connection.closed and not connection.silent:
            due, data = pipe.queue[0]
            if due > time.monotonic():
                if not pipe.scheduled:
                    pipe.scheduled = True
                    self.order += 1
                    heapq.heappush(self.due, (due, self.order, pipe))
                break
            if not data:
                pipe.queue.popleft()
                pipe.finished = True
                try:
                    pipe.sink.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                if all(other.finished for other in connection.pipes.values()):
                    self.close(connection)
                break
            fault = lane.fault if lane.fault and lane.fault["way"] == pipe.way and lane.fault["times"] > 0 else None
            allowed = data[:max(0, fault["after"] - pipe.forwarded)] if fault else data
            sent = 0
            if allowed:
                try:
                    sent = pipe.sink.send(allowed)
                except BlockingIOError:
                    pipe.blocked = True
                    self.want(pipe.sink, select.EPOLLOUT, True)
                    break
                except OSError:
                    return self.close(connection)
            pipe.forwarded += sent
            lane.counters[pipe.way] += sent
            if fault and pipe.forwarded >= fault["after"]:
                fault["times"] -= 1
                lane.counters["broken"] += 1
                if fault["kind"] == "close":
                    return self.close(connection)
                connection.silent = True
                for end in connection.sockets:
                    self.want(end, select.EPOLLIN, False)
                return
            pipe.queued -= sent
            if sent == len(data):
                pipe.queue.popleft()
            else:
                pipe.queue[0] = (due, data[sent:])
        if pipe.full and pipe.queued <= lane.room(pipe.way) // 2:
            pipe.full = False
            self.want(pipe.source, select.EPOLLIN, True)

    def close(self, connection):
        if connection.closed:
            return
        connection.closed = True
        connection.lane.connections.discard(connection)
        for end in connection.sockets:
            self.forget(end)
            end.close()

    def forget(self, end):
        if end.fileno() in self.readers:
            self.epoll.unregister(end.fileno())
            del self.readers[end.fileno()], self.interest[end.fileno()]

    def silence(self, lane):
        lane.silenced = True
        for connection in lane.connections:
            connection.silent = True
            # Not even the end of one side, which epoll tells whether asked or not, is to be seen on the other.
            for end in connection.sockets:
                self.forget(end)

    def heal(self, lane):
        lane.silenced = False
        for connection in [each for each in lane.connections if each.silent]:
            self.close(connection)
        for near in lane.held:
            near.close()
        lane.held = []

    # ------------------------------------------------------------ commands

    def command(self):
        try:
            data = os.read(0, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            sys.exit(0)
        self.commands += data
        while b"\n" in self.commands:
            line, self.commands = self.commands.split(b"\n", 1)
            asked = json.loads(line)
            if "delay" in asked:
                self.settings["delay"] = asked["delay"]
            if "rate" in asked:
                for lane in self.lanes:
                    for link in lane.links.values():
                        link.rate = asked["rate"]
            if "fault" in asked:
                for lane in self.lanes:
                    if asked.get("lane") in (None, lane.endpoint):
                        lane.fault = asked["fault"]
            for lane in self.lanes:
                if "silence" in asked and asked["silence"] in (None, lane.endpoint):
                    self.silence(lane)
                if "heal" in asked and asked["heal"] in (None, lane.endpoint):
                    self.heal(lane)
            if asked.get("cut"):
                for lane in self.lanes:
                    for connection in list(lane.connections):
                        self.close(connection)
            answer = {lane.endpoint: lane.counters | {"open": len(lane.connections)} for lane in self.lanes}
            os.write(1, json.dumps(answer).encode() + b"\n")

    def run(self):
        while True:
            now = time.monotonic()
            while self.due and self.due[0][0] <= now:
                _, _, pipe = heapq.heappop(self.due)
                pipe.scheduled = False
                self.send(pipe)
                now = time.monotonic()
            wait = -1
            if self.due:
                left = self.due[0][0] - now
                if left <= SPIN:
                    wait = 0
                else:
                    self.timer.wake(self.due[0][0] - SPIN)
            for number, events in self.epoll.poll(wait):
                reader = self.readers.get(number)
                if reader:
                    reader(events)


class Relay:
    """The relay in a process of its own; a context manager. Seconds, and bytes per second for each link."""

    def __init__(self, *targets, delay=0.0, rate=None, shared=False):
        self.command = [sys.executable, __file__, *targets, "--delay", str(delay * 1e3)]
        self.command += ["--rate", str(rate / 1e6)] if rate else []
        self.command += ["--shared"] if shared else []

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.endpoints = json.loads(self.process.stdout.readline())
        return self

    def __exit__(self, *unused):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def ask(self, **what):
        self.process.stdin.write(json.dumps(what).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def counters(self):
        """By endpoint: bytes `up` and `down`, `up_turns` and `down_turns` (how often one side spoke after the other had),
        `connections`, how many are `open`, and how many a fault has `broken`."""
        return self.ask()

    def change(self, **settings):
        """delay=, rate= from now on."""
        return self.ask(**settings)

    def fault(self, kind, after, way="up", times=1, endpoint=None):
        """The next `times` connections that carry so many bytes that way are closed (kind "close") just then, or silent
        from then on with their sockets open ("silent")."""
        return self.ask(fault={"kind": kind, "after": after, "way": way, "times": times}, lane=endpoint)

    def silence(self, endpoint=None):
        """From now on nothing comes through, and nobody is told: as when a cable is pulled."""
        return self.ask(silence=endpoint)

    def heal(self, endpoint=None):
        """Ends the silence; what was connected meanwhile is closed."""
        return self.ask(heal=endpoint)

    def cut(self):
        """Closes all connections now."""
        return self.ask(cut=True)


# ---------------------------------------------------------------- its own precision

ECHO = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    peer, _ = listener.accept()
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := peer.recv(1 << 20):
        peer.sendall(data)
"""


@contextlib.contextmanager
def echoing():
    """The address of a server that sends back what it is sent."""
    with subprocess.Popen([sys.executable, "-c", ECHO], stdout=subprocess.PIPE) as echo:
        try:
            yield f"127.0.0.1:{int(echo.stdout.readline())}"
        finally:
            echo.terminate()


def ping(endpoint, size, times):
    """Round trips of so many bytes, in seconds, sorted."""
    host, _, port = endpoint.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found = []
        for _ in range(times):
            started = time.monotonic()
            connection.sendall(bytes(size))
            left = size
            while left:
                left -= len(connection.recv(left))
            found.append(time.monotonic() - started)
            time.sleep(0.001)
        return sorted(found)


def flood(endpoint, size):
    """Bytes per second there and back at once."""
    import threading
    host, _, port = endpoint.rpartition(":")
    with socket.create_connection((host, int(port))) as connection:
        started = time.monotonic()
        thread = threading.Thread(target=connection.sendall, args=(bytes(size),))
        thread.start()
        left = size
        while left:
            left -= len(connection.recv(min(left, 1 << 20)))
        thread.join()
        return size / (time.monotonic() - started)


def measure(delay):
    with echoing() as target:
        def line(name, endpoint, size):
            found = ping(endpoint, size, 500)
            at = lambda share: found[int(share * (len(found) - 1))] * 1e3  # noqa: E731
            print(f"{name:34}{size:8} bytes: median {at(.5):.3f} ms, 5 % {at(.05):.3f}, 95 % {at(.95):.3f}, 99 % {at(.99):.3f}, most {at(1):.3f}")
            return statistics.median(found)

        for size in (1, 10_000):
            line("direct", target, size)
            with Relay(target) as relay:
                none = line("through the relay, no delay", relay.endpoints[0], size)
            with Relay(target, delay=delay) as relay:
                some = line(f"through the relay, {delay * 1e3:g} ms each way", relay.endpoints[0], size)
            print(f"{'added by the delay':34}{size:8} bytes: {(some - none) * 1e3:.3f} ms of {2e3 * delay:g}")
        with Relay(target) as relay:
            print(f"echo of 256 MB: direct {flood(target, 256 << 20) / 1e6:.0f} MB/s, through the relay {flood(relay.endpoints[0], 256 << 20) / 1e6:.0f} MB/s")
        for rate in (10e6, 50e6, 125e6):
            with Relay(target, rate=rate) as relay:
                print(f"limited to {rate / 1e6:.0f} MB/s: {flood(relay.endpoints[0], int(rate)) / 1e6:.1f} MB/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--delay", type=float, default=None, help="milliseconds each way")
    parser.add_argument("--rate", type=float, default=None, help="MB/s of each link")
    parser.add_argument("--shared", action="store_true")
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    if options.measure:
        return measure((options.delay if options.delay is not None else 1) / 1e3)
    loop = Loop(options.targets, {"delay": (options.delay or 0) / 1e3}, options.rate and options.rate * 1e6, options.shared)
    print(json.dumps([lane.endpoint for lane in loop.lanes]), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
