"""The head over workers, ours and stock's: does it answer as it does alone, and are the layers where it said?

Over 1, 2 and 3 of our workers, with this machine and without: the same bytes as alone, in logits and in what is served, one request
or four at once. Over stock servers and mixed ones: the F32 copy's logits as close as rounding allows. Where layers and
memory go, beside where a stock head puts them on the same workers. Workers by environment variables and IPv6.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import socket
import subprocess

from clients import Figures
from interop import (GEMMA, GEMMA_F32, NEAR_TIE, PROMPTS, SCRATCH, SHORT, SWIFTLET, RPCServer, Report, Server, compare, stock, swiftlet,
                     swiftlet_logits, text_tokens)
from worker import near_tie

report = Report()
CONTEXT = 512
SLOTS = 4
MIB = 1 << 20


def over(servers, local=False):
    return ["--workers", ",".join(server.endpoint for server in servers)] + ([] if local else ["--no-local"])


def named(kinds, local):
    count = len(kinds)
    kind = kinds[0] if len(set(kinds)) == 1 else "mixed"
    what = " + ".join(kinds) if kind == "mixed" else f"{count} {kind} worker{'s' if count > 1 else ''}"
    return what + (" and this machine" if local else "")


@contextlib.contextmanager
def workers(*kinds, memory=()):
    """Workers of these kinds; ours lend so much memory each, where that is said."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(RPCServer(kind, *(["-m", memory[number]] if memory and kind == "swiftlet" else [])))
               for number, kind in enumerate(kinds)]


# ---------------------------------------------------------------- answers

def evaluated(model, tokens, *more):
    return swiftlet_logits(model, tokens, "--no-progress", *more)


def completions(server, prompts, count):
    """What is answered to the prompts, all at once."""
    def ask(prompt):
        status, _, body = server.post("/v1/completions", {"prompt": prompt, "max_tokens": count, "temperature": 0, "ignore_eos": True})
        return json.loads(body)["choices"][0]["text"] if status == 200 else f"status {status}: {body[:200]}"
    with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
        return list(pool.map(ask, prompts))


def check_identical(tokens, alone, answers, kinds, local, memory):
    name = named(kinds, local)
    with workers(*kinds, memory=memory) as servers:
        rows = evaluated(GEMMA, tokens, *over(servers, local))
        same = rows.shape == alone.shape and rows.tobytes() == alone.tobytes()
        report.check(same, f"{name}: logits at {len(tokens)} positions identical to this machine's")
        if not same and rows.shape == alone.shape:
            report.note(f"KL {compare(alone, rows)[0]:.2e}")
        planned = plan(servers, local)
        with Server(GEMMA, *over(servers, local), ctx=CONTEXT, parallel=SLOTS) as server:
            one = completions(server, PROMPTS[:1], len_of_answers())
            four = completions(server, PROMPTS[:4], len_of_answers())
            report.check(one == answers[:1], f"{name}: a completion served is this machine's")
            report.check(four == answers[:4], f"{name}: {sum(a == b for a, b in zip(four, answers))} of 4 served at once are this machine's")
            check_nodes(name, server, planned)
        report.check(all(server.alive() for server in servers), f"{name}: the workers run on")


def len_of_answers():
    return 16 if SHORT else 48


def check_close(tokens, alone, answers, kinds, local):
    name = named(kinds, local) + ", F32"
    with workers(*kinds) as servers:
        # Free memory of stock servers is the system's, which moves: shares say where the cuts are. The last has the output head,
        # which is larger than all layers.
        shares = ["--split", ",".join(["1"] * (len(kinds) + local - 1) + ["3"])]
        rows = evaluated(GEMMA_F32, tokens, *over(servers, local), *shares)
        divergence, same = compare(alone, rows)
        report.check(divergence <= 1e-5, f"{name}: mean KL to this machine's logits {divergence:.2e} (at most 1e-5), top-1 {same:.2%}")
        planned = plan(servers, local, *shares, model=GEMMA_F32)
        with Server(GEMMA_F32, *over(servers, local), *shares, ctx=CONTEXT, parallel=SLOTS, patience=120) as server:
            found = completions(server, PROMPTS[:4], len_of_answers())
            for prompt, expected, answer in zip(PROMPTS, answers, found):
                if answer != expected:
                    gap = near_tie(prompt, expected, answer)
                    report.check(gap < NEAR_TIE, f"{name}: {prompt[:30]!r}… parts at a gap of {gap:.1e} logits (near-tie below {NEAR_TIE})")
            report.note(f"{name}: {sum(a == b for a, b in zip(found, answers))} of 4 completions served at once are this machine's")
            check_nodes(name, server, planned)
        report.check(all(server.alive() for server in servers), f"{name}: the workers run on")


# ---------------------------------------------------------------- places

def plan(servers, local=False, *more, model=GEMMA, context=CONTEXT, slots=SLOTS):
    return json.loads(swiftlet("plan", "--model", model, *over(servers, local), "--ctx-size", context, "--parallel", slots, "--json",
                               *more).stdout)


