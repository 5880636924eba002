"""Standard streams that are closed or break, and signals: what each command's end says then."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.request

from interop import SMOLLM, SWIFTLET, TEXT, free_port

ONCE = {
    "devices": ["devices"],
    "inspect": ["inspect", SMOLLM],
    "tokenize": ["tokenize", "-m", SMOLLM, "-p", "The harbour"],
    "plan": ["plan", "-m", SMOLLM],
    "run": ["run", "-m", SMOLLM, "-p", "The harbour", "-n", "8", "--no-progress"],
    "bench": ["bench", "-m", SMOLLM, "-p", "8", "-n", "2", "-r", "1", "--no-progress"],
    "perplexity": ["perplexity", "-m", SMOLLM, "--file", TEXT, "--ctx-size", "128", "--chunks", "1", "--no-progress"],
    "doctor": ["doctor"],
    "help": ["--help"],
}
# What it writes is a file's, not standard output's.
TO_FILES = {"eval": ["eval", "-m", SMOLLM, "--tokens", "1,2,3", "--output", "/dev/null"]}


def once(name, **streams):
    command = [SWIFTLET, *map(str, (ONCE | TO_FILES)[name])]
    return subprocess.run(command, **{"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60, **streams})


def shell(name, redirection):
    """The status of a command whose streams a shell redirects, and what it says on standard error."""
    command = " ".join([str(SWIFTLET), *(f"'{part}'" for part in map(str, (ONCE | TO_FILES)[name]))])
    done = subprocess.run(["bash", "-c", f"{command} {redirection}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
    return done.returncode, done.stderr.decode(errors="replace")


def check(report):
    for name in ONCE:
        reading, writing = os.pipe()
        os.close(reading)
        done = once(name, stdout=writing)
        os.close(writing)
        report.check(done.returncode in (0, -signal.SIGPIPE) and b"Error" not in done.stderr, f"{name} | a reader that left: ends quietly, status {done.returncode}, {done.stderr[-200:]}")
        if name == "help":
            continue  # Written by a library, which looks at nothing.
        status, said = shell(name, ">&-")
        report.check(status == 1 and "cannot write" in said, f"{name}, standard output closed: status {status}, {said.strip()[-200:]}")
        status, said = shell(name, "> /dev/full")
        report.check(status == 1 and "No space left" in said, f"{name}, standard output full: status {status}, {said.strip()[-200:]}")
        status, _ = shell(name, "2>&-")
        report.check(status == 0, f"{name}, standard error closed: status {status}")
        status, _ = shell(name, "<&- 2> /dev/full")
        report.check(status == 0, f"{name}, standard input closed and standard error full: status {status}")
    for name in TO_FILES:
        for redirection in (">&-", "2>&-", "<&- >&- 2>&-", "2> /dev/full"):
            status, _ = shell(name, redirection)
            report.check(status == 0, f"{name} {redirection}: status {status}")
    for name in ("worker", "serve"):
        log_reader_leaves(report, name)
        for number, wanted in ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGHUP, 0)):
            with Daemon(name) as daemon:
                daemon.process.send_signal(number)
                report.check(daemon.status() == wanted, f"{name}, {number.name}: status {daemon.process.returncode} ({wanted})")
        with Daemon(name) as daemon:
            for number in (signal.SIGPIPE, signal.SIGCONT, signal.SIGWINCH, signal.SIGURG):
                daemon.process.send_signal(number)
            time.sleep(0.2)
            report.check(daemon.answers(), f"{name}: serves on after SIGPIPE, SIGCONT, SIGWINCH and SIGURG")
        for streams in (">&-", "2>&-", "<&- >&- 2>&-"):
            with Daemon(name, streams) as daemon:
                report.check(daemon.answers(), f"{name} {streams}: serves")
                report.check(daemon.answers(), f"{name} {streams}: serves on")
                daemon.process.send_signal(signal.SIGTERM)
                report.check(daemon.status() == 0, f"{name} {streams}, SIGTERM: status {daemon.process.returncode}")


class Daemon:
    """A worker or server whose streams are a shell's redirections, or a pipe that the test reads."""

    def __init__(self, name, redirection=None):
        self.name = name
        self.port = free_port()
        more = ["-H", "127.0.0.1", "-p", self.port, "-t", 1] if name == "worker" else \
            ["-m", SMOLLM, "--host", "127.0.0.1", "--port", self.port, "--ctx-size", 256, "--threads", 1]
        words = [str(word) for word in [SWIFTLET, name, *more]]
        if redirection is None:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        else:
            # In the shell's place, so that signals come to it.
            self.process = subprocess.Popen(["bash", "-c", "exec " + " ".join(f"'{word}'" for word in words) + " " + redirection])

    def __enter__(self):
        deadline = time.monotonic() + 30
        while not self.answers() and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.05)
        return self

    def __exit__(self, *unused):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def answers(self):
        if self.process.poll() is not None:
            return False
        with contextlib.suppress(OSError):
            if self.name == "serve":
                return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2).status == 200
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as client:
                client.sendall(b"\x0e" + (24).to_bytes(8, "little") + bytes(24))
                return len(client.recv(8)) == 8
        return False

    def status(self):
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            return None


def log_reader_leaves(report, name):
    with Daemon(name) as daemon:
        daemon.process.stdout.close()
        daemon.process.stdout = None
        for _ in range(3):
            # A line in the log, each.
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", daemon.port), timeout=5) as client:
                client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: nowhere.example\r\n\r\n")
                client.shutdown(socket.SHUT_WR)
                client.recv(100)
        report.check(daemon.answers(), f"{name}, its log's reader has left: serves on")
        daemon.process.send_signal(signal.SIGTERM)
        report.check(daemon.status() == 0, f"… and ends at SIGTERM with status {daemon.process.returncode}")
