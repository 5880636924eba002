"""Private networks behind routers, on one "internet" of namespaces on this machine.

An `Internet` is a `Wire`; its addresses are of a network that is not private, so that routers believe it, and nothing has a way out of it. A
`Router` is a namespace with a link to the internet (eth0) and a bridge (inside) for the hosts behind it, and nftables translation of a kind:

    full cone    what comes in for the router goes to its first host, whoever sends it; ports are kept
    restricted   ports are kept, so a host has one port for all whom it writes to; only those who were written to come in
    symmetric    another port for each whom a host writes to; only these come in
    upnp         as restricted, and miniupnpd, which opens ports for hosts that ask by UPnP or NAT-PMP

Multicast is not carried by any of them. As a program of its own this file checks that the kinds do what their names say.

    with Internet() as internet:
        server, router = internet.host(), internet.router("symmetric")
        inside = router.host()
"""

import os
import pathlib
import subprocess
import sys

from interop import SCRATCH, Report, stop
from wire import Namespace, Started, Wire, wait_for

KINDS = ("full cone", "restricted", "symmetric", "upnp")
# A network that is routed to its owner alone, and never on the internet: to be believed public, and to be nobody's.
OUTSIDE = "25.77.0"

RULES = {
    "full cone": """
table inet router {
  chain in { type nat hook prerouting priority -100; iifname "eth0" meta l4proto { tcp, udp } dnat ip to FIRST; }
  chain out { type nat hook postrouting priority 100; oifname "eth0" masquerade; }
  chain input { type filter hook input priority 0; iifname "eth0" drop; }
}
""",
    "restricted": """
table inet router {
  chain out { type nat hook postrouting priority 100; oifname "eth0" masquerade; }
  chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; iifname "inside" accept; }
  chain input { type filter hook input priority 0; iifname "eth0" drop; }
}
""",
    "symmetric": """
table inet router {
  chain out { type nat hook postrouting priority 100; oifname "eth0" masquerade random,fully-random; }
  chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; iifname "inside" accept; }
  chain input { type filter hook input priority 0; iifname "eth0" drop; }
}
""",
    "upnp": """
table inet router {
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
  chain in { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain out { type nat hook postrouting priority 100; jump postrouting_miniupnpd; oifname "eth0" masquerade; }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept; iifname "inside" accept; jump miniupnpd;
  }
  chain input { type filter hook input priority 0; iifname "eth0" drop; }
}
""",
}
DAEMON = """ext_ifname=eth0
listening_ip=inside
enable_natpmp={natpmp}
enable_upnp=yes
secure_mode=yes
system_uptime=no
min_lifetime={shortest}
max_lifetime=86400
upnp_table_name=router
upnp_nat_table_name=router
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
notify_interval=30
uuid=00000000-0000-4000-8000-0000000000{number:02x}
allow 1024-65535 {network}.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


def possible():
    """Why there can be no routers here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("/usr/sbin/nft", "/usr/sbin/miniupnpd"):
        if not os.access(tool, os.X_OK):
            return f"no {tool}: scripts/bootstrap --test installs it"
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "/usr/sbin/nft", "add table inet t; add chain inet t c { type nat hook postrouting priority 100; }; "
         "add rule inet t c masquerade"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"routers cannot be made here: {tried.stderr.strip()}"


class Host(Namespace):
    """A machine with one link, eth0."""

    def __init__(self, wire, switch, bridge, name, address, gateway=None):
        super().__init__(wire, name)
        self.address = address
        switch.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", self.keeper.pid)
        switch.run("ip", "link", "set", name, "master", bridge, "up")
        self.switch, self.link = switch, name
        wire.spaces.append(self)
        self.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        if gateway:
            self.run("ip", "route", "add", "default", "via", gateway)

    def python(self, script, *arguments, environment=None):
        """Starts a script here."""
        return self.start([sys.executable, "-c", script, *arguments], environment)


