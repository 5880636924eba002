"""Workers and servers on people's machines: sizes in another unit, no home, full disks, few descriptors, probes, one machine named twice."""

import contextlib
import json
import os
import pathlib
import socket
import struct
import subprocess
import time

from interop import GEMMA, SCRATCH, SMOLLM, SWIFTLET, RPCServer, Server, free_port


def run(*arguments, **options):
    done = subprocess.run([SWIFTLET, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, **options)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def check(report):
    sizes(report)
    homes(report)
    full_disk(report)
    descriptors(report)
    probes(report)
    named_twice(report)
    silence(report)
    doctor(report)


def sizes(report):
    for arguments in (["worker", "-m", "8192"], ["worker", "-c", "--cache-size", "32"], ["worker", "--max-graph", "16"], ["worker", "--max-kept-graphs", "100"],
                      ["serve", "-m", SMOLLM, "--max-body", "8"]):
        status, _, said = run(*arguments)
        report.check(status == 64 and "did you mean" in said, f"{' '.join(map(str, arguments[-2:]))}: refused ({said.strip().splitlines()[0][:100] if said else status})")


def homes(report):
    """Where the cache is, without a home folder in the environment: the system's word for it, never the working directory."""
    for name, change in (("unset", {"HOME": None}), ("empty", {"HOME": ""}), ("relative", {"HOME": "here", "XDG_CACHE_HOME": "there"})):
        folder = SCRATCH / f"home-{name}"
        folder.mkdir()
        environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_CACHE_HOME", "CACHE_DIRECTORY", "STATE_DIRECTORY")}
        environment.update({key: value for key, value in change.items() if value is not None})
        port = free_port()
        worker = subprocess.Popen([SWIFTLET, "worker", "-c", "-p", str(port)], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(1)
        worker.terminate()
        said = worker.communicate(timeout=20)[0].decode(errors="replace")
        place = next((line for line in said.splitlines() if "cache" in line), said.strip())
        report.check(not list(folder.iterdir()) and ("cache: /" in said or worker.returncode not in (0, -15)), f"HOME {name}: {place.strip()[:120]}")
    cache = SCRATCH / "systemd"
    cache.mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_CACHE_HOME")}
    worker = subprocess.Popen([SWIFTLET, "worker", "-c", "-p", str(free_port())], env=dict(environment, CACHE_DIRECTORY=str(cache)), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(1)
    worker.terminate()
    report.check(str(cache) in worker.communicate(timeout=20)[0].decode(errors="replace"), "systemd's folder for caches is used")


def full_disk(report):
    """A cache on a disk that has less free than it leaves free keeps nothing, and says so once."""
    folder = SCRATCH / "small"
    folder.mkdir()
    port = free_port()
    inside = f"mount -t tmpfs -o size=64m small '{folder}' && head -c 63M /dev/zero > '{folder}/filler' && exec '{SWIFTLET}' worker -c --cache-dir '{folder}/tensors' -p {port}"
    worker = subprocess.Popen(["unshare", "-m", "bash", "-c", inside], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    time.sleep(1)
    if worker.poll() is not None and b"Operation not permitted" in (said := worker.communicate()[0]):
        return report.note("LEFT OUT: no small disk can be mounted here")
    run("eval", "-m", SMOLLM, "--tokens", "1,2", "--output", "/dev/null", "--workers", f"127.0.0.1:{port}", "--no-local", "--no-progress")
    worker.terminate()
    lines = [line for line in worker.communicate(timeout=20)[0].decode(errors="replace").splitlines() if "free" in line and "warning" in line]
    report.check(len(lines) == 1, f"a disk without room: said once ({lines[:2]})")


def descriptors(report):
    """More clients than files may be open: accepting rests, and goes on when some leave."""
    port = free_port()
    command = f"ulimit -Sn 64; ulimit -Hn 64; exec '{SWIFTLET}' serve -m '{SMOLLM}' --port {port} --ctx-size 256 --no-progress"
    log = open(SCRATCH / "few.log", "wb")
    server = subprocess.Popen(["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    clients = []
    with contextlib.suppress(OSError):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.05)
        time.sleep(0.5)
        for _ in range(120):
            clients.append(socket.create_connection(("127.0.0.1", port), timeout=5))
    before = cpu_seconds(server.pid)
    time.sleep(3)
    used = cpu_seconds(server.pid) - before
    report.check(used < 0.6, f"64 descriptors, {len(clients)} clients: {used / 3:.0%} of a core while they last")
    for client in clients:
        client.close()
    good = False
    deadline = time.monotonic() + 10
    while not good and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            good = b"200" in client.recv(100)
    report.check(good, "… and it answers when they have gone")
    server.terminate()
    server.wait(20)
    lines = [line for line in (SCRATCH / "few.log").read_text(errors="replace").splitlines() if "warning" in line or "error" in line]
    report.check(1 <= len(lines) <= 3, f"… and has said so: {lines[:2]}")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def probes(report):
    with RPCServer("swiftlet") as worker:
        for _ in range(300):
            client = socket.create_connection(("127.0.0.1", worker.port), timeout=5)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        with socket.create_connection(("127.0.0.1", worker.port), timeout=5) as client:
            client.sendall(struct.pack("<BQ", 14, 0))
            client.settimeout(5)
            with contextlib.suppress(OSError):
                client.recv(10)
        time.sleep(0.5)
        lines = worker.tail().splitlines()
        report.check(len(lines) < 12, f"300 probes that reset, and a greeting of no bytes: {len(lines)} lines in the log")
        report.check(not any("127.0.0.1" in line and line.count("127.0.0.1") > 1 for line in lines[4:]), "… no address twice in a line")


def named_twice(report):
    with RPCServer("swiftlet") as worker:
        for other in ("localhost", "[::ffff:127.0.0.1]"):
            status, said, error = run("plan", "-m", GEMMA, "--no-local", "--workers", f"127.0.0.1:{worker.port},{other}:{worker.port}")
            rows = [line for line in said.splitlines() if f":{worker.port} " in line and "GiB" in line]
            report.check(status == 0 and len(rows) == 1 and "same worker" in said, f"one worker as 127.0.0.1 and {other}: counted {len(rows)} times, and said so")


def silence(report):
    """A stream whose prompt is long: the client hears something long before the first token."""
    with Server(GEMMA, ctx=8192, parallel=1, threads=1) as server:
        body = json.dumps({"prompt": "word " * 7000, "max_tokens": 2, "stream": True}).encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as client:
            started = time.monotonic()
            client.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            head = client.recv(100)
            heard = time.monotonic() - started
            rest = b""
            while b"data:" not in rest:
                part = client.recv(65536)
                if not part:
                    break
                rest += part
            first = time.monotonic() - started
        report.check(b"200" in head and heard < first / 2, f"a stream with a long prompt: the head after {heard:.2f} s, the first token after {first:.2f} s")


def doctor(report):
    with RPCServer("swiftlet") as worker:
        status, said, _ = run("doctor", "--workers", worker.endpoint)
        report.check(status == 0 and str(worker.port) in said, "doctor: a line for the worker that is there")
        told = json.loads(run("doctor", "--json", "--workers", worker.endpoint)[1])
        report.check(told, "doctor --json is JSON")
    status, said, _ = run("doctor", "--workers", f"127.0.0.1:{free_port()}")
    report.check("refused" in said.lower() or "cannot" in said.lower(), f"doctor: a worker that is not there is named (status {status})")
