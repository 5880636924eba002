"""Lies by multicast about true nodes, for a namespace of wire.py without Avahi of its own.

    liar.py --records FILE --address OWN --kinds KIND,… [--seconds S | --count N] [--rate R]

FILE has true records as `peer-probe browse` tells them, and the head's place. Kinds take turns:
  names      new names of the right form, with the words of a true record
  replay     a true record under the names that a daemon would give it, at hosts that nobody has
  ports      the same with other ports
  own        the same at this machine
  places     the same at loopback, multicast and no addresses, and at the head's own
  taken      a true record's own name, at hosts that nobody has
  goodbye    a true record taken back
"""

import argparse
import json
import pathlib
import random
import socket
import struct
import time

from multicast import A, GROUP, PTR, SRV, TXT, TYPE, record, text

AAAA = 28
PLACES = ["127.0.0.1", "224.0.0.251", "0.0.0.0", "255.255.255.255", "::1", "::", "ff02::fb", "::ffff:127.0.0.1", "169.254.1.1", "203.0.113.7"]


def label(name):
    return bytes([len(name)]) + name


def packet(records):
    return struct.pack(">HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)


def announcement(name, host, port, entries, addresses, ttl=120):
    instance, target = label(name) + TYPE, label(host) + b"\x05local\x00"
    records = [
        record(TYPE, PTR, instance, ttl, False), record(instance, SRV, struct.pack(">HHH", 0, 0, port) + target, ttl, True),
        record(instance, TXT, entries, ttl, True)]
    for address in addresses:
        kind = AAAA if ":" in address else A
        records.append(record(target, kind, socket.inet_pton(socket.AF_INET6 if kind == AAAA else socket.AF_INET, address), ttl, False))
    return packet(records)


class Liar:
    def __init__(self, known, address, rng):
        self.true, self.head, self.address, self.rng = known["records"], known["head"], address, rng
        self.number = 0

    def nowhere(self):
        return [f"10.77.{self.rng.choice([0, 9])}.{self.rng.randrange(200, 250)}" for _ in range(3)]

    def packet(self, kind):
        self.number += 1
        one = self.rng.choice(self.true)
        name, port = one["found"].encode(), one["port"]
        entries = text([f"{key}={value}".encode() for key, value in one["text"].items()])
        # A daemon's own names for those that are taken, and others.
        other = name + b" #%d" % self.rng.randrange(2, 12)
        host = b"nowhere%d" % self.rng.randrange(1000)
        match kind:
            case "names":
                made = b"node%d %08x-%08x" % (self.number, self.rng.getrandbits(32), self.rng.getrandbits(32))
                return announcement(made, b"made%d" % self.number, port, entries, self.nowhere()[:1], 60)
            case "replay": return announcement(other, host, port, entries, self.nowhere())
            case "ports": return announcement(other, host, self.rng.randrange(1, 65536), entries, self.nowhere())
            case "own": return announcement(other, b"liar", port, entries, [self.address])
            case "places": return announcement(other, host, port, entries, self.rng.sample(PLACES, 3) + [self.head])
            case "taken": return announcement(name, host, port, entries, self.nowhere())
            case "goodbye":
                instance, target = label(name) + TYPE, label(one["host"].split(".")[0].encode()) + b"\x05local\x00"
                records = [record(TYPE, PTR, instance, 0, False), record(instance, TXT, entries, 0, True)]
                records.append(record(instance, SRV, struct.pack(">HHH", 0, 0, port) + target, 0, True))
                for place in one["endpoints"]:
                    if not place.startswith("["):
                        records.append(record(target, A, socket.inet_aton(place.rsplit(":", 1)[0]), 0, True))
                return packet(records)
        raise ValueError(kind)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=pathlib.Path, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--kinds", required=True)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--count", type=float, default=float("inf"))
    parser.add_argument("--rate", type=float, default=1000)
    asked = parser.parse_args()
    liar = Liar(json.loads(asked.records.read_text()), asked.address, random.Random(7))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(asked.address))
    sock.bind(("", 5353))
    kinds = asked.kinds.split(",")
    began, number = time.monotonic(), 0
    while number < asked.count and time.monotonic() - began < asked.seconds:
        sock.sendto(liar.packet(kinds[number % len(kinds)]), GROUP)
        number += 1
        ahead = number / asked.rate - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
    print(f"{number} lies in {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
