"""A head that loses workers while it serves: are the answers those that it would have given, and how long do they wait?

Eight streams over three workers, one of which is killed, stopped, cut off without a word or started anew, two of which go together,
one of which goes while the loss of another is mended; a client that leaves meanwhile and asks again. The same while a model is loaded,
while prompts go in and while nobody asks for anything; the end of the head; the last worker; no room anywhere; workers that are told to
stop, or emptied by command.

    recovery.py [--only NAME,…] [--rounds N] [--company ours|mixed|both] [--strict-times]
"""

import argparse
import contextlib
import json
import threading
import time
import urllib.request

from clients import Figures
from interop import GEMMA, GEMMA_F32, NEAR_TIE, SHORT, Report, Server
from recovery_load import (CONTEXT, LOSSES, STREAMS, Breaker, Cluster, Round, Stream, expected_texts, has_part, health_of, nodes_of,
                           requests_of, serve, wait_for)
from worker import near_tie

report = Report()
RETURN = 10  # seconds within which a worker that is back is used
LONGEST = {kind: 10 if kind in ("stop", "cut") else 3 for kind in LOSSES}  # seconds that a pause may last
longest = {}


def complaint(stream, expected, exact=True, refusals=False):
    """What is wrong with how a request was answered; None if nothing is."""
    if refusals and stream.is_refused:
        return None
    if stream.error:
        return f"status {stream.status}, {stream.pieces} pieces: {stream.error}"
    if stream.text == expected or stream.left and expected.startswith(stream.text):
        return None
    if not exact and (gap := near_tie(stream.body["prompt"], expected, stream.text)) < NEAR_TIE:
        report.note(f"{stream.body['prompt'][:30]!r}… parts at a gap of {gap:.1e} logits (near-tie below {NEAR_TIE})")
        return None
    return f"{stream.text[:60]!r}… ({len(stream.text)} characters) instead of {expected[:60]!r}… ({len(expected)})"


def within(name, seconds, limit, what):
    """Machines that are busy with other things are no reason to fail, unless it was asked for."""
    if seconds <= limit:
        return
    said = f"{name}: {what} {seconds:.2f} s, which is to be {limit} s at most"
    if options.strict_times or seconds > 3 * limit:
        report.check(False, said)
    else:
        report.note("LATE: " + said)


def judge(name, found, expected, limit=None, exact=True, refusals=False):
    """Right texts, no errors, pauses within the limit, and a fault that came while there was something to disturb."""
    texts = [expected[0], *expected, expected[0]]
    results = [complaint(stream, text, exact, refusals) for stream, text in zip(found.streams, texts)]
    wrong = [result for result in results if result]
    longest[name] = max(longest.get(name, 0), found.pause)
    during = "" if found.disturbed is None else f", {found.under_way} under way and {found.waiting} waiting at the fault"
    report.check(not wrong, f"{name}: {len(results) - len(wrong)} of {len(results)} requests are answered as they would have been{during}; "
                 f"the longest pause is {found.pause:.2f} s" + (f"; {wrong[0]}" if wrong else ""))
    if found.disturbed is not None and found.under_way + found.waiting < len(found.asked) // 2:
        report.check(False, f"{name}: the fault came when most streams had ended")
    if limit:
        within(name, found.pause, limit, "a pause of")


def whole_again(cluster, server, seconds=60):
    """Seconds until every worker has a part of the model; None if that takes longer."""
    def is_whole():
        nodes = nodes_of(server)
        return all(has_part(nodes[endpoint]) for endpoint in cluster.endpoints)
    return wait_for(is_whole, seconds)


def check_whole(cluster, server, name):
    """Everything is mended and used again, in time."""
    cluster.mend()
    back = whole_again(cluster, server)
    if back is None:
        report.note(json.dumps(nodes_of(server))[:2000])
    report.check(back is not None, f"{name}: every worker is used again" + (f" after {back:.1f} s" if back is not None else ""))
    within(name, back or 0, RETURN, "a return of")


