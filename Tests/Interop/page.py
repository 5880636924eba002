"""Does the page at / do what it is for in a real browser: chatting by the keyboard alone, the machines as they come and go, the key, the
network, on wide and narrow windows, in light and dark?

Pictures of it go to the folder in $SWIFTLET_PICTURES, if that is set.
"""

import json
import signal
import subprocess
import time

from browser import Browser, Page
from interop import SMOLLM, RPCServer, Server
from page_parts import CONTRAST, SAME_ANSWERS, WAIT_FOR_ANSWER, pictures, quiet, report, walk

WAIT_FOR_CARDS = "document.querySelectorAll('#machines .card').length === 3"

# Markdown as models write it, and what becomes of it.
MARKDOWN = [
    ("one *two* **three _four_** `a*b*`", "<p>one <em>two</em> <strong>three <em>four</em></strong> <code>a*b*</code></p>"),
    ("snake_case_name and 2 * 3 * 4", "<p>snake_case_name and 2 * 3 * 4</p>"),
    ("# Title\ntext\nmore", "<h3>Title</h3><p>text\nmore</p>"),
    ("- a\n- b\n  1. c\n  2. d\n\nend", "<ul><li>a</li><li>b<ol><li>c</li><li>d</li></ol></li></ul><p>end</p>"),
    ("3. c\n4. d", '<ol start="3"><li>c</li><li>d</li></ol>'),
    ("> said\n> twice\n\n---", "<blockquote><p>said\ntwice</p></blockquote><hr>"),
    ("<img src=x onerror=alert(1)><script>alert(2)</script>",
     "<p>&lt;img src=x onerror=alert(1)&gt;&lt;script&gt;alert(2)&lt;/script&gt;</p>"),
    ("[here](javascript:alert(1)) \\*plain\\*", "<p>[here](javascript:alert(1)) *plain*</p>"),
]


def state_of(endpoint):
    return f"""[...document.querySelectorAll('#machines .card')]
        .find((card) => card.querySelector('.name').textContent === '{endpoint}')?.querySelector('.word').textContent"""


def chatting(page):
    report.check(page.wait(WAIT_FOR_CARDS, "cards"), "the machines are there")
    layers = page.value("[...document.querySelectorAll('#machines .layers')].map((node) => node.textContent)")
    report.check(len(layers) == 3 and all(text.startswith("layer") for text in layers), f"each has layers: {layers}")
    report.check(page.wait(f"document.getElementById('model').value === '{SMOLLM.stem}'", "model"), "the model is chosen")
    report.check(page.value("document.activeElement.id") == "question", "the question has the focus")
    page.picture(pictures / "desktop-light.png")

    page.type("Name three birds.")
    page.press("Enter", shift=True)
    page.type("Be short.")
    report.check(page.value("document.getElementById('question').value") == "Name three birds.\nBe short.", "Shift and Enter begin a new line")
    page.press("Enter")
    good = page.wait(WAIT_FOR_ANSWER, "answer", 30)
    answer = page.value("document.querySelector('#messages .message:last-child .text').innerText")
    report.check(good and len(answer) > 3, f"an answer: {answer[:50]!r}, {page.value('document.querySelector(`#messages .foot`).textContent')!r}")
    report.check(page.wait("document.getElementById('announcement').textContent.startsWith('Answer: ')", "announcement"), "the answer is announced")
    page.picture(pictures / "chat.png")

    page.type("Write a very long story about the sea, of many chapters.")
    page.press("Enter")
    page.wait("document.querySelector('#messages .message:last-child .text:not(:has(.waiting))')?.innerText.length > 20", "answer")
    report.check(page.value("document.getElementById('send').textContent") == "Stop", "an answer under way can be stopped")
    page.press("Escape")
    report.check(page.wait("/Stopped/.test(document.querySelector('#messages .message:last-child .foot').textContent)", "stop")
                 and page.value("document.getElementById('send').textContent") == "Send", "Esc stops it")
    walk(page, "with a chat")
    report.check(page.value(CONTRAST) == [], f"in light, every text can be read: {page.value(CONTRAST)}")


