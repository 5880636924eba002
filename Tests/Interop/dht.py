"""Our node of the Mainline DHT among libtorrent's: each finds what the other announces, over IPv4 and IPv6, on loopback alone."""

import json
import os
import pathlib
import queue
import random
import socket
import subprocess
import sys
import threading
import time

try:
    import libtorrent
except ImportError:
    libtorrent = None

from interop import SWIFTLET, Report

PROBE = pathlib.Path(os.environ.get("PEER_PROBE", pathlib.Path(SWIFTLET).parent / "peer-probe"))
report = Report()


class Probe:
    """Our node, which does what it is told and says what it finds."""

    def __init__(self, host, *bootstrap):
        self.program = subprocess.Popen(
            [PROBE, "dht", host, *bootstrap], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.told = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.port = self.wait("port")["port"]

    def read(self):
        for line in self.program.stdout:
            self.told.put(json.loads(line))

    def say(self, line):
        self.program.stdin.write(line + "\n")

    def wait(self, word, limit=20):
        """The next line that has the word, or nothing."""
        end = time.monotonic() + limit
        while (left := end - time.monotonic()) > 0:
            try:
                line = self.told.get(timeout=left)
            except queue.Empty:
                return None
            if word in line:
                return line
        return None

    def look(self, key):
        """What is found until the search ends; nothing if it does not."""
        self.say(f"look {key}")
        found, end = set(), time.monotonic() + 70
        while time.monotonic() < end:
            line = self.told.get(timeout=70)
            if "found" in line:
                found |= set(line["found"])
            if "ended" in line:
                return found
        return None

    def stop(self):
        self.say("stop")
        self.program.stdin.close()
        self.program.wait(20)


def session(host):
    shown = f"[{host}]" if ":" in host else host
    return libtorrent.session({
        "listen_interfaces": f"{shown}:0", "enable_dht": True, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
        "dht_bootstrap_nodes": "", "dht_restrict_routing_ips": False, "dht_restrict_search_ips": False, "dht_enforce_node_id": False,
        "dht_ignore_dark_internet": False, "dht_prefer_verified_node_ids": False, "allow_multiple_connections_per_ip": True,
        "alert_mask": libtorrent.alert.category_t.dht_notification | libtorrent.alert.category_t.dht_operation_notification
        | libtorrent.alert.category_t.status_notification})


def peers_of(theirs, key, limit=8):
    """What libtorrent finds of a key."""
    theirs.dht_get_peers(libtorrent.sha1_hash(bytes.fromhex(key)))
    found, end = set(), time.monotonic() + limit
    while time.monotonic() < end and not found:
        for alert in theirs.pop_alerts():
            if isinstance(alert, libtorrent.dht_get_peers_reply_alert):
                found |= {tuple(peer) for peer in alert.peers()}
        time.sleep(0.05)
    return found


def until(condition, limit=30):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.3)
    return None


def ask(host, port, datagram, limit=3):
    """One datagram to our node, and its answer."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(limit)
        sender.sendto(datagram, (host, port))
        try:
            # Whoever asks is asked in turn whether it is there.
            while b"1:y1:q" in (answer := sender.recv(4096)):
                pass
            return answer
        except socket.timeout:
            return b""


def together(host):
    ours = Probe(host)
    theirs = [session(host) for _ in range(4)]
    time.sleep(0.5)
    for one in theirs:
        one.add_dht_node((host, ours.port))

    def good():
        ours.say("status")
        return (ours.wait("good") or {}).get("good", 0) >= 3

    report.check(until(good), f"{host}: libtorrent's nodes come into our table")

    key = "11" * 20
    ours.say(f"announce {key} 4242")
    found = until(lambda: {peer for peer in peers_of(theirs[1], key) if peer[1] == 4242})
    report.check(found, f"{host}: libtorrent finds what we announce: {found}")

    key = "22" * 20
    theirs[2].dht_announce(libtorrent.sha1_hash(bytes.fromhex(key)), 7777, 0)
    found = until(lambda: {peer for peer in ours.look(key) or () if peer.endswith(":7777")})
    report.check(found, f"{host}: we find what libtorrent announces: {found}")

    name = b"2:id20:abcdefghij0123456789"
    answer = ask(host, ours.port, b"d1:ad" + name + b"e1:q4:ping1:t2:aa1:y1:qe")
    report.check(b"1:y1:r" in answer and b"2:ip" in answer, f"{host}: a ping is answered: {answer[:60]}")
    answer = ask(host, ours.port, b"d1:ad" + name + b"6:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:ab1:y1:qe")
    report.check(b"1:y1:r" in answer and (b"6:nodes6" if ":" in host else b"5:nodes") in answer, f"{host}: find_node is answered with nodes: {len(answer)} bytes")
    answer = ask(host, ours.port, b"d1:ad" + name + b"e1:q3:foo1:t2:ac1:y1:qe")
    report.check(b"i204e" in answer, f"{host}: an unknown method is refused: {answer[:60]}")

    rng = random.Random(1)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(5000):
            sender.sendto(rng.randbytes(rng.randrange(0, 1400)), (host, ours.port))
    key = "33" * 20
    theirs[3].dht_announce(libtorrent.sha1_hash(bytes.fromhex(key)), 8888, 0)
    found = until(lambda: {peer for peer in ours.look(key) or () if peer.endswith(":8888")})
    report.check(found, f"{host}: after 5,000 datagrams of chance all is as before: {found}")
    ours.stop()
    report.check(ours.program.returncode == 0, f"{host}: our node stops")


if libtorrent is None:
    sys.exit("there is no libtorrent in this Python")
for host in ("127.0.0.1", "::1"):
    together(host)
report.finish()