@contextlib.contextmanager
def head_over(name, *more, kinds=("swiftlet",) * 3, model=GEMMA, **memory):
    """Workers and a head over them, all of which are to run on but for those that are ended on purpose."""
    with Cluster(kinds, **memory) as cluster, serve(cluster, *more, model=model) as server:
        yield cluster, server
        complaints = cluster.complaints() + ([] if server.alive() else [f"the head ended with status {server.process.returncode}"])
        report.check(not complaints, f"{name}: " + ("; ".join(complaints) if complaints else
                                                    f"head and workers run on, the head with {server.resident() >> 20} MiB"))


def check_faults(company, kinds):
    model, exact = (GEMMA, True) if company == "ours" else (GEMMA_F32, False)
    bodies = requests_of(greedy=not exact)
    expected = expected_texts(bodies, model)
    workers = ("swiftlet",) * 3 if exact else ("swiftlet", "stock", "swiftlet")
    # Stock servers report the system's memory; so that all get layers, shares are named. The F32 copy's output head, most of its
    # gibibyte, stays on this machine.
    more = ["--no-local"] if exact else ["--split", "1,1,1,5"]
    with head_over(company, *more, kinds=workers, model=model) as (cluster, server):
        report.check(whole_again(cluster, server) is not None, f"{company}: every worker has a part of the model")
        for kind in kinds:
            name = f"{company}, {kind}"
            returns = []
            for number in range(options.rounds):
                breaker = Breaker(cluster, server, kind, number)
                judge(name, Round(server, bodies, breaker), expected, LONGEST[kind], exact)
                cluster.mend()
                back = whole_again(cluster, server)
                if back is None:
                    report.note(json.dumps(nodes_of(server))[:2000])
                else:
                    returns.append(max(back, breaker.back()))
                # One that comes and goes is let back in later each time; that is not what is asked here.
                time.sleep(6 if kind in ("two", "during") and not SHORT else 0)
            last = max(returns, default=0)
            report.check(len(returns) == options.rounds, f"{name}: workers that are back are used after {last:.1f} s at most, "
                         f"in {len(returns)} of {options.rounds} rounds")
            within(name, last, RETURN, "a return of")
    for kind in kinds:
        report.note(f"{company}, {kind}: longest pause {longest[f'{company}, {kind}']:.2f} s in {options.rounds} rounds")


# ---------------------------------------------------------------- other times

def check_prefill():
    long = [body | {"prompt": " ".join([body["prompt"]] * 20)[:1500], "max_tokens": 32} for body in requests_of()]
    expected = expected_texts(long)
    with head_over("prefill", "--no-local") as (cluster, server):
        for number, kind in enumerate(["kill", "stop"]):
            name = f"prefill, {kind}"
            found = Round(server, long, Breaker(cluster, server, kind, number), after=0.3)
            judge(name, found, expected, LONGEST[kind])
            report.check(found.waiting >= STREAMS // 2, f"{name}: {found.waiting} of {STREAMS} prompts were not through at the fault; "
                         f"the first token of the last came {found.wait:.1f} s after it")
            check_whole(cluster, server, name)


def check_idle():
    bodies = requests_of(1)
    expected = expected_texts(bodies)
    with head_over("idle", "--no-local") as (cluster, server):
        for kind in ["kill"] if SHORT else ["kill", "stop", "cut"]:
            whole_again(cluster, server)
            breaker = Breaker(cluster, server, kind, 1)
            address = cluster.endpoints[breaker.target]
            breaker()
            seen = wait_for(lambda: nodes_of(server)[address]["state"] == "absent", 30)
            degraded = wait_for(lambda: health_of(server) == (200, "degraded"), 15)
            report.check(seen is not None and degraded is not None,
                         f"idle, {kind}: " + (f"the loss is seen after {seen:.1f} s" if seen is not None else "the loss is not seen")
                         + f", then the head is {health_of(server)[1]}, for {nodes_of(server)[address].get('reason')!r}")
            judge(f"idle, {kind}", Round(server, bodies), expected)
            check_whole(cluster, server, f"idle, {kind}")