def shifts(page):
    """How much of the page moved by itself since it was opened, as browsers count that."""
    return page.value("""new Promise((resolve) => {
        let sum = 0;
        new PerformanceObserver((list) => { for (const entry of list.getEntries()) sum += entry.hadRecentInput ? 0 : entry.value; })
            .observe({ type: "layout-shift", buffered: true });
        setTimeout(() => resolve(sum), 200);
    })""")


def markdown(page):
    page.value("import('/page/markdown.js').then((module) => { window.showMarkdown = module.showMarkdown; })")
    show = "(() => { const at = document.createElement('div'); showMarkdown(at, %s); return at.innerHTML; })()"
    for text, wanted in MARKDOWN:
        found = page.value(show % json.dumps(text))
        report.check(found == wanted, f"Markdown {text[:30]!r}" + ("" if found == wanted else f": {found}"))
    fence = "```python\nprint('<b>')\n```\nafter"
    found = page.value(show % json.dumps(fence))
    report.check("<span>python</span>" in found and "<code>print('&lt;b&gt;')</code>" in found and found.endswith("<p>after</p>"), "fenced code, with its language")
    grown = page.value(f"""(() => {{
        const [whole, parts] = [document.createElement('div'), document.createElement('div')];
        const text = {json.dumps("".join(text + chr(10) * 2 for text, _ in MARKDOWN) + fence)};
        showMarkdown(whole, text);
        for (let end = 1; end <= text.length; end += 1) showMarkdown(parts, text.slice(0, end));
        return whole.innerHTML === parts.innerHTML;
    }})()""")
    report.check(grown, "a text that grows letter by letter ends as the whole one")
    started = time.monotonic()
    page.value(show % "'*a_`'.repeat(20000)")
    page.value(show % "'> - '.repeat(20000)")
    report.check(time.monotonic() - started < 10, "a text full of marks holds nothing up")


def losing(page, worker):
    worker.process.send_signal(signal.SIGKILL)
    worker.process.wait()
    report.check(page.wait(f"{state_of(worker.endpoint)} === 'Lost'", "lost", 20), "a worker that is killed is lost")
    report.check(page.wait("[...document.querySelectorAll('#events .kind')].some((node) => node.textContent === 'Lost')", "event"), "it is among the events")
    report.check(page.wait("document.getElementById('health').dataset.tone !== 'good'", "health"), "the head of the page says that one is missing")
    page.value("document.querySelector('aside').scrollTo(0, 0)")
    page.picture(pictures / "worker-lost.png")
    report.check(page.value(CONTRAST) == [], f"what is lost can be read: {page.value(CONTRAST)}")
    worker.process = subprocess.Popen(worker.command, stdin=subprocess.DEVNULL, stdout=worker.log, stderr=worker.log)
    report.check(page.wait(f"{state_of(worker.endpoint)} === 'Ready'", "back", 30), "it is ready when it is back")
    page.wait("document.getElementById('health').dataset.tone === 'good'", "health")
    page.picture(pictures / "worker-back.png")


def narrow(page):
    page.wait(WAIT_FOR_CARDS, "cards")
    page.value("document.getElementById('question').focus()")
    page.type("Print these birds in Python: gull, tern, auk.")
    page.press("Enter")
    page.wait(WAIT_FOR_ANSWER, "answer", 30)
    for view in ["chat", "machines", "network"]:
        page.value(f"document.querySelector('[data-shows={view}]').click()")
        wide = page.value("[document.documentElement.scrollWidth, innerWidth]")
        report.check(wide[0] <= wide[1], f"on a phone, {view}: {wide[0]} of {wide[1]} points wide")
        walk(page, f"on a phone, {view}")
        page.picture(pictures / f"phone-{view}.png")


