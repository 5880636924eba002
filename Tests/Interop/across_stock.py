"""Does a stock head work over tunnels to another network, through routers, and say what it says alone?

The head is on a network behind a router, beside `swiftlet tunnel --listen`. Behind another router are a worker of ours and a stock server with
`swiftlet tunnel --expose` beside it. The model is of F32, so that answers can be compared word by word.
"""

import shlex

from across import Apart, route_of, ways
from interop import CACHE, ROOT, SHORT, SMOLLM_F32, Report, need_swiftlet, stop
from links import completion
from peers_wire import HEAD_PORT, HeadMachine, WorkerMachine
from routers import possible
from tunnel import COUNT, PROMPT
from tunnel import completion as stock_completion
from wire import wait_for

report = Report()
SERVER_PORT = 50052
# The machines have homes of their own, where it is not.
STOCK = ["env", f"SWIFTLET_CACHE={CACHE}", str(ROOT / "scripts" / "stock")]


class TunnelMachine(WorkerMachine):
    """`swiftlet tunnel`: with `--expose` a node like a worker, with `--listen` one that prints lists."""

    def start(self, *arguments):
        self.program = self.swiftlet("tunnel", *arguments)
        return self

    def listed(self):
        lists = [line[6:] for line in self.program.text().splitlines() if line.startswith("--rpc ")]
        return lists[-1].split(",") if lists and lists[-1] else []

    def at(self, node):
        """Where a node is reached."""
        return next(address for address in self.listed() if f"node {node.id} is reached at {address}" in self.program.text())


def stock_head(machine, *nodes):
    """What a stock head on a machine says over nodes."""
    return stock_completion("--rpc", ",".join(map(machine.at, nodes)), "-ngl", 99, model=SMOLLM_F32, before=machine.node.inside([]))


def check_list(listener, nodes, alone, what):
    names = {"a worker": nodes[:1], "an exposed stock server": nodes[1:], "both": nodes}
    for name, some in names.items():
        try:
            found = stock_head(listener, *some)
        except SystemExit:
            found = listener.program.text()[-1000:]
        report.check(found == alone, f"{what}: a stock head over {name} says what it says alone: {found!r}")


def check_exec(apart, options, alone, what):
    """The head that --exec starts."""
    command = shlex.join([*STOCK, "llama-server", "-m", str(SMOLLM_F32), *f"-ngl 99 --port {HEAD_PORT} --host 127.0.0.1 -c 512 -t 1 --no-warmup".split()])
    runner = apart.on(TunnelMachine, apart.near, *options).start("--listen", "--wait", "2", "--exec", command + " --rpc {}")
    try:
        if not wait_for(lambda: "listening on http" in runner.program.text(), 40)[0]:
            return report.check(False, f"{what}: the server that --exec starts listens: {runner.program.text()[-1000:]}")
        answer = completion(runner, PROMPT, COUNT)
        over = runner.program.text().rsplit("started: ", 1)[1].split()[2].split(",")
        report.check(answer["content"] == alone and len(over) == 2, f"{what}: so does the server that --exec starts over {len(over)}: {answer['content']!r}")
        report.note(f"{what}: {1000 / answer['timings']['predicted_per_second']:.1f} ms a token of the stock server over both")
    finally:
        status = runner.program.end(20)
        report.check(status in (0, 143), f"{what}: a signal ends it and the tunnels: {status}")


def check_own_head(apart, exposed, options, alone, what):
    """Our head over the stock server, which is all that is left."""
    head = apart.on(HeadMachine, apart.near, *options).start(SMOLLM_F32, "--no-local", "--ctx-size", "512")
    used = wait_for(lambda: head.uses(exposed.id), 60)[0]
    found = completion(head.ready(), PROMPT, COUNT)["content"] if used else head.program.text()[-1000:]
    report.check(found == alone, f"{what}: our head over the exposed stock server, {route_of(head, exposed)}: {found!r}")
    head.program.end()


def listens(host, port):
    return f":{port} " in host.run("ss", "-Hltn")


def through(kind, options, way, alone):
    what = f"through {kind} routers"
    with Apart(kind) as apart:
        apart.watch_outside()
        # One that lends nothing, so that it is in no list.
        relay = apart.on(TunnelMachine, apart, "--relay").start("--listen")
        worker = apart.on(WorkerMachine, apart.far, *options).start().ready()
        exposing = apart.on(TunnelMachine, apart.far, *options)
        server = exposing.machine.node.start([*STOCK, "ggml-rpc-server", "-H", "127.0.0.1", "-p", str(SERVER_PORT), "-t", "1"])
        if not wait_for(lambda: listens(exposing.machine.node, SERVER_PORT), 20)[0]:
            stop(f"{what}: the stock server does not listen: {server.text()}")
        exposed = exposing.start("--expose", f"127.0.0.1:{SERVER_PORT}").ready()
        nodes = [worker, exposed]
        listener = apart.on(TunnelMachine, apart.near, *options).start("--listen")
        if not wait_for(lambda: len(listener.listed()) == 2, 60)[0]:
            stop(f"{what}: not both nodes are in the list: {listener.program.text()[-2000:]}")
        check_list(listener, nodes, alone, what)
        check_exec(apart, options, alone, what)
        found = ways(listener, apart.bootstrap)
        wanted = [found.get(node.node.name) for node in nodes]
        report.check(wanted == [way, way], f"{what}: the ways to them are {wanted}")
        for machine in (listener, worker):
            machine.program.end()
        check_own_head(apart, exposed, options, alone, what)
        apart.check_nothing_left(report, what)
        for machine in (exposed, relay):
            machine.program.end()


if __name__ == "__main__":
    need_swiftlet()
    why = possible()
    if why:
        stop(why)
    alone = stock_completion(model=SMOLLM_F32)
    through("restricted", [], "punched", alone)
    through("symmetric", [], "relayed", alone)
    if not SHORT:
        through("upnp", ["--upnp"], "direct", alone)
    report.finish()
