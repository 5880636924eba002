"""Is a head right and alive over slow and lossy links, and how far is it from what the link allows?

A worker sits behind a link that link_shaper.py makes bad; the head keeps none of the model (`--no-local`), so that every step crosses it. First
the link itself is measured: what it does is to be what was asked of it.
"""

import contextlib
import json
import socket
import sys
import threading
import time

from interop import GEMMA, SHORT, TEXT, Report, need_swiftlet, stop
from peers_wire import HEAD_PORT, HeadMachine, WorkerMachine, inside, new_token, timed
from shaped_link import ShapedLink, arrivals
from wire import Wire, possible, wait_for

report = Report()
HEAD = ["--parallel", "4", "--ctx-size", "2048"]
# Name; round trip in ms; Mbit/s (0: as much as comes); percent lost.
LINKS = [("20 ms", 20, 0, 0), ("100 ms", 100, 0, 0), ("300 ms", 300, 0, 0), ("20 ms, 1 % lost", 20, 0, 1), ("20 ms, 10 Mbit/s", 20, 10, 0)]
PATIENCE = 600


def echo(node):
    """Has a node send each datagram at port 9000 back; gives what closes the socket."""
    def open_socket():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("", 9000))
        return sock

    sock = inside(node, open_socket)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                sock.sendto(*sock.recvfrom(2048))

    threading.Thread(target=serve, daemon=True).start()
    return sock


def round_trips(node, address, count, patience):
    """Seconds of each of `count` datagrams there and back that arrived."""
    def ask():
        times = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(patience)
            for number in range(count):
                began = time.monotonic()
                sock.sendto(number.to_bytes(4, "big"), (address, 9000))
                with contextlib.suppress(TimeoutError):
                    while int.from_bytes(sock.recv(64), "big") != number:
                        pass
                    times.append(time.monotonic() - began)
        return times

    return inside(node, ask)


def transfer(source, target, count):
    """Bytes a second of a TCP stream of `count` bytes from one node to the other, until the last is there."""
    listener = inside(target, lambda: socket.create_server(("", 9001)))

    def send():
        with socket.create_connection((target.address, 9001)) as sock:
            sock.sendall(bytes(count))

    thread = threading.Thread(target=lambda: inside(source, send), daemon=True)
    thread.start()
    with listener, listener.accept()[0] as sock:
        began, got = time.monotonic(), 0
        while got < count:
            piece = sock.recv(1 << 20)
            if not piece:
                stop("the transfer ended early")
            got += len(piece)
    thread.join()
    return count / (time.monotonic() - began)


