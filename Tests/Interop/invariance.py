"""One answer whatever the company: are logits the same bytes for every prompt chunk and thread count, and is an answer over HTTP the
same alone and among fifteen others?"""

import concurrent.futures
import hashlib
import itertools
import json

from interop import GEMMA, MODELS, Report, SHORT, Server, swiftlet_logits, text_tokens

report = Report()


def digest(rows):
    return hashlib.sha256(memoryview(rows).cast("B")).hexdigest()


tiny_tokens = [(position * 37 + position * position * 11 + 5) % 128 for position in range(128)]
cases = [(model, tiny_tokens) for model in sorted((MODELS / "tiny").glob("*.gguf"))]
cases.append((GEMMA, text_tokens(24 if SHORT else 520)))
for model, tokens in cases:
    found = {}
    for chunk, threads in itertools.product((1, 7, 64, 512), (1, 2)):
        rows = swiftlet_logits(model, tokens, "--chunk", chunk, "--threads", threads)
        found.setdefault(digest(rows), []).append(f"chunk {chunk} threads {threads}")
    for slot, neighbours in ((1, 1), (3, 3), (15, 15)):
        rows = swiftlet_logits(model, tokens, "--chunk", 64, "--threads", 2, "--slot", slot, "--neighbours", neighbours)
        found.setdefault(digest(rows), []).append(f"slot {slot} beside {neighbours} others")
    report.check(len(found) == 1, f"{model.stem}: {len(tokens)} tokens, chunks of 1, 7, 64, 512, threads 1, 2, slots 0, 1, 3, 15 beside as "
                                  f"many others: {len(found)} different answer(s)")
    if len(found) > 1:
        for runs in found.values():
            report.note("same bytes: " + "; ".join(runs))

prompts = [
    "The harbour at Westing", "A clock that nobody winds", "Seven huts on a quay", "In the winter of the long fog",
    "The model was cut like a loaf", "Nobody knows what time it is, because", "A letter from outside is a claim",
    "def add(a, b):", "The herring", "Once upon a time", "More than half is enough", "SELECT name FROM berths WHERE",
    "The oldest pilot said", "1, 1, 2, 3, 5, 8,", "Dear Sir or Madam,", "Es war einmal",
]
with Server(GEMMA, ctx=512, parallel=16) as server:
    def ask(prompt):
        """The text, and the figures of the five most likely tokens at each place."""
        status, _, body = server.post("/v1/completions", {
            "model": "gemma", "prompt": prompt, "max_tokens": 16 if SHORT else 48, "temperature": 0, "logprobs": 5})
        if status != 200:
            return f"status {status}", body[:200]
        choice = json.loads(body)["choices"][0]
        return choice["text"], json.dumps(choice.get("logprobs"), sort_keys=True)

    alone = [ask(prompt) for prompt in prompts]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        together = list(pool.map(ask, prompts))
    same = sum(a == b for a, b in zip(alone, together))
    report.check(same == len(prompts) and all(len(text) > 0 for text, _ in alone),
                 f"over HTTP: {same} of {len(prompts)} answers the same, figures and all, alone and among 15 others")
    for prompt, a, b in zip(prompts, alone, together):
        if a != b:
            kind = "other figures" if a[0] == b[0] else "another text"
            report.note(f"{prompt!r}: {kind}: alone {a[0][:80]!r}, among others {b[0][:80]!r}")
report.finish()
