#!/usr/bin/env python3
"""A router's port kept open by UPnP and by NAT-PMP: `PortMapper` (by way of `peer-probe map`) with the libraries of this machine, against
miniupnpd in a router of namespaces (`routers.py`).

For each method: a connection from outside comes to a listener inside, at the address and port that are told; another port where the wished one
is taken; the lease renewed; the router gone and back, with all forgotten; taken back at the end. Then a router without either, one that is
behind another, and one that allows nothing.
"""

import os
import sys

import routers
from interop import ROOT, SHORT, Report, stop
from routers import Internet, said, started
from wire import wait_for

PROBE = os.environ.get("SWIFTLET_PEER_PROBE") or ROOT / ".build" / "release" / "peer-probe"
# Seconds that a lease lasts here, and between looks at the router.
LIFETIME = 8
LOOK = 1.5
# Says a word to each who connects.
LISTEN = """
import json, socket, sys
s = socket.create_server(("", int(sys.argv[1])))
print(json.dumps({"ready": True}), flush=True)
while True:
    c, _ = s.accept()
    c.sendall(sys.argv[2].encode())
    c.close()
"""
CONNECT = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)
print(s.recv(100).decode())
"""
DATAGRAM = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
print("answered", s.recv(100).decode())
"""


def mapper(host, port, by, **options):
    options = {"lifetime": LIFETIME, "look": LOOK, "longest": 1, **options}
    if by:
        options["by"] = by
    return host.start([PROBE, "map", port, *[f"{name}={value}" for name, value in options.items()]])


def told(program, key, count=1, patience=20):
    """The last of `key`'s lines when there are so many, or None."""
    lines, _ = wait_for(lambda: said(program, key)[count - 1:], patience)
    return lines[0] if lines else None


def hear(outside, place):
    """What a listener says to who connects to a place from outside; empty if nobody can."""
    host, port = place.rsplit(":", 1)
    return outside.run(sys.executable, "-c", CONNECT, host, port, check=False).strip()


def end(program):
    program.say("stop")
    value, _ = wait_for(lambda: said(program, "stopped"), 20)
    return value


def check_method(report, by):
    with Internet() as internet:
        outside, router = internet.host(), internet.router("upnp")
        inside, neighbour = router.host(), router.host()
        router.start_daemon()
        started(inside.python(LISTEN, "7001", "inside"))
        started(neighbour.python(LISTEN, "7001", "neighbour"))
        started(inside.python(routers.ANSWER, "7002"))

        report.check(not hear(outside, f"{router.address}:7001"), f"{by}: before, nobody comes in")
        one = mapper(inside, 7001, by, udp=7002)
        line = told(one, "mapped")
        if not report.check(line, f"{by}: a port is mapped: {line or one.text()}"):
            return
        report.check(line["mapped"] == f"{router.address}:7001" and line["by"] == by, f"{by}: the external address is told: {line['mapped']}")
        report.check(hear(outside, line["mapped"]) == "inside", f"{by}: a connection from outside comes to the listener inside")
        host, port = line["udp"].rsplit(":", 1)
        answer = outside.run(sys.executable, "-c", DATAGRAM, host, port, check=False)
        report.check("answered" in answer, f"{by}: so does a datagram")

        two = mapper(neighbour, 7001, by)
        other = told(two, "mapped")
        report.check(other and other["mapped"] != line["mapped"], f"{by}: where the port is taken, another: {other and other['mapped']}")
        report.check(other and hear(outside, other["mapped"]) == "neighbour", f"{by}: which leads to who asked")
        report.check(hear(outside, line["mapped"]) == "inside", f"{by}: and the first still leads where it did")
        report.check(end(two), f"{by}: the second ends")
        report.check(len(router.mappings()) == 2, f"{by}: what it had is taken back ({len(router.mappings())} left)")

        # Longer than a lease, watching: it must not go for a moment.
        lasting, _ = wait_for(lambda: len(router.mappings()) != 2, LIFETIME * (1.6 if SHORT else 4), step=0.2)
        report.check(not lasting and len(said(one, "mapped")) == 1, f"{by}: renewed before its {LIFETIME} s are over, and told once")
        report.check(hear(outside, line["mapped"]) == "inside", f"{by}: it still leads inside")

        router.restart()
        failed = told(one, "failed")
        report.check(failed, f"{by}: a router that is gone is told: {failed and failed['failed']}")
        router.start_daemon()
        again = told(one, "mapped", 2, 30)
        report.check(again and again["mapped"] == line["mapped"], f"{by}: when it is back, mapped again: {again and again['mapped']}")
        report.check(hear(outside, line["mapped"]) == "inside", f"{by}: and a connection comes in again")

        # Off and on between two looks: it has forgotten, and says nothing of it.
        router.restart()
        router.start_daemon()
        back, took = wait_for(lambda: len(router.mappings()) == 2, 20, step=0.2)
        report.check(back, f"{by}: a router that has begun anew is noticed ({took:.1f} s)")

        report.check(end(one), f"{by}: the first ends")
        report.check(not router.mappings(), f"{by}: nothing stays at the router ({len(router.mappings())})")
        report.check(not hear(outside, line["mapped"]), f"{by}: and nobody comes in")


