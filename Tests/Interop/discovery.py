"""Nodes that find each other by mDNS: announced, found, changed, withdrawn, with daemons that come and go, and in a flood of lies.

Two and more machines of namespaces (wire.py), each with a daemon of its own.
"""

import os
import pathlib
import sys
import time

from interop import SHORT, SWIFTLET, Report, stop
from wire import Wire, possible, wait_for

PROBE = pathlib.Path(SWIFTLET).parent / "peer-probe"
HERE = pathlib.Path(__file__).resolve().parent
TAG = "00112233aabbccdd"
OTHER = "ffeeddccbbaa9988"

report = Report()


def browse(node, tag=TAG, seconds=600):
    return node.start([PROBE, "browse", tag, seconds])


def announce(node, name, port, tag=TAG, **entries):
    words = [f"{key}={value}" for key, value in {"v": 1, "net": tag, "id": "0" * 32, "role": "worker", **entries}.items()]
    return node.start([PROBE, "announce", name, port, *words])


def last_told(browser, name):
    return [line for line in browser.lines() if name in (line.get("found"), line.get("gone"))][-1:]


def found(browser, name, since=0, **expected):
    """The last that was told of `name`, if it is there and as expected, and was told since then."""
    last = last_told(browser, name)
    if not last or "gone" in last[0] or last[0]["at"] < since:
        return None
    for key, value in expected.items():
        have = last[0]["text"].get(key) if key not in last[0] else last[0][key]
        if have != value:
            return None
    return last[0]


def gone(browser, name):
    last = last_told(browser, name)
    return last[0] if last and "gone" in last[0] else None


def said(program, word, since=0):
    """Whether the program has said that since then."""
    return any(word in line and line["at"] >= since for line in program.lines())


def expect(condition, limit, what):
    """Waits for it, three times as long as it may take, so that what is late is told from what never comes."""
    value, took = wait_for(condition, 3 * limit)
    report.check(value and took <= limit, f"{what}: {took:.2f} s (at most {limit:g})" if value else f"{what}: never")
    return value


def basics(wire):
    one, two = wire.node(), wire.node()
    browser = browse(two)
    other = browse(two, OTHER)
    wait_for(lambda: said(browser, "browsing"), 10, "the browser")
    worker = announce(one, "worker one", 5001, dev="cpu")
    expect(lambda: said(worker, "announced"), 3, "an announcement is registered")
    record = expect(lambda: found(browser, "worker one", port=5001, dev="cpu"), 3, "it is found by the other machine")
    wait_for(lambda: len((found(browser, "worker one") or {"endpoints": []})["endpoints"]) > 1, 3)
    record = found(browser, "worker one") or {"endpoints": []}
    report.check(f"{one.address}:5001" in record["endpoints"], "with its IPv4 address")
    report.check(
        any(text.startswith("[fe80::") and text.endswith("%eth0]:5001") for text in record["endpoints"]),
        "and its link-local IPv6 address with the interface's name")
    late = browse(two, seconds=15)
    expect(lambda: found(late, "worker one"), 3, "a browser that comes later finds it")

    second = announce(one, "second", 5002, dev="cpu")
    expect(lambda: found(browser, "second", dev="cpu"), 3, "another one of the same machine is found")
    second.say(f"v=1 net={TAG} dev=gpu")
    expect(lambda: found(browser, "second", dev="gpu"), 5, "a change of its TXT record arrives")
    second.say("stop")
    expect(lambda: gone(browser, "second"), 3, "one that stops is withdrawn")
    report.check(said(second, "stopped") and second.alive(), "though it lives")
    report.check(not other.lines()[1:], "a browser of another network is told of neither")

    worker.kill()
    expect(lambda: gone(browser, "worker one"), 3, "a killed announcer is withdrawn")
    worker = announce(one, "worker one", 5003)
    expect(lambda: found(browser, "worker one", port=5003), 3, "one that comes back with another port is found with it")

    for kill in (False, True):
        how = "killed" if kill else "ended"
        began = time.monotonic()
        one.restart_avahi(kill)
        expect(lambda: said(worker, "interrupted", began) and said(worker, "announced", began), 12, f"a daemon {how} and back: registered again")
        # A daemon that was killed has taken nothing back, so nobody hears of it.
        expect(lambda: found(browser, "worker one", since=0 if kill else began, port=5003), 12, "and found again")
        began = time.monotonic()
        two.restart_avahi(kill)
        expect(lambda: said(browser, "interrupted", began), 3, f"the browser's daemon {how} and back: it notices")
        expect(lambda: found(browser, "worker one", since=began, port=5003), 12, "and finds it again")

    before = one.address
    one.change_address(101)
    expect(
        lambda: (lambda record: record and f"{one.address}:5003" in record["endpoints"])(found(browser, "worker one")), 5,
        "a new address arrives")
    expect(
        lambda: (lambda record: record and f"{before}:5003" not in record["endpoints"])(found(browser, "worker one")), 5,
        "the old one is told no more")
    began = time.monotonic()
    two.interface_down()
    expect(lambda: gone(browser, "worker one"), 5, "without an interface nothing is known")
    two.interface_up()
    expect(lambda: found(browser, "worker one", since=began), 12, "with it all is found again")
    two.stop_avahi()
    expect(lambda: gone(browser, "worker one"), 3, "without a daemon nothing is known")
    time.sleep(3)
    two.start_avahi()
    expect(lambda: found(browser, "worker one"), 12, "until there is one again")
    for program in (browser, other, worker, second):
        program.end()


