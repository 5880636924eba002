"""Three models on one pair of workers that cannot hold them all at once, with requests alternating.

Each answers as it does alone on this machine; the one unused for longest makes room. Printed: what a request waits for when its model has
to be loaded and when it is there, tokens per second, and how much the workers lent at most, which is never more than they said they had.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import threading
import time

from clients import Figures
from interop import CACHE, GEMMA, GEMMA_F32, PROMPTS, SCRATCH, SHORT, Report, Server

report = Report()
MEMORY = 880 << 20
TOKENS = 24 if SHORT else 64
ROUNDS = 2 if SHORT else 6
CONTEXT = 512


def models():
    made = subprocess.run([str(CACHE / "venv" / "bin" / "python"), str(pathlib.Path(__file__).with_name("synthetic.py")), "--type", "F16"],
                          capture_output=True, check=True)
    folder = SCRATCH / "models"
    folder.mkdir()
    for path in (GEMMA, GEMMA_F32, pathlib.Path(made.stdout.decode().split()[-1])):
        # Hashes are kept beside what a link points to.
        os.symlink(path, folder / path.name)
    return folder


def ask(server, model, prompt):
    """(text, seconds)."""
    body = {"prompt": prompt, "max_tokens": TOKENS, "temperature": 0, "ignore_eos": True} | ({"model": model} if model else {})
    started = time.monotonic()
    status, _, answer = server.post("/v1/completions", body)
    return json.loads(answer)["choices"][0]["text"] if status == 200 else f"status {status}: {answer[:200]}", time.monotonic() - started


class Watch(threading.Thread):
    """What a worker lends at most."""

    def __init__(self, figures):
        super().__init__(daemon=True)
        self.figures, self.most, self.stopping = figures, 0, False

    def run(self):
        while not self.stopping:
            with contextlib.suppress(OSError):
                self.most = max(self.most, self.figures.read()["memory_lent_bytes"])
            time.sleep(0.02)


def main():
    folder = models()
    names = sorted(path.stem for path in folder.iterdir() if path.suffix == ".gguf")
    prompts = ["abc " + prompt.lower()[:40] if name.startswith("llama") else prompt for name, prompt in zip(names, PROMPTS)]
    alone = {}
    for name, prompt in zip(names, prompts):
        with Server(folder / f"{name}.gguf", ctx=CONTEXT) as server:
            alone[name] = ask(server, None, prompt)[0]
    with contextlib.ExitStack() as stack:
        figures = [stack.enter_context(Figures("-m", MEMORY, "--cache-dir", SCRATCH / f"cache{number}", threads=1)) for number in range(2)]
        watches = [Watch(each) for each in figures]
        for watch in watches:
            watch.start()
        workers = ",".join(each.server.endpoint for each in figures)
        server = stack.enter_context(Server(folder, "--workers", workers, "--no-local", ctx=CONTEXT, parallel=2))
        right, times = 0, {name: ([], []) for name in names}
        for _ in range(ROUNDS):
            for name, prompt in zip(names, prompts):
                for visit in range(2):
                    before = {model["id"]: model["loads"] for model in json.loads(server.get("/v1/models")[2])["data"]}
                    text, seconds = ask(server, name, prompt)
                    after = {model["id"]: model["loads"] for model in json.loads(server.get("/v1/models")[2])["data"]}
                    right += text == alone[name]
                    if text != alone[name]:
                        report.note(f"{name}: {text[:100]!r} instead of {alone[name][:100]!r}")
                    times[name][after[name] == before[name]].append(seconds)
        report.check(right == 2 * ROUNDS * len(names), f"{right} of {2 * ROUNDS * len(names)} answers are what each model says alone")
        listings = {model["id"]: model for model in json.loads(server.get("/v1/models")[2])["data"]}
        for name in names:
            cold, warm = times[name]
            best = min(warm) if warm else float("nan")
            report.note(f"{name}: loaded {listings[name]['loads']} times, {listings[name]['load_seconds']:.2f} s the last time; a request that loads it takes "
                        f"{min(cold, default=0):.2f} to {max(cold, default=0):.2f} s, one that does not {best:.2f} s ({TOKENS / best:.0f} tokens/s)")
        report.check(sum(listings[name]["loads"] for name in names) > len(names), "models made room for each other")
        for each, watch in zip(figures, watches):
            watch.stopping = True
            report.check(0 < watch.most <= MEMORY, f"{each.server.endpoint} lent {watch.most / 2**20:.0f} MiB at most, of {MEMORY >> 20}")
        status, _, answer = server.post("/v1/completions", {"model": "nobody", "prompt": "a"})
        report.check(status == 404 and names[0] in answer.decode(), "a model that there is not is answered with 404 and a list")
        report.check(server.alive() and all(each.server.alive() for each in figures), "head and workers run on")
    report.finish()


if __name__ == "__main__":
    main()