def check_loading():
    bodies = requests_of(2)
    expected = expected_texts(bodies)
    for kind in ["kill", "stop"]:
        with Cluster() as cluster:
            thrown = []

            def disturb(cluster=cluster, kind=kind, thrown=thrown):
                # Once the weights are on their way.
                relayed = cluster.endpoints[1]
                wait_for(lambda: cluster.relay.counters()[relayed]["up"] > 1 << 20, 30)
                Breaker(cluster, None, kind, 1)()
                thrown.append(time.monotonic())
            breaking = threading.Thread(target=disturb, daemon=True)
            breaking.start()
            started = time.monotonic()
            with serve(cluster, "--no-local") as server:
                breaking.join(30)
                early = thrown and thrown[0] < started + server.ready_after
                came = f"{thrown[0] - started:.2f} s after the start" if thrown else "never"
                report.check(early, f"loading, {kind}: the fault came {came}, the head was ready after {server.ready_after:.2f} s")
                judge(f"loading, {kind}", Round(server, bodies), expected)
                check_whole(cluster, server, f"loading, {kind}")


def check_head_restart():
    with Figures("-m", "1G") as first, Figures("-m", "1G") as second:
        workers = [first, second]
        option = ["--workers", ",".join(each.server.endpoint for each in workers), "--no-local"]
        for _ in range(2):
            with Server(GEMMA, *option, ctx=CONTEXT, parallel=STREAMS) as server:
                streams = [Stream(server, body) for body in requests_of()]
                for stream in streams:
                    stream.start()
                under_way = wait_for(lambda: all(stream.pieces > 5 for stream in streams), 30)
                lent = [each.read()["memory_lent_bytes"] for each in workers]
                server.process.kill()
                server.process.wait()
            report.check(under_way is not None and min(lent) > 0, f"the head is killed in the middle of {len(streams)} streams, with "
                         + " and ".join(f"{size / 2**20:.0f}" for size in lent) + " MiB lent")
            for each in workers:
                after = each.wait(lambda now: now["sessions"] == 0 and now["memory_lent_bytes"] == 0, 10)
                report.check(after is not None, f"nothing is left on {each.server.endpoint} "
                             + (f"after {after:.1f} s" if after is not None else f"within 10 s, but for {each.read()}"))


def check_last_worker():
    bodies = requests_of()
    expected = expected_texts(bodies)
    with head_over("the last worker", kinds=("swiftlet",), memory=("1G",)) as (cluster, server):
        report.check(whole_again(cluster, server) is not None, "the last worker: it has a part of the model")
        judge("the last worker, killed", Round(server, bodies, Breaker(cluster, server, "kill", 0)), expected, 3)
        report.check(has_part(nodes_of(server)["local"]), "the last worker, killed: the model is on this machine")


def check_nothing_fits():
    bodies = requests_of()
    expected = expected_texts(bodies)
    with head_over("no room", "--no-local", kinds=("swiftlet",), memory=("1G",)) as (cluster, server):
        def disturb():
            cluster.workers[0].kill()
            wait_for(lambda: health_of(server)[0] == 503, 10)
            for method, path, body in (("POST", "/v1/completions", json.dumps(bodies[0]).encode()), ("GET", "/health", None)):
                status, headers, answer = server.request(method, path, body, {"Content-Type": "application/json"})
                reason = json.loads(answer).get("error", {}).get("message", "")
                report.check(status == 503 and headers.get("Retry-After") and reason,
                             f"no room: {path}: {status}, Retry-After {headers.get('Retry-After')}: {reason[:140]}")
            cluster.mend()
        found = Round(server, bodies, disturb)
        judge("no room, then the worker is back", found, expected, refusals=True)
        refused = [stream for stream in found.streams if stream.is_refused]
        report.check(not any(stream.pieces for stream in refused) and len(refused) <= len(found.streams) - found.under_way,
                     f"no room: {len(refused)} requests that had no answer yet were refused, the {found.under_way} under way waited")
        ready = wait_for(lambda: health_of(server) == (200, "ready"), RETURN)
        report.check(ready is not None and server.post("/v1/completions", bodies[0])[0] == 200,
                     "no room, then the worker is back: requests are answered by the same head")