def check_choice(report):
    with Internet() as internet:
        outside, router = internet.host(), internet.router("upnp")
        inside = router.host()
        started(inside.python(LISTEN, "7001", "inside"))
        one = mapper(inside, 7001, None)
        failed = told(one, "failed")
        report.check(failed and "NAT-PMP" in failed["failed"] and "UPnP" in failed["failed"], f"no router that answers: {failed and failed['failed']}")
        router.start_daemon(natpmp=False)
        line = told(one, "mapped")
        report.check(line and line["by"] == "UPnP", f"one that knows UPnP alone is asked by that: {line and line['mapped']}")
        report.check(line and hear(outside, line["mapped"]) == "inside", "and a connection comes in")
        end(one)
        report.check(not router.mappings(), "nothing stays")


def check_refusal(report):
    with Internet() as internet:
        router = internet.router("upnp")
        inside = router.host()
        router.start_daemon()
        # Ports below 1024 are not allowed by its settings.
        one = mapper(inside, 700, "UPnP")
        line = told(one, "failed")
        report.check(line and "does not allow" in line["failed"], f"a port that is not allowed: {line and line['failed']}")
        report.check(not router.mappings(), "of which nothing stays at the router")
        end(one)


# A router that has NAT-PMP, an address that is said, and a clock that starts with it. What it is asked it prints.
PRETEND = """
import json, socket, struct, sys, time
began = time.monotonic()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 5351))
print(json.dumps({"ready": True}), flush=True)
while True:
    data, sender = s.recvfrom(100)
    if len(data) < 2:
        continue
    kind, epoch = data[1], int(time.monotonic() - began)
    if kind == 0:
        code = 0 if sys.argv[1] != "refuse" else 2
        address = sys.argv[1] if code == 0 else "0.0.0.0"
        s.sendto(struct.pack("!BBHI", 0, 128, code, epoch) + socket.inet_aton(address), sender)
    elif len(data) == 12:
        inside, outside, lifetime = struct.unpack("!4xHHI", data)
        print(json.dumps({"asked": [kind, inside, outside, lifetime]}), flush=True)
        if sys.argv[2] == "strange":
            # Not an answer to that, cut short, and too long.
            s.sendto(struct.pack("!BBHIHHI", 0, 129 + kind % 2, 0, epoch, 1, 2, 3), sender)
            s.sendto(b"x", sender)
            s.sendto(b"y" * 900, sender)
        s.sendto(struct.pack("!BBHIHHI", 0, 128 + kind, 0, epoch, inside, outside, min(lifetime, 4)), sender)
"""


def check_pretended(report):
    """Routers that miniupnpd is not."""
    with Internet() as internet:
        router = internet.router("restricted")
        inside = router.host()

        pretended = started(router.python(PRETEND, "10.1.2.3", "plain"))
        one = mapper(inside, 7001, "NAT-PMP")
        line = told(one, "failed")
        report.check(line and "10.1.2.3" in line["failed"] and not said(one, "mapped"), f"a router behind another: {line and line['failed']}")
        # It is held nevertheless: the other router may let connections in as well. It grants 4 s, of which half must not go by.
        asked, _ = wait_for(lambda: len(said(pretended, "asked")) >= 3, 12)
        report.check(asked and len(said(one, "failed")) == 1, "whose lease is renewed after half of what it granted, and told once")
        end(one)
        last = said(pretended, "asked")[-1]["asked"]
        report.check(last == [2, 7001, 0, 0], f"and taken back at the end ({last})")
        pretended.kill()

        pretended = started(router.python(PRETEND, "refuse", "plain"))
        one = mapper(inside, 7001, "NAT-PMP")
        line = told(one, "failed")
        report.check(line and "refuses" in line["failed"], f"one that allows nothing: {line and line['failed']}")
        end(one)
        pretended.kill()

        pretended = started(router.python(PRETEND, "25.1.2.3", "strange"))
        one = mapper(inside, 7001, "NAT-PMP")
        line = told(one, "failed", patience=8)
        report.check(one.alive() and not said(one, "mapped") or said(one, "mapped")[0]["mapped"] == "25.1.2.3:7001",
                     f"one that answers strangely first: {line and line['failed'] or said(one, 'mapped')[0]['mapped']}")
        end(one)


def check_double(report):
    with Internet() as internet:
        router = internet.router("upnp", address="10.1.2.3")
        inside = router.host()
        router.start_daemon()
        for by in ("NAT-PMP", "UPnP"):
            one = mapper(inside, 7001, by)
            line = told(one, "failed")
            report.check(line and not said(one, "mapped"), f"{by}: a router behind another that refuses: {line and line['failed']}")
            end(one)


if __name__ == "__main__":
    why = routers.possible()
    if why:
        stop(why)
    if not os.access(PROBE, os.X_OK):
        stop(f"no {PROBE}: build it with 'swift build -c release --product peer-probe'")
    report = Report()
    for kind in routers.KINDS:
        routers.check_kind(report, kind)
    routers.check_nothing_leaves(report)
    for by in ("NAT-PMP", "UPnP"):
        check_method(report, by)
    check_choice(report)
    check_refusal(report)
    check_pretended(report)
    check_double(report)
    report.finish()
