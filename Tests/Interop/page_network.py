"""Is the page at / of use to somebody who puts machines together? A real network of peers on this machine's loopback: a head without
workers, workers that come with a token, one that is added by the very command that the page shows, one that is killed and comes back,
with a chat all the while.

There is no multicast on the loopback, so each has --no-mdns, and the head --p2p-peer for the ports of the workers to come: nothing else is
different from what a person does. Pictures go to the folder in $SWIFTLET_PICTURES, if that is set.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import time

from browser import Browser, Page
from interop import SCRATCH, SMOLLM, SWIFTLET, Program, Server, free_port, stop, swiftlet
from page_parts import CONTRAST, SAME_ANSWERS, WAIT_FOR_ANSWER, pictures, quiet, report, walk

ADMIN_KEY = "the-admin-key"
LONG_NAME = "the-old-laptop-in-the-cellar-behind-the-washing-machine.example"
LINE = "document.querySelector('.command code')?.textContent ?? ''"
TOKEN_BUTTON = "[...document.querySelectorAll('#network button')].find((node) => /the token/.test(node.textContent))"
# What holds more than it is wide: nobody scrolls sideways in a list.
TOO_WIDE = """[...document.querySelectorAll('.scroller, .scroller section, .cards, .card, #network')]
    .filter((node) => node.checkVisibility() && node.scrollWidth > node.clientWidth + 1).map((node) => `${node.tagName} ${node.id || node.className}`)"""
CHROMIUM_SAYS = ["503"]  # of /health while there is no room, whatever a page does with the answer

token = SCRATCH / "network.token"
swiftlet("token", "new", "--output", token)
# The command that is copied says just `swiftlet`.
programs = SCRATCH / "programs"
programs.mkdir()
(programs / "swiftlet").symlink_to(SWIFTLET)


def home_of(name):
    """An environment like another machine's: a home folder of its own, and nothing of ours."""
    home = SCRATCH / f"home-{name}"
    home.mkdir(exist_ok=True)
    return {"HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}"}


class PeerWorker(Program):
    """`swiftlet worker --p2p` on a machine of its own, as far as it knows."""

    def __init__(self, name, port, command=None):
        self.name, self.port = name, port
        self.environment = home_of(name)
        self.log = open(SCRATCH / f"peer-{port}.log", "ab")
        self.command = command or f"swiftlet worker --p2p --p2p-token-file {token} --no-mdns --p2p-port {port} --p2p-name '{name}' -m 2G -t 1"

    def __enter__(self):
        self.process = subprocess.Popen(
            ["sh", "-c", f"exec {self.command}"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=self.environment)
        return self

    def __exit__(self, *unused):
        # Told to stop, the last one would wait for a head that has nowhere else to go.
        self.kill()
        self.log.close()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class PeerHead(Server):
    """A head that may have to wait for its workers: it is there as soon as it answers at all."""

    def __enter__(self):
        environment = home_of("head")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment)
        for _ in range(600):
            with contextlib.suppress(OSError):
                self.get("/health")
                return self
            time.sleep(0.05)
        stop(f"swiftlet serve does not listen:\n{self.tail()}")


def state_of(name, list_id="machines"):
    return f"""[...document.querySelectorAll('#{list_id} .card')]
        .find((card) => card.querySelector('.name').textContent === '{name}')?.querySelector('.word').textContent"""


def card_text(name):
    return f"[...document.querySelectorAll('#machines .card')].find((card) => card.querySelector('.name').textContent === '{name}')?.innerText ?? ''"


def show_part(page, part):
    """Brings a part of the side into sight."""
    page.value(f"document.querySelector('[data-part={part}]').scrollIntoView()")


def ask(page, question, patience=30):
    page.value("document.getElementById('question').focus()")
    page.type(question)
    page.press("Enter")
    return page.wait(WAIT_FOR_ANSWER, "answer", patience)


def nobody_there(page):
    """What is shown before there is a worker, and what is said to do about it."""
    report.check(page.wait("document.getElementById('health').dataset.tone === 'bad'", "state", 20), "a head without room says so")
    notice = page.value("document.getElementById('notice').innerText")
    report.check(len(notice) > 20 and notice.endswith("."), f"and why, where one would chat: {notice!r}")
    report.check(page.wait("/appear here/.test(document.getElementById('machines-note').textContent)", "note"), "the list of machines says what comes next")
    report.check(page.wait("/No other machine/.test(document.getElementById('peers-note')?.textContent)", "note"), "and so does the network")
    report.check(page.value(CONTRAST) == [], f"all of that can be read: {page.value(CONTRAST)}")
    page.picture(pictures / "network-nobody.png")