def check_drain():
    bodies = requests_of()
    expected = expected_texts(bodies)
    with head_over("drain", "--no-local") as (cluster, server):
        whole_again(cluster, server)
        worker = cluster.workers[1]
        judge("a worker is told to stop", Round(server, bodies, worker.terminate), expected, 3)
        status = worker.ends_within(35)
        report.check(status == 0, f"a worker is told to stop: it ends by itself, with status {status}")
        check_whole(cluster, server, "a worker that was told to stop is started again")
        address = cluster.endpoints[0]

        def drain():
            status = server.post(f"/v1/nodes/{address}/drain", {})[0]
            report.check(status == 200, f"drain is answered with {status}")
        judge("a worker is emptied by command", Round(server, bodies, drain), expected, 3)
        emptied = wait_for(lambda: nodes_of(server)[address]["state"] == "drained", 15)
        holds = [device for device in nodes_of(server)[address]["devices"] if device["layer_count"] or device["has_output"]]
        report.check(emptied is not None and not holds, "a worker is emptied by command: it has nothing any more")
        judge("while a worker is emptied", Round(server, bodies[:2]), expected[:2])
        status = server.post(f"/v1/nodes/{address}/resume", {})[0]
        back = whole_again(cluster, server)
        report.check(status == 200 and back is not None, "a worker is emptied by command: resumed, it is used again"
                     + (f" after {back:.1f} s" if back is not None else ""))
        report.check(server.post("/v1/nodes/nowhere:1/drain", {})[0] == 404, "a node that there is not cannot be emptied")


def check_events():
    with head_over("events", "--no-local") as (cluster, server):
        whole_again(cluster, server)
        seen = []

        def listen():
            with contextlib.suppress(OSError), urllib.request.urlopen(server.url + "/v1/events", timeout=60) as answer:
                for line in answer:
                    if line.startswith(b"data: "):
                        seen.append(json.loads(line[6:]))
        threading.Thread(target=listen, daemon=True).start()
        # What happened lately is told first.
        wait_for(lambda: sum(event["kind"] == "joined" for event in seen) == len(cluster.workers), 10)
        time.sleep(0.5)
        before = len(seen)

        def told(kind, since=before, node=None):
            return any(event["kind"] == kind and node in (None, event.get("node")) for event in seen[since:])
        address = cluster.endpoints[0]
        cluster.workers[0].kill()
        lost = wait_for(lambda: told("lost", node=address) and told("placed"), 15)
        report.check(lost is not None, "/v1/events tells of a worker that is killed: "
                     + ", ".join(f"{event['kind']} {event.get('node') or ''}".strip() for event in seen[before:]))
        middle = len(seen)
        check_whole(cluster, server, "events")
        back = wait_for(lambda: told("joined", middle, address) and told("placed", middle), 10)
        report.check(back is not None, "and of its return: "
                     + ", ".join(f"{event['kind']} {event.get('node') or ''}".strip() for event in seen[middle:]))
        bad = [event for event in seen if not all(event.get(key) for key in ("time", "kind", "message"))]
        report.check(not bad, f"each of {len(seen)} events has its time, kind and message" + (f"; not {bad[0]}" if bad else ""))


CHECKS = {"prefill": check_prefill, "idle": check_idle, "loading": check_loading, "head_restart": check_head_restart,
          "last_worker": check_last_worker, "nothing_fits": check_nothing_fits, "drain": check_drain, "events": check_events}


def main():
    chosen = options.only.split(",") if options.only else list(LONGEST) + list(CHECKS)
    if SHORT and not options.only:
        chosen = ["kill", "stop", "idle", "nothing_fits", "drain", "events"]
    for company in ["ours", "mixed"] if options.company == "both" else [options.company]:
        kinds = [kind for kind in LONGEST if kind in chosen]
        if kinds:
            check_faults(company, kinds)
    for name, check in CHECKS.items():
        if name in chosen:
            check()
    report.finish()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help=f"of {', '.join([*LONGEST, *CHECKS])}")
    parser.add_argument("--rounds", type=int, default=1 if SHORT else 20)
    parser.add_argument("--company", choices=["ours", "mixed", "both"], default="ours" if SHORT else "both")
    parser.add_argument("--strict-times", action="store_true", help="any time beyond its limit is a failure, not only beyond thrice that")
    found = parser.parse_args()
    unknown = [name for name in found.only.split(",") if name and name not in LONGEST and name not in CHECKS]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}")
    return found


if __name__ == "__main__":
    options = arguments()
    main()