def keyed(browser):
    with Server(SMOLLM, "--api-key", "open-sesame") as server:
        page = Page(browser)
        page.before(SAME_ANSWERS)
        page.open(server.url)
        report.check(page.wait("document.getElementById('key-dialog').open", "form"), "with a key, the page asks for it")
        page.picture(pictures / "key.png")
        report.check(page.value("document.activeElement.id") == "key", "its field has the focus")
        page.press("Escape")
        page.wait("!document.getElementById('key-dialog').open", "closed")
        time.sleep(2.5)
        report.check(not page.value("document.getElementById('key-dialog').open"), "closed, it does not come again by itself")
        walk(page, "without a key")
        page.value("document.getElementById('key-button').focus()")
        page.press("Enter")
        page.type("wrong")
        page.press("Enter")
        report.check(page.wait("/not right/.test(document.getElementById('key-reason').textContent)", "again"), "another key is told to be wrong")
        page.type("open-sesame")
        page.press("Enter")
        page.wait("document.getElementById('model').value", "models")
        page.wait("!document.getElementById('key-dialog').open", "closed")
        report.check(page.value("document.getElementById('model').value") == SMOLLM.stem, "the right one opens it")
        kept = page.value("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]")
        report.check(kept == [["open-sesame"], [], ""], f"it is kept in the tab only: {kept}")
        page.open(server.url)
        report.check(page.wait("document.getElementById('health').dataset.tone === 'good'", "ready")
                     and not page.value("document.getElementById('key-dialog').open"), "it is still there after a reload")
        quiet(page, "with a key", allowed=["401"])


def refusing(browser, server):
    """What is said while a model is loaded, and when an answer comes to nothing."""
    page = Page(browser)
    page.before(SAME_ANSWERS)
    loading = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
    page.stub({"/health": (503, json.dumps(loading))})
    page.open(server.url)
    report.check(page.wait("document.getElementById('health').textContent === 'Loading the model'", "loading"), "a model that is being loaded is said to be")
    report.check(page.value("document.getElementById('notice').checkVisibility()"), "also where one would chat")
    page.call("Fetch.disable")
    report.check(page.wait("document.getElementById('health').dataset.tone === 'good'", "ready"), "and to be ready when it is")
    full = {"error": {"message": "The queue is full. Try again later.", "code": "overloaded"}}
    page.stub({"/v1/chat/completions": (503, json.dumps(full))})
    page.type("Say <b>hello</b>.")
    page.press("Enter")
    error = "document.querySelector('.message .error span')?.textContent"
    report.check(page.wait(f"{error} === 'The queue is full. Try again later.'", "error"), f"an error is told in a sentence: {page.value(error)!r}")
    report.check(page.value("document.querySelector('.mine .text').innerHTML") == "Say &lt;b&gt;hello&lt;/b&gt;.", "what was asked is shown as it was written")
    page.picture(pictures / "error.png")
    page.call("Fetch.disable")
    page.value("document.querySelector('.message .error button').focus()")
    page.press("Enter")
    report.check(page.wait(WAIT_FOR_ANSWER, "answer", 30) and not page.value(f"{error} ?? ''"), "and tried again")
    quiet(page, "refused", allowed=["503", "404"])  # 404: asked whether there is a network, while that is not told