def check_link(one, other, link):
    """Does the link do what it is told?"""
    with echo(other):
        for asked in (20, 100, 300):
            link.be(asked)
            times = sorted(round_trips(one, other.address, 5 if SHORT else 20, 5))
            found = times[len(times) // 2] * 1000 if times else -1
            report.check(asked <= found <= asked + 10, f"a link of {asked} ms: a datagram is there and back in {found:.1f} ms")
        link.be(2, loss=10)
        count = 200 if SHORT else 1000
        arrived = len(round_trips(one, other.address, count, 0.05))
        # Two chances of ten percent to be lost: 19 %.
        lost = 100 * (1 - arrived / count)
        report.check(10 < lost < 30, f"a link that loses 10 % each way: {lost:.1f} % of {count} datagrams do not come back (19 % expected)")
        link.be(2)
        link.ask("cut")
        report.check(not round_trips(one, other.address, 3, 0.1), "a link that is cut carries nothing")
        link.ask("mend")
        report.check(len(round_trips(one, other.address, 3, 2)) == 3, "mended, it carries everything")
    for rate, count in ((10, 3 << 20), (100, 30 << 20)):
        link.be(20, rate)
        found = transfer(one, other, count) * 8 / 1e6
        report.check(0.75 * rate <= found <= 1.05 * rate, f"a link of {rate} Mbit/s: a TCP stream gets {found:.1f}")
    link.be(0)
    report.note(f"as fast as it goes: {transfer(one, other, 256 << 20) * 8 / 1e6:.0f} Mbit/s")


def completion(head, prompt, count):
    """What a prompt is answered with, and the timings of it."""
    def ask():
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", HEAD_PORT, timeout=PATIENCE)
        with contextlib.closing(connection):
            body = dict(prompt=prompt, n_predict=count, temperature=0, cache_prompt=False)
            connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = json.loads(answer.read())
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {value}")
            return value

    return inside(head.node, ask)


def questions(head):
    """Texts and speeds of a long prompt and of a long answer."""
    long = completion(head, TEXT.read_text()[:2200], 2)
    short = completion(head, "The lighthouse keeper opened the door and", 16)
    return [long["content"], short["content"]], long["timings"]["prompt_per_second"], short["timings"]["predicted_per_second"]


def check_head(wire, token, link, worker, expected, name, round_trip, rate, loss):
    link.be(round_trip, rate, loss)
    before = link.carried()
    head = HeadMachine(wire, token).start(GEMMA, *HEAD, "--no-local")
    try:
        used = timed(lambda: not head.program.alive() or head.uses(worker.id), PATIENCE, 0.1)
        if used is None or not head.program.alive():
            report.check(False, f"{name}: the worker is used: {head.program.text()[-800:]}")
            return
        head.ready(PATIENCE)
        brought = link.carried() - before
        bound = f", at least {brought * 8 / rate / 1e6:.1f} by its rate" if rate else ""
        texts, prefill, decode = questions(head)
        report.check(
            texts == expected,
            f"{name}: the answers of one machine; in use {used:.1f} s after the start with {brought / 1e6:.1f} MB brought{bound}; "
            f"prefill {prefill:.0f} tokens/s, decode {decode:.2f}, at most {1000 / round_trip:.1f} by its round trip")
        report.check(arrivals(head) == 1, f"{name}: the worker was never given up")
    except (RuntimeError, OSError) as error:
        report.check(False, f"{name}: {error}: {head.program.text()[-800:]}")
    finally:
        head.program.end()


def check_resumption(wire, token, link, worker, expected):
    """Does a transfer that is cut go on where it was, if the worker has a cache; and does the next start bring next to nothing?"""
    link.be(2, 100)
    before = link.carried()
    head = HeadMachine(wire, token).start(GEMMA, *HEAD, "--no-local")
    try:
        half = timed(lambda: link.carried() - before > 100e6, 60, 0.05)
        link.ask("cut")
        time.sleep(12)
        link.ask("mend")
        used = timed(lambda: head.uses(worker.id), PATIENCE, 0.1)
        brought = (link.carried() - before) / 1e6
        texts, _, _ = questions(head)
        report.check(
            half is not None and used is not None and texts == expected and 240 < brought < 300,
            f"a transfer that was cut for 12 s in its middle goes on where it was: {brought:.0f} MB brought in all, in use "
            f"{used or -1:.1f} s after the link was mended")
        head.program.end()
        before = link.carried()
        # The same machine: what others sent is not served to it.
        head.start(GEMMA, *HEAD, "--no-local")
        used = timed(lambda: head.uses(worker.id), PATIENCE, 0.1)
        brought = (link.carried() - before) / 1e6
        report.check(used is not None and brought < 10, f"the next head is in use {used or -1:.1f} s after its start, with {brought:.1f} MB brought")
    finally:
        head.program.end()


def chosen():
    """The links to try: those that are named, else the first of them in a short sample, else all."""
    names = sys.argv[1:]
    if unknown := [name for name in names if name not in [row[0] for row in LINKS]]:
        stop(f"there is no link {unknown}; there are {[row[0] for row in LINKS]}")
    return [row for row in LINKS if row[0] in names] if names else LINKS[:1] if SHORT else LINKS


def main():
    with Wire() as wire:
        token = new_token()
        alone = HeadMachine(wire, token, "alone").start(GEMMA, *HEAD, "--no-mdns").ready()
        expected, prefill, decode = questions(alone)
        alone.program.end()
        report.note(f"one machine: prefill {prefill:.0f} tokens/s, decode {decode:.2f}")
        worker = WorkerMachine(wire, token)
        link = ShapedLink(worker.node)
        if not sys.argv[1:] and not SHORT:
            check_link(alone.node, worker.node, link)
        link.be(0)
        worker.start().ready()
        for row in chosen():
            check_head(wire, token, link, worker, expected, *row)
        worker.program.end()
        if not sys.argv[1:]:
            worker.start("--cache").ready()
            check_resumption(wire, token, link, worker, expected)
            worker.program.end()


if __name__ == "__main__":
    need_swiftlet()
    why = possible()
    if why:
        stop(why)
    main()
    report.finish()