def places(planned):
    """{device: (layers or None, output)} of a plan."""
    return {stage["device"]: ((stage["first_layer"], stage["layer_count"]) if stage["layer_count"] else None, stage["output"])
            for stage in planned["stages"]}


def check_nodes(name, server, planned):
    status, _, body = server.get("/v1/nodes")
    nodes = json.loads(body)["data"] if status == 200 else []
    found, bytes_of = {}, {}
    for node in nodes:
        for device in node["devices"]:
            if device["layer_count"] or device["has_output"]:
                layers = (device["first_layer"], device["layer_count"]) if device["layer_count"] else None
                found[node["address"]] = (layers, device["has_output"])
                bytes_of[node["address"]] = device["bytes"]
    expected = {device: place for device, place in places(planned).items() if place != (None, False)}
    report.check(found == expected, f"{name}: /v1/nodes tells of the places that plan told of: {shown(found)}"
                 + ("" if found == expected else f", not {shown(expected)}"))
    weights = {stage["device"]: (stage["weight_bytes"], stage["cache_bytes"]) for stage in planned["stages"]}
    report.check(all((held["weights"], held["cache"]) == weights.get(device) for device, held in bytes_of.items()),
                 f"{name}: and of the same bytes of weights and cache")
    bad = [node["address"] for node in nodes if node["state"] != "ready" or (node["address"] != "local" and not (
        node["version"] == "8.0.0" and node["round_trip_ms"] > 0 and node["bytes_sent"] > 0 and node["bytes_received"] > 0))]
    report.check(nodes and not bad, f"{name}: each of {len(nodes)} nodes is ready, with version, round trip and bytes moved"
                 + (f"; not {', '.join(bad)}" if bad else ""))


def shown(found):
    return "; ".join(f"{device} " + (f"{layers[0]}–{layers[0] + layers[1] - 1}" if layers else "no layers") + (" and output" if output else "")
                     for device, (layers, output) in found.items())


def stock_places(servers, context):
    """Where a stock head with every layer on the workers puts layers and memory, by its log: {endpoint: figures}."""
    done = stock("llama-completion", "-m", GEMMA, "--rpc", ",".join(server.endpoint for server in servers), "-ngl", 99, "-c", context,
                 "-p", "x", "-n", 1, "--temp", 0, "-no-cnv", "--no-warmup", "-t", 2, "-v")
    log = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
    # It tries its memory out without allocating first; the last pass is the one that counts.
    log = log[log.rindex("using device RPC0"):]
    devices = dict(re.findall(r"using device (RPC\d+) \((\S+?)\)", log))
    found = {endpoint: {"layers": [], "output": False, "weights": 0, "cache": 0, "compute": 0} for endpoint in devices.values()}
    assigned = [(int(layer), device) for layer, device in re.findall(r"layer\s+(\d+) assigned to device (\S+?),", log)]
    last = max(layer for layer, _ in assigned)
    for layer, device in assigned:
        if device in devices and layer == last:
            found[devices[device]]["output"] = True
        elif device in devices:
            found[devices[device]]["layers"].append(layer)
    for endpoint, what, size in re.findall(r"RPC\d+\[(\S+?)\] (model|KV|compute) buffer size =\s*([0-9.]+) MiB", log):
        key = {"model": "weights", "KV": "cache", "compute": "compute"}[what]
        found[endpoint][key] = max(found[endpoint][key], float(size)) if key == "compute" else found[endpoint][key] + float(size)
    return found


def check_beside_stock(memory):
    """A table of both heads' places on the same workers, and what the workers say was taken of them."""
    context = 1024 if SHORT else 4096
    with contextlib.ExitStack() as stack:
        figures = [stack.enter_context(Figures("-m", size)) for size in memory]
        servers = [each.server for each in figures]
        theirs = stock_places(servers, context)
        for each in figures:
            each.wait(lambda now: now["sessions"] == 0, 5)
        planned = plan(servers, False, "--compare", context=context, slots=1)
        with Server(GEMMA, *over(servers), ctx=context, parallel=1) as server:
            completions(server, PROMPTS[:1], 8)
            lent = [each.read()["memory_lent_bytes"] for each in figures]
        report.note(f"workers that lend {' and '.join(memory)}, context {context}, one request (MiB):")
        report.note(f"{'':18}{'layers':>10}{'output':>8}{'weights':>9}{'cache':>8}{'compute':>9}{'all':>8}")
        ours = {stage["device"]: stage for stage in planned["stages"]}
        for server, taken in zip(servers, lent):
            stage, other = ours.get(server.endpoint), theirs[server.endpoint]
            if stage is None:
                report.note(row("ours", [], False, [0, 0, 0]) + f"   the worker says {taken / MIB:.0f}")
                report.note(row("stock", other["layers"], other["output"], [other[key] for key in ("weights", "cache", "compute")]))
                report.check(taken < MIB, f"{server.endpoint}, which plan left out, lends {taken} bytes")
                continue
            sizes = [stage[key] / MIB for key in ("weight_bytes", "cache_bytes", "compute_bytes")]
            report.note(row("ours", range(stage["first_layer"], stage["first_layer"] + stage["layer_count"]), stage["output"], sizes)
                        + f"   the worker says {taken / MIB:.0f}")
            report.note(row("stock", other["layers"], other["output"], [other[key] for key in ("weights", "cache", "compute")]))
            report.check(taken <= sum(sizes) * MIB + stage["reserve_bytes"],
                         f"{server.endpoint} lends {taken / MIB:.1f} MiB, where plan counted {sum(sizes):.1f} and a reserve of {stage['reserve_bytes'] / MIB:.1f}")
        said = {stage["device"]: (stage["layer_count"], stage["output"]) for stage in planned.get("stock") or []}
        did = {endpoint: (len(other["layers"]), other["output"]) for endpoint, other in theirs.items()}
        report.check(said == did, f"plan --compare says of a stock head what it did: {[count for count, _ in did.values()]} layers"
                     + ("" if said == did else f", not {said}"))
        counts = sum(stage["layer_count"] for stage in planned["stages"])
        report.check(counts == sum(count for count, _ in did.values()), f"{counts} layers in all, as many as stock's")