def machines(page, workers):
    names = [worker.name for worker in workers]
    for name in names:
        report.check(page.wait(f"{state_of(name)} === 'Ready'", name, 30), f"{name[:20]} is ready")
    for worker in workers:
        text = page.value(card_text(worker.name))
        report.check(f"127.0.0.1:{worker.port}" in text and "layer" in text and "free of 2 GiB" in text and " ms" in text,
                     f"with its address, layers, memory and round trip: {' / '.join(text.split(chr(10)))}")
    cut = page.value(f"""(() => {{ const name = [...document.querySelectorAll('#machines .name')].find((node) => node.title === '{LONG_NAME}');
        return name && [name.scrollWidth > name.clientWidth, name.getBoundingClientRect().height < 30]; }})()""")
    report.check(cut == [True, True], "a long name is cut, and whole in its title")
    ids = page.value("[...document.querySelectorAll('#machines .place')].map((node) => node.title).filter(Boolean)")
    report.check(all(len(text) == len("Node ") + 32 for text in ids) and len(ids) == len(workers), "ids are in titles")
    report.check(page.value(TOO_WIDE) == [], f"nothing is wider than its place: {page.value(TOO_WIDE)}")
    report.check(not page.value("/[0-9a-f]{32}/.test(document.querySelector('aside').innerText)"), "and nowhere else")
    report.check(page.wait(" && ".join(f"{state_of(name, 'peers')} === 'Online'" for name in names), "peers"), "the network lists them as online")
    events = page.value("[...document.querySelectorAll('#events li')].map((node) => node.innerText)")
    report.check(any("Joined" in text and names[0] in text for text in events), f"events call them by name: {events[:3]}")
    page.wait("document.getElementById('health').dataset.tone === 'good'", "health")
    report.check(page.value("document.getElementById('notice').hidden"), "nothing is in the way of a chat")


def adding(page, port):
    """The command that the page shows adds a machine, when it is run as it stands."""
    show_part(page, "network")
    report.check(page.value(LINE).startswith("swiftlet worker --p2p --p2p-token •"), f"the line to run, without the token: {page.value(LINE)}")
    page.value(f"{TOKEN_BUTTON}.focus()")
    page.press("Enter")
    report.check(page.wait("document.getElementById('key-dialog').open", "form"), "the token wants the admin key")
    page.press("Escape")
    page.wait("!document.getElementById('key-dialog').open", "closed")
    asked = len(page.asked)
    page.wait("false", "some rounds of looking", 2.5)
    report.check(page.value("document.getElementById('health').dataset.tone") == "good" and len(page.asked) > asked, "without it the rest is shown as before")
    page.value(f"{TOKEN_BUTTON}.focus()")
    page.press("Enter")
    page.wait("document.getElementById('key-dialog').open", "form")
    page.type("wrong")
    page.press("Enter")
    report.check(page.wait("/not right/.test(document.getElementById('key-reason').textContent)", "again"), "another key is refused")
    report.check("•" in page.value(LINE), "and shows nothing")
    page.type(ADMIN_KEY)
    page.press("Enter")
    secret = token.read_text().strip()
    report.check(page.wait(f"{LINE} === 'swiftlet worker --p2p --p2p-token {secret}'", "token"), "the right one shows the token")
    page.picture(pictures / "network-token.png")
    page.browser.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"], browserContextId=page.context)
    page.value("document.querySelector('.command button').focus()")
    page.press("Enter")
    report.check(page.wait("document.querySelector('.command button').textContent === 'Copied'", "copied"), "it is copied by the keyboard too")
    copied = page.value("navigator.clipboard.readText()")
    report.check(copied == f"swiftlet worker --p2p --p2p-token {secret}", "as it is shown")
    page.value(f"{TOKEN_BUTTON}.click()")
    report.check(secret not in page.value("document.documentElement.outerHTML"), "hidden, the token is nowhere in the page")
    return PeerWorker("added", port, f"{copied} --no-mdns --p2p-port {port} --p2p-name added")