def missing(wire):
    alone = wire.node(avahi=False)
    browser = browse(alone, seconds=60)
    words = expect(lambda: next((line["interrupted"] for line in browser.lines() if "interrupted" in line), None), 3, "without a daemon that is said")
    report.check(words and "avahi-daemon" in words, "with its name")
    alone.start_avahi()
    expect(lambda: said(browser, "browsing"), 12, "when it comes, browsing begins")


def flood(wire):
    one, two, liar = wire.node(), wire.node(), wire.node(avahi=False)
    browser = browse(two)
    first = announce(one, "true before", 5001)
    expect(lambda: found(browser, "true before"), 3, "a true record before the flood is found")
    threads = lambda: len(os.listdir(f"/proc/{browser.pid}/task"))
    peak = {"threads": 0, "memory": 0}

    def send(count, rate):
        """Sends so many lies, and watches meanwhile."""
        sender = liar.start([
            sys.executable, HERE / "multicast.py", "--count", count, "--rate", rate, "--tag", TAG, "--ttl", 60, "--address", liar.address])
        while sender.alive():
            peak["threads"] = max(peak["threads"], threads())
            peak["memory"] = max(peak["memory"], browser.resident())
            time.sleep(0.1)
        report.note(sender.text().strip())

    send(2000, 500)
    warm = browser.resident()
    send(10000, 1000)
    second = announce(one, "true after", 5002)
    expect(lambda: found(browser, "true after"), 120, "a true record in the flood's wake is found")
    send(2000 if SHORT else 20000, 1000)
    third = announce(one, "true at last", 5003)
    expect(lambda: found(browser, "true at last"), 120, "and another, after endless new names")
    now = browser.resident()
    report.note(
        f"resident: {warm / 1e6:.1f} MB after 2,000 records, {now / 1e6:.1f} MB after all, at most {peak['memory'] / 1e6:.1f} MB;"
        f" at most {peak['threads']} threads")
    report.check(now < warm + 8e6, "memory stays flat")
    report.check(peak["threads"] <= 2 * 64 + 10, "and so do threads")
    lines = browser.lines()
    report.note(f"told: {sum('found' in line for line in lines)} found, {sum('gone' in line for line in lines)} gone")
    expect(lambda: found(browser, "true before"), 120, "the true record from before it is known")
    first.kill()
    expect(lambda: gone(browser, "true before"), 120, "and its end is heard of")
    report.check(browser.alive(), "the browser lives")
    for program in (browser, second, third):
        program.end()


if not os.access(PROBE, os.X_OK):
    stop(f"no peer-probe at {PROBE}: build it (swift build -c release --product peer-probe)")
why = possible()
if why:
    if os.environ.get("CI") == "true":
        stop(why)
    report.note(f"LEFT OUT: {why}")
    report.finish()
for part in (basics, missing, flood):
    if len(sys.argv) > 1 and part.__name__ not in sys.argv[1:]:
        continue
    with Wire() as wire:
        part(wire)
report.finish()
