"""A flood of mDNS announcements, for a namespace of wire.py without Avahi of its own. None of them is true.

    multicast.py --count N --rate R --tag TAG [--ttl S]

A quarter each of: services of other networks, services that claim the network `TAG`, bare names with nothing behind them, and records
of random bytes. Every name is new.
"""

import argparse
import os
import random
import socket
import struct
import time

TYPE = b"\x09_ggml-rpc\x04_tcp\x05local\x00"
GROUP = ("224.0.0.251", 5353)
PTR, TXT, A, SRV = 12, 16, 1, 33


def record(name, kind, data, ttl, flush):
    return name + struct.pack(">HHIH", kind, 0x8001 if flush else 1, ttl, len(data)) + data


def text(entries):
    return b"".join(bytes([len(entry)]) + entry for entry in entries)


def announcement(label, host, port, entries, address, ttl):
    name = bytes([len(label)]) + label + TYPE
    target = bytes([len(host)]) + host + b"\x05local\x00"
    return [
        record(TYPE, PTR, name, ttl, False), record(name, SRV, struct.pack(">HHH", 0, 0, port) + target, ttl, True),
        record(name, TXT, entries, ttl, True), record(target, A, address, ttl, True)]


def lies(number, tag, ttl, rng):
    """The records of one announcement."""
    label = b"flood %d %d" % (os.getpid(), number)
    host = b"host%d" % number
    address = bytes([10, 78, number >> 8 & 255, number & 255])
    kind = number % 4
    if kind == 0:
        return announcement(label, host, 4000, text([b"net=%016x" % rng.getrandbits(64), b"v=1"]), address, ttl)
    if kind == 1:
        return announcement(label, host, 4001, text([b"net=" + tag, b"v=1", b"id=%032x" % rng.getrandbits(128)]), address, ttl)
    if kind == 2:
        return [record(TYPE, PTR, bytes([len(label)]) + label + TYPE, ttl, False)]
    noise = rng.randbytes(rng.randrange(1, 600))
    label = label + rng.randbytes(20) if rng.random() < 0.5 else rng.randbytes(60)
    return announcement(label[:63], rng.randbytes(8), rng.choice([0, 1, 65535]), noise, rng.choice([b"\0\0\0\0", b"\xff" * 4, address]), ttl)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--tag", required=True)
    parser.add_argument("--ttl", type=int, default=120)
    parser.add_argument("--address", required=True)
    asked = parser.parse_args()
    rng = random.Random(os.getpid())
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(asked.address))
    sock.bind(("", 5353))
    began = time.monotonic()
    for number in range(asked.count):
        records = lies(number, asked.tag.encode(), asked.ttl, rng)
        # A response with authority; its records are answers.
        sock.sendto(struct.pack(">HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records), GROUP)
        ahead = number / asked.rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
    print(f"sent {asked.count} in {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
