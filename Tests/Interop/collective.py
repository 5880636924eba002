"""A stock head that splits tensors over two servers (`-sm tensor`): do ours, paired with each other and with stock's, reduce as
stock's own pair does?

Greedy answers of llama-completion on a tiny Llama of random weights, for every pairing, identical to those of two stock servers. Prompts
are short, whose parts travel as F32, and long, whose parts travel as BF16. That the workers were linked, rather than the head
adding up by itself, is read off the head's log. Last, that a worker without `--collectives` joins nothing, and the head does without.
"""

import contextlib
import re
import socket

from interop import MODELS, ROOT, RPCServer, Report, SHORT, TEXT, run, stop

report = Report()
# In F32: a random model's answer in Q8_0 turns on a rounding. Gemma 3 270M has a single KV head, which stock cannot split.
MODEL = MODELS / "tiny" / "llama-dense.gguf"
LINKED = "pairwise communicator initialized"
# Parts have 256 elements a token; 32768 and more travel as BF16.
HALVED = 128


def prompts():
    """Short ones, and long ones of about 175 tokens."""
    text = "".join(c for c in TEXT.read_text() if ord(c) < 128)
    short = ["hello there", "the tide comes in", "a", "seven huts and a lighthouse"]
    long = [text[start:start + 700] for start in (0, 2000)]
    return short[:2] + long[:1] if SHORT else short + long


def completion(text, servers):
    """(answer, whether the servers were linked, tokens of the prompt)"""
    done = run([ROOT / "scripts" / "stock", "llama-completion", "-m", MODEL, "--rpc", ",".join(server.endpoint for server in servers),
                "-ngl", 99, "-sm", "tensor", "-fit", "off", "-p", text, "-n", 48, "--temp", 0, "-no-cnv", "-t", 1, "-c", 1024,
                "--no-display-prompt", "--no-warmup", "-v"], timeout=120)
    said = done.stderr.decode(errors="replace")
    tokens = re.search(r"prompt eval time =.*/ +(\d+) tokens", said)
    return done.stdout.decode(errors="replace"), LINKED in said, int(tokens.group(1)) if tokens else 0


def link_port_is_free(server):
    """Rank 0 listens 1000 above its own port."""
    with contextlib.suppress(OSError), socket.socket() as probe:
        probe.bind(("127.0.0.1", server.port + 1000))
        return True
    return False


def server(kind, linked=True):
    while True:
        made = RPCServer(kind, *(["--collectives"] if kind == "swiftlet" and linked else []), threads=1)
        if made.port + 1000 < 65536 and link_port_is_free(made):
            return made


def main():
    if not MODEL.exists():
        stop("no tiny models: scripts/fetch-test-data tiny")
    asked = prompts()
    with contextlib.ExitStack() as running:
        stocks = [running.enter_context(server("stock")) for _ in range(2)]
        ours = [running.enter_context(server("swiftlet")) for _ in range(2)]
        judged = [completion(text, stocks) for text in asked]
        if not all(linked for _, linked, _ in judged):
            stop("two stock servers were not linked: there is nothing to compare with")
        expected = [answer for answer, _, _ in judged]
        sizes = [tokens for _, _, tokens in judged]
        report.note(f"two stock servers: {len(set(expected))} different answers to {len(asked)} prompts")
        report.check(min(sizes) < HALVED <= max(sizes), f"prompts of {min(sizes)} to {max(sizes)} tokens: parts travel in both types")
        for name, pair in [("ours, ours", ours), ("ours, stock", [ours[0], stocks[1]]), ("stock, ours", [stocks[0], ours[0]])]:
            found = [completion(text, pair) for text in asked]
            report.check(all(linked for _, linked, _ in found), f"({name}): the two are linked")
            same = sum(answer == wanted for (answer, _, _), wanted in zip(found, expected))
            report.check(same == len(asked), f"({name}): {same} of {len(asked)} answers identical to (stock, stock)")
            report.check(all(server.alive() for server in pair), f"({name}): both still run")
        plain = running.enter_context(server("swiftlet", linked=False))
        answer, linked, _ = completion(asked[0], [plain, stocks[1]])
        report.check(not linked and plain.alive(), "without --collectives a worker joins nothing")
        report.check(answer == expected[0], "without --collectives the head adds up by itself, to the same answer")
    report.finish()


if __name__ == "__main__":
    main()
