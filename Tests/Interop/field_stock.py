"""A stock server that our head treats as people's networks do: alive at the end of each round.

It answers one client at a time, late if another keeps it busy or it was frozen, and ends by SIGPIPE when it writes to a
connection that was closed in the ordinary way meanwhile.
"""

import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import time

from interop import GEMMA, SHORT, SWIFTLET, RPCServer, Server

HELLO = struct.pack("<BQ", 14, 24) + bytes(24)
ROUNDS = int(os.environ.get("SWIFTLET_ROUNDS") or (3 if SHORT else 100))


def greet(server, seconds=10):
    """Whether the server answers a new client's greeting."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as client:
        client.sendall(HELLO)
        return len(client.recv(8)) > 0
    return False


def plan(server, timeout):
    """A head that asks for memory and gives up after so many seconds."""
    return subprocess.run([SWIFTLET, "plan", "-m", GEMMA, "--workers", server.endpoint, "--no-local", "--worker-timeout", str(timeout)],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


def busy_with_another(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(HELLO)
        client.recv(64)
        return plan(server, 1).returncode != 0


def frozen_and_thawed(server):
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        return plan(server, 1).returncode != 0
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def head_ended_by_signal(server):
    head = subprocess.Popen([SWIFTLET, "run", "-m", GEMMA, "--workers", server.endpoint, "--no-local", "-n", "400", "--ignore-eos", "--raw",
                             "-p", "The harbour"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    head.stdout.read(8)
    head.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        head.communicate(timeout=20)
        return True
    head.kill()
    head.communicate()
    return False


def plan_given_up(server):
    head = subprocess.Popen([SWIFTLET, "plan", "-m", GEMMA, "--workers", server.endpoint, "--no-local"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Somewhere between starting and having its answer.
    time.sleep(0.04 * random.random())
    head.kill()
    head.wait()
    return True


def drained_and_resumed(server, head):
    address = f"/v1/nodes/{server.endpoint}"
    good = head.post(address + "/drain", {})[0] == 200
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and state(head, server) != "drained":
        time.sleep(0.02)
    good = good and head.post(address + "/resume", {})[0] == 200
    while time.monotonic() < deadline and state(head, server) not in ("ready", "unused"):
        time.sleep(0.02)
    return good and state(head, server) in ("ready", "unused")


def state(head, server):
    nodes = json.loads(head.get("/v1/nodes")[2])["data"]
    return next((node["state"] for node in nodes if node["address"] == server.endpoint), None)


def check(report):
    for act in (busy_with_another, frozen_and_thawed, head_ended_by_signal, plan_given_up):
        with RPCServer("stock") as server:
            done = good = 0
            for _ in range(ROUNDS):
                good += act(server)
                # It may still have a connection to notice the end of.
                deadline = time.monotonic() + 15
                while server.alive() and not greet(server, 2) and time.monotonic() < deadline:
                    time.sleep(0.05)
                if not server.alive():
                    break
                done += 1
            report.check(done == good == ROUNDS, f"stock server, {act.__name__.replace('_', ' ')}: alive after {done} of {ROUNDS} rounds, {good} as they should be"
                         + ("" if server.alive() else f" (it ended with {server.process.returncode})"))
    with RPCServer("stock") as server, Server(GEMMA, "--workers", server.endpoint, ctx=512) as head:
        good = 0
        for _ in range(ROUNDS):
            good += drained_and_resumed(server, head)
            if not server.alive():
                break
        report.check(good == ROUNDS and server.alive(), f"stock server, drained and resumed: {good} of {ROUNDS} rounds, alive: {server.alive()}")