class Router(Host):
    """A router of a kind, and the network behind it: 192.168.N.0/24."""

    def __init__(self, internet, kind, number, address):
        super().__init__(internet, internet.bridge, "bridge", f"router{number}", address)
        self.kind, self.number = kind, number
        self.network = f"192.168.{number}"
        self.hosts = []
        self.daemon = None
        self.run("ip", "link", "add", "inside", "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        self.run("ip", "address", "add", f"{self.network}.1/24", "dev", "inside")
        self.run("ip", "link", "set", "inside", "up")
        self.run("ip", "route", "add", "default", "dev", "eth0")
        self.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        rules = SCRATCH / f"{self.name}.nft"
        rules.write_text(RULES[kind].replace("FIRST", f"{self.network}.2"))
        self.rules = rules
        self.run("nft", "-f", rules)

    def host(self):
        number = len(self.hosts) + 2
        host = Host(self.wire, self, "inside", f"host{self.number}x{number}", f"{self.network}.{number}", f"{self.network}.1")
        self.hosts.append(host)
        return host

    def start_daemon(self, shortest=5, natpmp=True):
        """Starts miniupnpd; leases of fewer than `shortest` seconds are made as long."""
        settings = SCRATCH / f"{self.name}-miniupnpd.conf"
        settings.write_text(DAEMON.format(
            number=self.number, network=self.network, shortest=shortest, natpmp="yes" if natpmp else "no"))
        self.daemon = self.start(["miniupnpd", "-d", "-f", settings, "-P", f"/run/miniupnpd-{self.number}.pid"])
        wait_for(lambda: "HTTP listening" in self.daemon.text() or not self.daemon.alive(), 10, "miniupnpd")
        if not self.daemon.alive():
            stop(f"miniupnpd: {self.daemon.text()}")

    def restart(self):
        """As after a loss of power: what was opened is forgotten."""
        self.daemon.kill()
        self.run("nft", "delete", "table", "inet", "router")
        self.run("nft", "-f", self.rules)

    def mappings(self):
        """The rules by which miniupnpd lets connections in, as text."""
        listing = self.run("nft", "list", "chain", "inet", "router", "prerouting_miniupnpd")
        return [line.strip() for line in listing.splitlines() if "dnat" in line]


class Internet(Wire):
    """What routers and hosts with addresses of their own are on."""

    def __enter__(self):
        why = possible()
        if why:
            stop(why)
        try:
            self.bridge = Namespace(self, "bridge")
            self._add_bridge("bridge")
        except BaseException:
            self.close()
            raise
        self.count, self.spaces = 0, [self.bridge]
        return self

    def foreign_links(self):
        """Links in its namespaces that are none between them."""
        known = {"lo", "bridge", "eth0", "inside", *(space.name for space in self.spaces)}
        links = [line.split(":")[1].split("@")[0].strip() for space in self.spaces for line in space.run("ip", "-o", "link").splitlines()]
        return [link for link in links if link not in known]

    def watch_outside(self):
        """Counts what this machine's own links send, until `check_nothing_left`."""
        self.watch = started(Started(self, [sys.executable, "-c", OUTGOING, OUTSIDE], SCRATCH / "outgoing.log"))

    def check_nothing_left(self, report, what):
        sent, foreign = counted(self.watch), self.foreign_links()
        report.check(not foreign, f"{what}: {len(self.spaces)} namespaces have no links but between them{' and ' if foreign else ''}{', '.join(foreign)}")
        strange = sent["of_it"]
        report.check(not strange, f"{what}: of {sent['sent']} packets that this machine sent meanwhile by {', '.join(sent['links'])}, "
                     f"{len(strange)} are theirs{': ' if strange else ''}{', '.join(strange[:3])}")

    def _address(self):
        self.count += 1
        return f"{OUTSIDE}.{self.count}"

    def host(self):
        address = self._address()
        return Host(self, self.bridge, "bridge", f"out{self.count}", address)

    def router(self, kind, address=None):
        address = address or self._address()
        self.routers = getattr(self, "routers", 0) + 1
        return Router(self, kind, self.routers, address)


# Sends a datagram to each place from one port, and prints what comes back; then waits for whatever else comes to that port.
ASK = """
import json, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 4000))
s.settimeout(5)
for place in sys.argv[1:]:
    host, port = place.split(":")
    s.sendto(b"who am I", (host, int(port)))
    print(json.dumps({"seen": json.loads(s.recv(500))}), flush=True)
s.settimeout(60)
while True:
    data, sender = s.recvfrom(500)
    print(json.dumps({"came": data.decode(), "from": sender[0]}), flush=True)
"""
# Answers each datagram with where it came from; what it reads on its input ("host port text") it sends there.
ANSWER = """
import json, socket, sys, threading
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", int(sys.argv[1])))
def send():
    for line in sys.stdin:
        host, port, text = line.split()
        s.sendto(text.encode(), (host, int(port)))
        print(json.dumps({"sent": text}), flush=True)
threading.Thread(target=send, daemon=True).start()
print(json.dumps({"ready": True}), flush=True)
while True:
    data, sender = s.recvfrom(500)
    s.sendto(json.dumps(sender).encode(), sender)
"""
# Tells of each IPv4 packet on any link here.
COUNT = """
import json, socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
print(json.dumps({"ready": True}), flush=True)
while True:
    frame = s.recv(2000)
    if frame[12:14] == b"\\x08\\x00":
        print(json.dumps({"from": socket.inet_ntoa(frame[26:30]), "to": socket.inet_ntoa(frame[30:34])}), flush=True)
"""

# Counts what each link but the loopback sends, and says on asking how much that was, and what of it goes to an internet of these or to the
# ports that nodes and tables have: what a program would send that was started outside of all namespaces.
OUTGOING = """
import json, select, socket, sys
OUTGOING_PACKET = 4
links = {}
for number, name in socket.if_nameindex():
    if name != "lo":
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        s.bind((name, 3))
        links[s] = name
sent, of_it = 0, []
print(json.dumps({"ready": True}), flush=True)
while True:
    for ready in select.select([*links, sys.stdin], [], [])[0]:
        if ready is sys.stdin:
            if not sys.stdin.readline():
                sys.exit()
            print(json.dumps({"sent": sent, "links": sorted(links.values()), "of_it": of_it}), flush=True)
            continue
        try:
            frame, source = ready.recvfrom(200)
        except OSError:  # The link is down.
            continue
        if source[2] != OUTGOING_PACKET:
            continue
        sent += 1
        if frame[12:14] == b"\\x08\\x00":
            target, port = socket.inet_ntoa(frame[30:34]), int.from_bytes(frame[36:38], "big")
            if target.startswith(sys.argv[1] + ".") or (frame[23] == 17 and (port in (6881, 25401) or 7000 <= port < 7010)):
                of_it.append(f"{target}:{port}")
"""


def said(program, key):
    return [line for line in program.lines() if key in line]


def started(program):
    wait_for(lambda: said(program, "ready"), 10, f"a program: {program.text()}")
    return program


def counted(watch):
    watch.say("count")
    wait_for(lambda: said(watch, "sent"), 10, "a count of what was sent")
    return said(watch, "sent")[-1]


def check_kind(report, kind):
    with Internet() as internet:
        one, two, stranger = internet.host(), internet.host(), internet.host()
        router = internet.router(kind)
        inside = router.host()
        watch = started(internet.bridge.start([sys.executable, "-c", COUNT]))
        servers = [started(host.python(ANSWER, "5000")) for host in (one, two, stranger)]
        asking = inside.python(ASK, f"{one.address}:5000", f"{two.address}:5000")
        wait_for(lambda: len(said(asking, "seen")) == 2, 10, f"{kind}: {asking.text()}")
        (host_one, port_one), (host_two, port_two) = [line["seen"] for line in said(asking, "seen")]
        report.check(host_one == host_two == router.address, f"{kind}: a host is seen at its router's address")
        if kind == "symmetric":
            report.check(port_one != port_two and 4000 not in (port_one, port_two), f"{kind}: at another port by each ({port_one}, {port_two})")
        else:
            report.check(port_one == port_two == 4000, f"{kind}: at its own port by both ({port_one}, {port_two})")
        # Whoever was written to comes in at the port that it saw; a stranger only at a full cone, and so does another port of the first.
        servers[0].say(f"{router.address} {port_one} friend")
        wait_for(lambda: any(line["came"] == "friend" for line in said(asking, "came")), 5, f"{kind}: an answer")
        other = started(one.python(ANSWER, "5001"))
        servers[2].say(f"{router.address} {port_one} stranger")
        other.say(f"{router.address} {port_one} otherport")
        # What must not come has had its time when something sent later has come.
        wait_for(lambda: said(servers[2], "sent") and said(other, "sent"), 5, f"{kind}: sending")
        servers[0].say(f"{router.address} {port_one} last")
        wait_for(lambda: any(line["came"] == "last" for line in said(asking, "came")), 5, f"{kind}: a later answer")
        came = {line["came"] for line in said(asking, "came")}
        wanted = {"friend", "last"} | ({"stranger", "otherport"} if kind == "full cone" else set())
        report.check(came == wanted, f"{kind}: comes in: {', '.join(sorted(came))}")
        # Multicast of inside stays there.
        inside.run(sys.executable, "-c",
                   "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.setsockopt(0, 33, 8); "
                   "[s.sendto(b'x', ('239.255.255.250', 1900)) for _ in range(3)]")
        servers[0].say(f"{router.address} {port_one} end")
        wait_for(lambda: any(line["came"] == "end" for line in said(asking, "came")), 5, f"{kind}: the end")
        places = {(line["from"], line["to"]) for line in said(watch, "to")}
        strange = [place for place in places if not all(end.startswith(OUTSIDE + ".") for end in place)]
        report.check(places and not strange, f"{kind}: nothing is on the internet but between addresses of it{': ' + str(strange) if strange else ''}")


def check_nothing_leaves(report):
    """An internet has no link to this machine's own interfaces, and no way to anywhere else."""
    with Internet() as internet:
        inside = internet.router("restricted").host()
        watch = started(inside.python(OUTGOING, OUTSIDE))
        inside.run(sys.executable, "-c", f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('{OUTSIDE}.99', 9))")
        report.check(counted(watch)["of_it"] == [f"{OUTSIDE}.99:9"], "what a machine sends is seen by whoever counts there")
        report.check(not internet.foreign_links(), f"{', '.join(space.name for space in internet.spaces)} have no links but between them")
        mine = pathlib.Path("/proc/net/dev").read_text()
        report.check("router1" not in mine and "host1x2" not in mine, "this machine's own interfaces are as they were")


if __name__ == "__main__":
    report = Report()
    for kind in KINDS:
        check_kind(report, kind)
    check_nothing_leaves(report)
    report.finish()
