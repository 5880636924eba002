"""A headless Chromium to look at pages with, driven through a pipe by its DevTools protocol."""

import base64
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse

from interop import SCRATCH, stop

# Names under which distributions have it.
PROGRAMS = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]


def program():
    """The path of a browser; None where there is none."""
    # As scripts/lib/common.sh finds it.
    named = os.environ.get("SWIFTLET_BROWSER")
    return named or next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """A browser of its own folder, with one page at a time; a context manager."""

    def __enter__(self):
        (read_here, write_there), (read_there, write_here) = os.pipe(), os.pipe()
        # The browser reads commands at 3 and writes answers at 4.
        script = 'exec "$0" "$@" 3<&{} 4>&{}'.format(read_there, write_there)
        self.process = subprocess.Popen(
            ["bash", "-c", script, program(), "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu",
             "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run", "--no-default-browser-check",
             "--hide-scrollbars", "--force-color-profile=srgb", f"--user-data-dir={SCRATCH}/browser-{time.monotonic_ns()}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(read_there, write_there),
            start_new_session=True)
        os.close(read_there)
        os.close(write_there)
        self.output = os.fdopen(write_here, "wb", buffering=0)
        self.input = os.fdopen(read_here, "rb", buffering=0)
        self.answers, self.listeners, self.number = {}, [], 0
        self.changed = threading.Condition()  # its lock can be taken again by the thread that has it
        threading.Thread(target=self.read, daemon=True).start()
        return self

    def __exit__(self, *unused):
        self.output.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def read(self):
        rest = b""
        while piece := self.input.read(1 << 16):
            *messages, rest = (rest + piece).split(b"\0")
            for message in map(json.loads, messages):
                with self.changed:
                    if "id" in message:
                        self.answers[message["id"]] = message
                        self.changed.notify_all()
                for listener in self.listeners:
                    listener(message)

    def send(self, method, session, parameters):
        """Says something whose answer somebody waits for, or nobody; gives its number."""
        with self.changed:
            self.number += 1
            message = {"id": self.number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
            self.output.write(json.dumps(message).encode() + b"\0")
            return self.number

    def call(self, method, session=None, patience=20, **parameters):
        with self.changed:
            number = self.send(method, session, parameters)
            if not self.changed.wait_for(lambda: number in self.answers, patience):
                stop(f"the browser did not answer {method} within {patience} s")
            answer = self.answers.pop(number)
        if "error" in answer:
            stop(f"the browser refused {method}: {answer['error']}")
        return answer["result"]


class Page:
    """A page in a window and a session (cookies, storage) of its own. Remembers what it said, and what it asked for."""

    def __init__(self, browser, width=1280, height=800, dark=False, motion=True):
        self.browser = browser
        self.said, self.asked, self.stubs = [], [], {}
        self.context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        browser.listeners.append(self.hear)
        for domain in ["Page", "Runtime", "Network", "Log", "Accessibility", "DOM"]:
            self.call(f"{domain}.enable")
        self.size(width, height)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "no-preference" if motion else "reduce"}])

    def call(self, method, **parameters):
        return self.browser.call(method, session=self.session, **parameters)

    def hear(self, message):
        if message.get("sessionId") != self.session:
            return
        method, parameters = message.get("method"), message.get("params", {})
        if method == "Fetch.requestPaused":
            path = urllib.parse.urlsplit(parameters["request"]["url"]).path
            status, body = self.stubs[path]
            self.browser.send("Fetch.fulfillRequest", self.session, {
                "requestId": parameters["requestId"], "responseCode": status, "body": base64.b64encode(body.encode()).decode()})
        elif method == "Network.requestWillBeSent":
            self.asked.append(parameters["request"]["url"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] in ("warning", "error"):
            self.said.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}".strip())
        elif method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.said.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("warning", "error", "assert"):
            self.said.append(" ".join(str(part.get("value", part.get("description"))) for part in parameters["args"]))

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def stub(self, answers):
        """Answers what the page asks at some paths in the server's place: {path: (status, text)}."""
        self.stubs = answers
        self.call("Fetch.enable", patterns=[{"urlPattern": f"*{path}"} for path in answers])

    def before(self, script):
        """Runs a script in every page that is opened from now on, before its own."""
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'", "the page is there")

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            stop(f"in the page: {details.get('exception', {}).get('description') or details['text']}\n{expression}")
        return answer["result"].get("value")

    def wait(self, expression, what, patience=15):
        """Whether the expression comes true in time; what it was is told where it does not."""
        deadline = time.monotonic() + patience
        while not self.value(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def press(self, key, shift=False):
        codes = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), " ": (32, " "), "ArrowDown": (40, "")}
        code, text = codes[key]
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        """Key by key."""
        for letter in text:
            self.call("Input.dispatchKeyEvent", type="keyDown", key=letter, text=letter)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=letter)

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def name_of_focused(self):
        """What assistive technology is told of the element that has the focus: (role, name)."""
        node = self.call("Runtime.evaluate", expression="document.activeElement")["result"]["objectId"]
        tree = self.call("Accessibility.getPartialAXTree", objectId=node, fetchRelatives=False)["nodes"][0]
        return tree.get("role", {}).get("value", ""), tree.get("name", {}).get("value", "")
