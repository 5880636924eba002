"""Do programs that know nothing of a network of peers work through its tunnels as they do over TCP?

A stock rpc-server behind `swiftlet tunnel --expose` lends to our head; a stock head works over `swiftlet tunnel --listen` with two of our
workers and the exposed server, and says what stock says on one machine. A worker is killed and comes back: the list that is printed
changes and is as before, and the head that --exec runs is started anew. Then a node is revoked, and all learn of it.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import urllib.request

from interop import GEMMA, ROOT, SCRATCH, SWIFTLET, Program, Report, RPCServer, Server, free_port, need_swiftlet, run, stop

report = Report()
need_swiftlet()
PROMPT = "The harbour at Westing still has its"
COUNT = 12
TOKEN = SCRATCH / "network.token"
run([SWIFTLET, "token", "new", "-o", TOKEN])
NETWORK = ["--p2p-token-file", str(TOKEN), "--no-mdns"]


def place(name):
    """The environment of a machine of its own: its keys, its list of revoked nodes."""
    return dict(os.environ, XDG_STATE_HOME=str(SCRATCH / name))


class Node(Program):
    """`swiftlet` with a door at a port, until it listens."""

    def __init__(self, name, *arguments, port=None):
        self.name = name
        self.port = port or free_port()
        self.peer = ["--p2p-peer", f"127.0.0.1:{self.port}"]
        self.log = open(SCRATCH / f"{name}.log", "ab")
        self.command = [SWIFTLET, *map(str, arguments), *NETWORK, "--p2p-port", str(self.port), "--p2p-name", name]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=place(self.name))
        wait(f"{self.name} takes tunnels", lambda: "takes tunnels" in self.tail() or not self.alive(), 20)
        if not self.alive():
            stop(f"{self.name} ended:\n{self.tail()}")
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()

    def id(self):
        return re.findall(r"node ([0-9a-f]{32}) takes", pathlib.Path(self.log.name).read_text())[-1]


class Lists(Program):
    """`swiftlet tunnel --listen`, and the lists that it prints."""

    def __init__(self, name, *arguments):
        self.name = name
        self.log = open(SCRATCH / f"{name}.log", "wb")
        self.out = open(SCRATCH / f"{name}.out", "wb")
        self.command = [SWIFTLET, "tunnel", "--listen", *NETWORK, *map(str, arguments)]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.log, env=place(self.name))
        return self

    def lists(self):
        text = pathlib.Path(self.out.name).read_text(errors="replace")
        return [line[6:].split(",") if line[6:] else [] for line in text.splitlines() if line.startswith("--rpc ")]


def wait(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            found = condition()
            if found:
                return found
        time.sleep(0.05)
    report.check(False, f"{what}, within {seconds} s")
    return None


def ask(port):
    """What a server says to the prompt, ours or stock's."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/completion", json.dumps({"prompt": PROMPT, "n_predict": COUNT, "temperature": 0}).encode(),
        {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=60))["content"]


def completion(*where, model=GEMMA, before=()):
    return run([*before, ROOT / "scripts" / "stock", "llama-completion", "-m", model, "-p", PROMPT, "-n", COUNT, "--temp", 0, "-no-cnv", "-t", 2, "--no-display-prompt",
                 "--no-warmup", "-c", 512, *map(str, where)], timeout=60).stdout.decode(errors="replace").strip("\n")


def same(found, expected):
    """Kernels of several makes round differently: the beginning has to be the same, the rest may part at a near-tie."""
    found, expected = found.strip(), expected.strip()
    return bool(found) and found[:20] == expected[:20]


def main():
    alone = completion()
    with RPCServer("stock", threads=1) as server:
        direct = completion("--rpc", server.endpoint, "-ngl", 99)
        with Node("exposed", "tunnel", "--expose", server.endpoint) as exposed:
            with Server(GEMMA, *NETWORK, *exposed.peer, ctx=512) as head:
                answer = ask(head.port)
                layers = sum(device["layer_count"] for node in json.loads(head.get("/v1/nodes")[2])["data"]
                             if node["address"] == exposed.id() for device in node["devices"])
                report.check(layers > 0, f"our head has {layers} layers on the exposed server")
                report.check(same(answer, alone), f"our head over an exposed stock server: {answer!r}")
            with Node("one", "worker", "--threads", 1) as one, Node("two", "worker", "--threads", 1) as two:
                check_list(exposed, one, two, alone, direct)
                check_revocation(exposed, one, two)
    report.finish()