def network(browser, server):
    """What is said of a network, told by answers in the server's place."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    nodes = [
        {"id": "5f0c" * 8, "name": "cellar", "role": "worker", "version": "0.9", "addresses": ["10.0.0.7:50052"], "devices": "CPU 16 GiB",
         "is_online": True, "last_seen": now, "reason": None},
        {"id": "77aa" * 8, "name": "garden", "role": "worker", "version": "0.8", "addresses": ["10.0.0.8:50052", "[fd00::8]:50052"], "devices": "",
         "is_online": True, "last_seen": now, "reason": "It speaks another version of the protocol."},
        {"id": "0b1e" * 8, "name": "roof", "role": "head", "version": "0.9", "addresses": [], "devices": "", "is_online": False, "last_seen": now, "reason": None},
    ]
    told = {"network": {"id": "attic", "node_id": "c0de" * 8, "worker_command": "swiftlet worker --p2p", "start_time": now, "nodes": nodes}}
    listed = json.loads(server.get("/v1/nodes")[2]) | {"has_network": True}
    refused = {"error": {"message": "This server wants the admin key for this.", "code": "missing_admin_key"}}
    page = Page(browser, dark=True)
    page.before(SAME_ANSWERS)
    page.stub({"/v1/nodes": (200, json.dumps(listed)), "/api/p2p": (200, json.dumps(told)), "/api/p2p/token": (401, json.dumps(refused))})
    page.open(server.url)
    names = "[...document.querySelectorAll('#peers .name')].map((node) => node.textContent).join()"
    report.check(page.wait(f"{names} === 'cellar,garden,roof'", "nodes"), f"the network's nodes are listed: {page.value(names)}")
    line = "document.querySelector('.command code').textContent"
    report.check(page.value(line).startswith("swiftlet worker --p2p --p2p-token •"), f"the line to run: {page.value(line)}")
    button = "[...document.querySelectorAll('#network button')].find((node) => /token/.test(node.textContent))"
    page.value(f"{button}.scrollIntoView(), {button}.focus()")
    page.press("Enter")
    report.check(page.wait("document.getElementById('key-dialog').open && /admin/i.test(document.getElementById('key-title').textContent)", "form"),
                 "the token wants the admin key")
    page.stubs["/api/p2p/token"] = (200, "dG9rZW4=")
    page.type("admin")
    page.press("Enter")
    report.check(page.wait(f"{line} === 'swiftlet worker --p2p --p2p-token dG9rZW4='", "token"), "with it the token is shown")
    report.check(page.value(CONTRAST) == [], f"in dark, every text can be read: {page.value(CONTRAST)}")
    walk(page, "with a network")
    page.picture(pictures / "network.png")
    page.value(f"{button}.click()")
    report.check("dG9rZW4=" not in page.value(line), "and hidden again")
    quiet(page, "with a network", allowed=["401"])


with RPCServer("swiftlet", "-m", "512M") as first, RPCServer("swiftlet", "-m", "512M") as second, \
        Server(SMOLLM, "--workers", f"{first.endpoint},{second.endpoint}", "--split", "1,1,1", parallel=2) as server, Browser() as browser:
    wide = Page(browser)
    wide.before(SAME_ANSWERS)
    wide.open(server.url)
    chatting(wide)
    moved = shifts(wide)
    report.check(moved < 0.1, f"nothing jumps: {moved:.3f} of the page moved by itself (at most 0.1)")
    markdown(wide)
    losing(wide, second)
    quiet(wide, "chatting")

    dark = Page(browser, dark=True, motion=False)
    dark.before(SAME_ANSWERS)
    dark.open(server.url)
    dark.wait(WAIT_FOR_CARDS, "cards")
    dark.type("Say hello.")
    dark.press("Enter")
    report.check(dark.value("getComputedStyle(document.querySelector('.waiting') ?? document.body, '::after').animationName") == "none", "no motion where none is wanted")
    dark.wait(WAIT_FOR_ANSWER, "answer", 30)
    report.check(dark.value(CONTRAST) == [], f"in dark, every text can be read: {dark.value(CONTRAST)}")
    dark.picture(pictures / "desktop-dark.png")
    quiet(dark, "in dark")

    phone = Page(browser, width=390, height=844)
    phone.before(SAME_ANSWERS)
    phone.open(server.url)
    narrow(phone)
    quiet(phone, "on a phone")
    refusing(browser, server)
    network(browser, server)
    keyed(browser)
report.finish()
