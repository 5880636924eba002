"""Networks of namespaces on this machine, for programs that find each other by multicast.

A `Wire` is a bridge in a namespace of its own; each `Node` on it has a network namespace with one link (eth0), a mount namespace with a /run
of its own, and in these its own D-Bus and Avahi. Nothing touches the host's interfaces or files. A namespace lives as long as the process that
was made with it, and every process ends with this one, so nothing stays behind.

    with Wire() as wire:
        one, two = wire.node(), wire.node()
        program = one.start(["peer-probe", "browse", "tag", "10"])
"""

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

from interop import SCRATCH, stop

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
  </policy>
</busconfig>
"""
AVAHI = """[server]
host-name={name}
use-ipv4=yes
use-ipv6=yes
allow-interfaces=eth0,eth1
cache-entries-max={cache}
[publish]
publish-workstation=no
publish-hinfo=no
[wide-area]
enable-wide-area=no
"""
# Entries of Avahi's cache for each interface; more than its own 4096, so that a flood comes through to whoever browses.
CACHE_ENTRIES = int(os.environ.get("SWIFTLET_AVAHI_CACHE", 65536))
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "LOCALAI_P2P_DISABLE_DHT": "true"}
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _with_parent():
    """In a child: it ends when this process does, however that ends, and hears no Ctrl-C of its own."""
    os.setpgid(0, 0)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def possible():
    """Why no namespaces can be made here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in ("/usr/sbin/avahi-daemon", "/usr/bin/dbus-daemon"):
        if not os.access(tool, os.X_OK):
            return f"no {tool}: scripts/bootstrap --test installs it"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)
    return None if tried.returncode == 0 else f"namespaces cannot be made here: {tried.stderr.strip()}"


class Started:
    """A program in a namespace, its output in a file. It must start no others: they would outlive it."""

    def __init__(self, wire, command, output, environment=None):
        self.path = pathlib.Path(output)
        with open(self.path, "wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT,
                env={**ENVIRONMENT, **(environment or {})}, preexec_fn=_with_parent)
        self.pid = self.process.pid
        wire._started.append(self)

    def say(self, line):
        """A line for the program to read."""
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def text(self):
        return self.path.read_text(errors="replace")

    def lines(self):
        """The lines that are JSON, as values."""
        values = []
        for line in self.text().splitlines():
            with contextlib.suppress(ValueError):
                values.append(json.loads(line))
        return values

    def alive(self):
        return self.process.poll() is None

    def resident(self):
        """Bytes resident in memory that no file backs."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        return 0

    def signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()

    def pause(self):
        self.signal(signal.SIGSTOP)

    def go_on(self):
        self.signal(signal.SIGCONT)

    def end(self, patience=10):
        """SIGTERM, and SIGKILL for what does not end by it; gives the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode


class Namespace:
    """A network and a mount namespace, kept by a process that does nothing."""

    def __init__(self, wire, name):
        self.wire = wire
        self.name = name
        self.count = 0
        script = (
            "mount -t tmpfs tmpfs /run && mkdir -p /run/dbus /run/avahi-daemon && ip link set lo up && echo ready && exec sleep infinity")
        self.keeper = Started(wire, ["unshare", "--net", "--mount", "sh", "-c", script], SCRATCH / f"{name}-keeper.log")
        wait_for(lambda: "ready" in self.keeper.text(), 10, f"namespace {name}: {self.keeper.text()}")

    def inside(self, command):
        return ["nsenter", "--target", str(self.keeper.pid), "--net", "--mount", *map(str, command)]

    def run(self, *command, check=True):
        """Runs a command to its end and gives its output."""
        done = subprocess.run(self.inside(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENVIRONMENT)
        if check and done.returncode != 0:
            stop(f"{self.name}: {' '.join(map(str, command))}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, command, environment=None):
        """Starts a program here; gives a `Started`."""
        self.count += 1
        return Started(self.wire, self.inside(command), SCRATCH / f"{self.name}-{self.count}.log", environment)


class Node(Namespace):
    """A machine on the wire: 10.77.0.N on eth0 and a link-local IPv6 address, with its own D-Bus and Avahi."""

    def __init__(self, wire, number, avahi):
        super().__init__(wire, f"node{number}")
        self.number = number
        self.address = f"10.77.0.{number}"
        self.link = f"port{number}"
        self.daemon = None
        # No waiting for others who might have the address.
        self.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad", check=False)
        wire.bridge.run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.keeper.pid)
        wire.bridge.run("ip", "link", "set", self.link, "master", "bridge", "up")
        self.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad", check=False)
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        (SCRATCH / "bus.conf").write_text(BUS)
        self.bus = self.start(["dbus-daemon", f"--config-file={SCRATCH}/bus.conf", "--nofork", "--nopidfile"])
        wait_for(lambda: self.run("sh", "-c", "test -S /run/dbus/system_bus_socket && echo yes", check=False), 10, "D-Bus's socket")
        if avahi:
            self.start_avahi()

    def start_avahi(self):
        settings = SCRATCH / f"{self.name}-avahi.conf"
        settings.write_text(AVAHI.format(name=self.name, cache=CACHE_ENTRIES))
        self.daemon = self.start(["avahi-daemon", "--no-chroot", "--no-rlimits", "--no-drop-root", "-f", settings])
        wait_for(lambda: "Server startup complete" in self.daemon.text(), 15, f"{self.name}: Avahi: {self.daemon.text()}")

    def stop_avahi(self, kill=False):
        if kill:
            self.daemon.kill()
            self.run("rm", "-f", "/run/avahi-daemon/pid", "/run/avahi-daemon/socket")
        else:
            self.daemon.end()

    def restart_avahi(self, kill=False):
        self.stop_avahi(kill)
        self.start_avahi()

    def link_down(self):
        """As a cable pulled: nothing comes through, and Avahi, as it is set up, takes no notice."""
        self.wire.bridge.run("ip", "link", "set", self.link, "down")

    def link_up(self):
        self.wire.bridge.run("ip", "link", "set", self.link, "up")

    def interface_down(self):
        self.run("ip", "link", "set", "eth0", "down")

    def interface_up(self):
        self.run("ip", "link", "set", "eth0", "up")

    def second_interface(self):
        """Has another link, eth1, with 10.88.0.N, on the wire's second network."""
        link = f"second{self.number}"
        self.wire.bridge.run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth1", "netns", self.keeper.pid)
        self.wire.bridge.run("ip", "link", "set", link, "master", "bridge2", "up")
        self.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/eth1/accept_dad", check=False)
        self.run("ip", "address", "add", f"10.88.0.{self.number}/24", "dev", "eth1")
        self.run("ip", "link", "set", "eth1", "up")

    def put_behind_link(self):
        """Has a link that can be made bad (link_shaper.py) in place of its own; gives what `say` tells what to do."""
        self.wire.bridge.run("ip", "link", "del", self.link)
        inner = f"inner{self.number}"
        shaper = self.wire.bridge.start([sys.executable, pathlib.Path(__file__).with_name("link_shaper.py"), self.link, inner])
        wait_for(lambda: "ready" in shaper.text(), 10, f"the link: {shaper.text()}")
        self.wire.bridge.run("ip", "link", "set", inner, "netns", self.keeper.pid, "name", "eth0")
        self.wire.bridge.run("ip", "link", "set", self.link, "master", "bridge", "up")
        self.run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad", check=False)
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        return shaper

    def change_address(self, last):
        """Has the address 10.77.0.`last` in place of what it has."""
        self.run("ip", "address", "add", f"10.77.0.{last}/24", "dev", "eth0")
        self.run("ip", "address", "del", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "address", "replace", f"10.77.0.{last}/24", "dev", "eth0")
        self.address = f"10.77.0.{last}"


class Wire:
    """The network, a context manager that takes everything down at its end."""

    def __init__(self):
        self._started = []
        self.nodes = []

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
        return self

    def _add_bridge(self, name):
        self.bridge.run("ip", "link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0")
        self.bridge.run("ip", "link", "set", name, "up")

    def second_bridge(self):
        """Another network beside, for nodes with a `second_interface`."""
        self._add_bridge("bridge2")

    def node(self, avahi=True):
        """Another machine; `avahi` false leaves its daemon away until `start_avahi`."""
        node = Node(self, len(self.nodes) + 1, avahi)
        self.nodes.append(node)
        return node

    def __exit__(self, *unused):
        self.close()

    def close(self):
        # The last first: keepers, without which a namespace is gone, come last.
        for started in reversed(self._started):
            with contextlib.suppress(ProcessLookupError):
                started.kill()
        self._started.clear()


def wait_for(condition, patience, what=None, step=0.02):
    """Waits until `condition` gives something true, and gives (it, seconds); (None, seconds) after `patience`, or stops if `what` is given."""
    began = time.monotonic()
    while True:
        value = condition()
        took = time.monotonic() - began
        if value:
            return value, took
        if took > patience:
            if what is not None:
                stop(f"waited {patience} s in vain for {what}")
            return None, took
        time.sleep(step)


if __name__ == "__main__":
    with Wire() as wire:
        one, two = wire.node(), wire.node()
        print(one.run("ip", "-brief", "address"), two.run("ping", "-c1", one.address, check=False))
        sys.stdout.write(two.run("ps", "-ef"))