def row(name, layers, output, sizes):
    layers = list(layers)
    text = f"{layers[0]}–{layers[-1]}" if layers else "–"
    return f"  {name:16}{text:>10}{'yes' if output else '–':>8}{sizes[0]:9.1f}{sizes[1]:8.1f}{sizes[2]:9.1f}{sum(sizes):8.1f}"


def check_metrics():
    """Every line of the head's /metrics is a name, labels and a number."""
    with workers("swiftlet") as servers, Server(GEMMA, *over(servers), ctx=CONTEXT) as server:
        status, _, body = server.get("/metrics")
        lines = [line for line in body.decode().splitlines() if line and not line.startswith("#")]
        bad = [line for line in lines
               if not re.fullmatch(r'[a-z_:]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.eEinfNa]+', line)]
        report.check(status == 200 and lines and not bad, f"/metrics: {len(lines)} lines are figures" + (f"; not {bad[0][:120]!r}" if bad else ""))
        report.check(any(servers[0].endpoint in line for line in lines), "and some are about the worker")


# ---------------------------------------------------------------- ways to name workers

def check_names():
    def stages(*arguments, **environment):
        done = subprocess.run([SWIFTLET, "plan", "--model", str(GEMMA), "--json", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              env=os.environ | environment, timeout=60)
        return [stage["device"] for stage in json.loads(done.stdout)["stages"]] if done.returncode == 0 else done.stderr.decode()[-300:]

    with workers("swiftlet", "swiftlet") as servers:
        both = ",".join(server.endpoint for server in servers)
        expected = stages("--workers", both)
        for name in ("LLAMACPP_GRPC_SERVERS", "LLAMA_ARG_RPC"):
            found = stages(**{name: both})
            report.check(found == expected and len(expected) == 3, f"{name} names workers as --workers does: {found}")
        found = stages("--workers", servers[0].endpoint, LLAMA_ARG_RPC=both)
        report.check(isinstance(found, list) and servers[1].endpoint not in found, "--workers goes before them")
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        report.note("LEFT OUT: this machine has no IPv6, so nothing is said of it")
        return
    with RPCServer("swiftlet", host="::1") as server:
        found = stages("--workers", server.endpoint, "--no-local")
        report.check(found == [server.endpoint], f"a worker at IPv6: {found}")


def main():
    tokens = text_tokens(48 if SHORT else 200)
    alone = evaluated(GEMMA, tokens)
    with Server(GEMMA, ctx=CONTEXT, parallel=SLOTS) as server:
        answers = [completions(server, [prompt], len_of_answers())[0] for prompt in PROMPTS[:4]]
    ours = [(1, False, ["2G"]), (2, False, ["1G", "3G"]), (3, False, ["1G", "1G", "4G"]), (1, True, ["2G"]), (2, True, ["1G", "1G"])]
    for count, local, memory in ours[1:4] if SHORT else ours:
        check_identical(tokens, alone, answers, ["swiftlet"] * count, local, memory)
    del alone

    alone = evaluated(GEMMA_F32, tokens)
    with Server(GEMMA_F32, ctx=CONTEXT, parallel=SLOTS, patience=120) as server:
        answers = [completions(server, [prompt], len_of_answers())[0] for prompt in PROMPTS[:4]]
    mixed = [(["stock", "stock"], False), (["swiftlet", "stock"], False), (["stock", "swiftlet"], False), (["stock"], True)]
    for kinds, local in mixed[:2] if SHORT else mixed:
        check_close(tokens, alone, answers, kinds, local)
    del alone

    check_beside_stock(["2G", "2G"])
    if not SHORT:
        check_beside_stock(["3G", "1G"])
    check_metrics()
    check_names()
    report.finish()


if __name__ == "__main__":
    main()