def losing(page, worker):
    page.value("document.getElementById('question').focus()")
    page.type("Write a long story about the sea.")
    page.press("Enter")
    page.wait("document.querySelector('#messages .message:last-child .text:not(:has(.waiting))')?.innerText.length > 20", "answer")
    worker.kill()
    killed = time.monotonic()
    report.check(page.wait(f"{state_of(worker.name)} === 'Lost'", "lost", 12), "a worker that is killed is lost")
    report.check(page.wait("document.getElementById('health').dataset.tone === 'warn'", "health", 5), "the head of the page says that one is missing")
    show_part(page, "machines")
    page.picture(pictures / "network-lost.png")
    report.check(page.value(CONTRAST) == [], f"what is lost can be read: {page.value(CONTRAST)}")
    report.check(page.wait(WAIT_FOR_ANSWER, "answer", 30), f"the answer goes on to its end: {page.value('[...document.querySelectorAll(`.foot`)].at(-1).textContent')!r}")
    gone = page.wait(f"!({state_of(worker.name)}) && !({state_of(worker.name, 'peers')})", "gone", 40)
    report.check(gone, f"after {time.monotonic() - killed:.0f} s it is in no list any more")
    report.check(page.wait("document.getElementById('health').dataset.tone === 'good'", "health"), "and is missed no longer")
    worker.__enter__()
    report.check(page.wait(f"{state_of(worker.name)} === 'Ready'", "back", 40), "back, it is ready again")
    report.check(ask(page, "Name three birds."), "and the chat goes on")
    page.wait("document.getElementById('health').dataset.tone === 'good'", "health")
    page.picture(pictures / "network-back.png")


def narrow(browser, server):
    page = Page(browser, width=390, height=844)
    page.before(SAME_ANSWERS)
    page.open(server.url)
    page.wait("document.querySelectorAll('#peers .card').length >= 2 && document.querySelectorAll('#events li').length", "cards")
    for view in ["chat", "machines", "network"]:
        page.value(f"document.querySelector('[data-shows={view}]').click()")
        if view == "chat":
            ask(page, "Print these birds in Python: gull, tern, auk.")
        wide = page.value("[document.documentElement.scrollWidth, innerWidth]")
        report.check(wide[0] <= wide[1], f"on a phone, {view}: {wide[0]} of {wide[1]} points wide")
        report.check(page.value(TOO_WIDE) == [], f"and nothing in it is wider than its place: {page.value(TOO_WIDE)}")
        walk(page, f"on a phone, {view}")
        page.value("document.querySelector('aside').scrollTo(0, 0)")
        page.picture(pictures / f"network-phone-{view}.png")
    quiet(page, "on a phone")


def loading(browser, server):
    """A large model takes minutes, in which machines can join already."""
    page = Page(browser)
    page.stub({"/health": (503, '{"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}')})
    page.open(server.url)
    report.check(page.wait("document.querySelectorAll('#peers .card').length === 3", "nodes"), "while the model is loaded, the network is there")
    report.check(page.value("document.getElementById('notice').checkVisibility()"), "and it is said what is waited for")
    page.picture(pictures / "network-loading.png")
    page.call("Fetch.disable")
    report.check(page.wait("document.querySelectorAll('#machines .card').length === 3", "machines"), "then come the machines")


ports = [free_port() for _ in range(3)]
peers = [part for port in ports for part in ("--p2p-peer", f"127.0.0.1:{port}")]
with contextlib.ExitStack() as stack:
    head = stack.enter_context(PeerHead(
        SMOLLM, "--no-local", "--p2p", "--p2p-token-file", token, "--no-mdns", *peers, "--p2p-name", "head", "--admin-key", ADMIN_KEY, parallel=2))
    browser = stack.enter_context(Browser())
    page = Page(browser)
    page.before(SAME_ANSWERS)
    page.open(head.url)
    nobody_there(page)
    workers = [stack.enter_context(PeerWorker(name, port)) for name, port in zip(["attic", LONG_NAME], ports)]
    machines(page, workers)
    report.check(ask(page, "Say hello."), "a chat, by the keyboard alone")
    show_part(page, "machines")
    page.picture(pictures / "network-light.png")
    walk(page, "with a network")

    third = stack.enter_context(adding(page, ports[2]))
    report.check(page.wait(f"{state_of('added', 'peers')} === 'Online'", "added", 30), "that command, run as it is, adds a machine to the network")
    report.check(page.wait(f"['Ready', 'Idle'].includes({state_of('added')})", "used", 30), f"which gets layers or is listed: {page.value(state_of('added'))}")
    losing(page, workers[0])

    dark = Page(browser, dark=True, motion=False)
    dark.before(SAME_ANSWERS)
    dark.open(head.url)
    dark.wait("document.querySelectorAll('#peers .card').length === 3 && document.querySelectorAll('#events li').length", "cards")
    ask(dark, "Say hello.")
    report.check(dark.value(CONTRAST) == [], f"in dark, every text can be read: {dark.value(CONTRAST)}")
    dark.picture(pictures / "network-dark.png")
    show_part(dark, "network")
    dark.picture(pictures / "network-dark-peers.png")
    quiet(dark, "in dark")
    narrow(browser, head)
    loading(browser, head)
    report.check(token.read_text().strip() not in pathlib.Path(head.log.name).read_text(), "the head's log does not tell the token")
    quiet(page, "all the while", allowed=["401", *CHROMIUM_SAYS])
report.finish()