def check_list(exposed, one, two, alone, direct):
    port = free_port()
    head = f"{ROOT}/scripts/stock llama-server -m '{GEMMA}' -ngl 99 --rpc {{}} --port {port} --host 127.0.0.1 -c 512 -t 1 --no-warmup"
    peers = [*exposed.peer, *one.peer, *two.peer]
    with Lists("plain", *peers) as plain:
        first = wait("three nodes in a list", lambda: [found for found in plain.lists() if len(found) == 3])
        if not first:
            return report.note(whole_log(plain))
        first = first[0]
        whole = completion("--rpc", ",".join(first), "-ngl", 99)
        report.check(same(whole, alone), f"a stock head over three tunnels: {whole!r}")
        # One client at a time is all that a stock server serves.
        stocks = [found for found in first if served_by(found, exposed, plain)]
        report.check(completion("--rpc", ",".join(stocks), "-ngl", 99) == direct,
                     "over the tunnel to the stock server alone it says exactly what it says over TCP")
        check_head(two, plain, first, port, alone, Lists("running", *peers, "--wait", 3, "--idle", 1, "--exec", head))
        plain.process.send_signal(signal.SIGTERM)
        report.check(plain.process.wait(10) == 0, "without a head a signal ends it well")


def check_head(two, plain, first, port, alone, lists):
    with lists as running:
        answer = wait("the head that --exec runs answers", lambda: ask(port), 40) or ""
        report.check(same(answer, alone), f"the head that --exec runs answers over three tunnels: {answer!r}")
        starts = whole_log(running).count("started:")
        two.kill()
        changed = wait("the list without the killed worker", lambda: len(plain.lists()[-1]) == 2 and plain.lists()[-1])
        report.check(changed and set(changed) < set(first), "the killed worker goes from the list, and the others keep their ports")
        answer = wait("the head started anew answers over the two that are left", lambda: whole_log(running).count("started:") > starts and ask(port), 40)
        report.check(same(answer or "", alone), f"the head is started anew over the two that are left: {answer!r}")
        two.__enter__()
        back = wait("the list with the worker that came back", lambda: len(plain.lists()[-1]) == 3 and plain.lists()[-1])
        report.check(back == first, "the worker comes back, and the list is as it was")
        starts = whole_log(running).count("started:")
        wait("the head is started anew for it", lambda: whole_log(running).count("started:") > starts or len(started(running)[-1]) == 3, 30)
        report.check(len(started(running)[-1]) == 3, "the head is started anew with the worker that came back")
        wait("it answers", lambda: ask(port), 30)
        running.process.send_signal(signal.SIGTERM)
        status = running.process.wait(20)
        report.check(status in (0, 143), f"a signal is passed on, and the status is the head's: {status}")


def whole_log(program):
    program.log.flush()
    return pathlib.Path(program.log.name).read_text(errors="replace")


def started(program):
    return [line.split(" over ")[1].split()[0].split(",") for line in whole_log(program).splitlines() if "started:" in line]


def served_by(address, node, program):
    """Whether a list's address leads to a node, as its log says."""
    return f"node {node.id()} is reached at {address}" in whole_log(program)


def check_revocation(exposed, one, two):
    peers = [*exposed.peer, *one.peer, *two.peer]

    def nodes(*more):
        done = run([SWIFTLET, "nodes", *NETWORK, *more, "--json"], env=place("visitor"))
        return json.loads(done.stdout)["nodes"]

    found = nodes(*peers)
    report.check({node["id"]: node["role"] for node in found} == {exposed.id(): "tunnel", one.id(): "worker", two.id(): "worker"}
                 and all(node["round_trip_ms"] is not None and node["devices"] for node in found), "nodes lists all three, with what they lend")
    report.check(nodes("--p2p-peer", f"127.0.0.1:{free_port()}") == [], "and nobody where nobody is")
    said = run([SWIFTLET, "token", "revoke", two.id(), *NETWORK, *peers], env=place("visitor")).stderr.decode()
    report.check("told 2 nodes" in said, f"revoking: {said.strip()}")
    lists = [(SCRATCH / name).glob("swiftlet/peers/*.revoked") for name in ("one", "exposed", "two")]
    known = [any(two.id() in path.read_text() for path in paths) for paths in lists]
    report.check(known[:2] == [True, True], "the others know of it at once")
    with Lists("later", *one.peer, *two.peer) as later:
        # It looks at both, and the one tells it of the other's revocation.
        told = wait("a list without the revoked node", lambda: later.lists() and len(later.lists()[-1]) == 1
                    and served_by(later.lists()[-1][0], one, later), 20)
        report.check(told, "who comes later learns of it from those that know")


if __name__ == "__main__":
    main()
