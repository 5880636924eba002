"""The command `token`, and what other users of the machine can see of a token: nothing in lists of processes, nothing in files, nothing in
what is printed. Lists of revoked nodes are changed by many processes at once.
"""

import base64
import fcntl
import json
import os
import pathlib
import subprocess
import time

from interop import SCRATCH, SWIFTLET, Report

report = Report()
STATE = SCRATCH / "state"
CLEAN = {name: value for name, value in os.environ.items() if "TOKEN" not in name and "P2P" not in name} | {"XDG_STATE_HOME": str(STATE)}


def swiftlet(*arguments, environment={}, text=""):
    return subprocess.run([SWIFTLET, *map(str, arguments)], input=text, capture_output=True, text=True, env=CLEAN | environment, timeout=60)


def secrets(token):
    words = base64.b64decode(token).decode().split()
    return [token[40:80], *(word for word in words if len(word) == 43)]


def is_silent(done, token):
    return not any(secret in done.stdout + done.stderr for secret in secrets(token))


# ---------------------------------------------------------------- making and reading

done = swiftlet("token", "new")
token = done.stdout.strip()
report.check(done.returncode == 0 and done.stdout.count("\n") == 1, "new prints a token on one line")
report.check(base64.b64decode(token, validate=True).startswith(b"otp:\n  dht:\n    interval: 9000\n    key: "), "in EdgeVPN's form")
report.check(len(secrets(token)) == 6, "with five words of 43 letters and digits")

path = SCRATCH / "network.token"
done = swiftlet("token", "new", "--output", path)
report.check(done.returncode == 0 and done.stdout == "" and path.stat().st_mode & 0o777 == 0o600, "--output makes a file for its owner alone")
kept = path.read_text()
report.check(swiftlet("token", "new", "--output", path).returncode != 0 and path.read_text() == kept, "and writes over none")

shown = swiftlet("token", "show", "--p2p-token-file", path, "--json")
tag = json.loads(shown.stdout)["network"]
report.check(len(tag) == 16 and is_silent(shown, kept.strip()), "show tells the network, and no secret")
ways = {
    "standard input": swiftlet("token", "show", "--json", "--p2p-token-file", "-", text=kept),
    "SWIFTLET_P2P_TOKEN_FILE": swiftlet("token", "show", "--json", environment={"SWIFTLET_P2P_TOKEN_FILE": str(path)}),
    "TOKEN": swiftlet("token", "show", "--json", environment={"TOKEN": kept}),
    "--p2ptoken": swiftlet("token", "show", "--json", "--p2ptoken", kept),
    "--p2p-token=": swiftlet("token", "show", "--json", f"--p2p-token={kept.strip()}"),
}
for name, done in ways.items():
    report.check(done.returncode == 0 and json.loads(done.stdout)["network"] == tag and done.stderr == "", f"a token by {name}")
other = swiftlet("token", "show", "--json", "--p2p-token-file", path, "--p2p-network-id", "kitchen")
report.check(json.loads(other.stdout)["network"] != tag, "a network id makes another network")

path.chmod(0o644)
done = swiftlet("token", "show", "--p2p-token-file", path)
report.check(done.returncode == 0 and "chmod 600" in done.stderr, "a file that others can read is warned of")
path.chmod(0o600)

refusals = {
    "no token": swiftlet("token", "show"),
    "two tokens": swiftlet("token", "show", "--p2p-token", token, "--p2p-token-file", path),
    "a token and a file in the environment": swiftlet("token", "show", environment={"TOKEN": token, "SWIFTLET_P2P_TOKEN_FILE": str(path)}),
    "half a token": swiftlet("token", "show", "--p2p-token", token[: len(token) // 2 & ~3]),
    "a file that is not there": swiftlet("token", "show", "--p2p-token-file", path.with_suffix(".none")),
    "an endless file": swiftlet("token", "show", "--p2p-token-file", "/dev/zero"),
    "an id that is none": swiftlet("token", "revoke", "12", "--p2p-token", token),
}
for name, done in refusals.items():
    report.check(done.returncode not in (0, 139, 132) and len(done.stderr) > 20 and is_silent(done, token), f"refused in words: {name}")

# ---------------------------------------------------------------- lists of revoked nodes

file = STATE / "swiftlet" / "peers" / f"{tag}.revoked"
ids = [f"{number:032x}" for number in range(40)]
writers = [subprocess.Popen([SWIFTLET, "token", "revoke", node, "--p2p-token-file", path], env=CLEAN) for node in ids]
report.check(all(writer.wait(timeout=60) == 0 for writer in writers), "forty processes revoke a node each at once")
report.check(file.read_text().split() == ids, "and none is lost")
report.check(file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700, "the list is its owner's alone")
report.check(swiftlet("token", "unrevoke", ids[3], "--p2p-token-file", path).returncode == 0, "one is let in again")
done = swiftlet("token", "revoked", "--p2p-token-file", path)
report.check(done.stdout.split() == [node for node in ids if node != ids[3]], "revoked lists the others")
done = swiftlet("token", "revoked", "--p2p-token-file", path, "--p2p-network-id", "kitchen")
report.check(done.returncode == 0 and done.stdout == "", "another network of the token has a list of its own")

# ---------------------------------------------------------------- what others can see

if pathlib.Path("/proc/self/cmdline").exists():
    with open(str(file) + ".lock") as lock:
        # Somebody holds the list, so the command waits while it is looked at.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for given in (["--p2p-token", kept.strip()], [f"--p2p-token={kept.strip()}"], ["--p2ptoken", kept.strip()]):
            process = subprocess.Popen([SWIFTLET, "token", "revoke", "f" * 32, *given], env=CLEAN)
            deadline = time.monotonic() + 30
            while True:
                line = pathlib.Path(f"/proc/{process.pid}/cmdline").read_bytes()
                if b"****" in line or time.monotonic() > deadline:
                    break
                time.sleep(0.01)
            hidden = not any(secret.encode() in line for secret in secrets(kept.strip()))
            report.check(hidden and b"revoke\0" + b"f" * 32 in line, f"the list of processes shows asterisks: {given[0][:12]}")
            process.kill()
            process.wait()

report.finish()
