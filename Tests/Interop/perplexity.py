"""Is our perplexity on a text stock's? On the quantized file, as far as stock agrees with itself."""

import hashlib
import re

from interop import CACHE, GEMMA, Report, TEXT, stock, stock_version, stop, swiftlet


def stock_perplexity(model, flash):
    key = hashlib.sha256(TEXT.read_bytes() + stock_version().encode()).hexdigest()[:16]
    kept = CACHE / "figures" / f"perplexity-{model.stem}-{flash}-{key}.txt"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        done = stock("llama-perplexity", "-m", model, "-f", TEXT, "-c", 512, "-t", 2, "-fa", flash)
        found = re.findall(r"Final estimate: PPL = ([0-9.]+)", (done.stdout + done.stderr).decode())
        if not found:
            stop("llama-perplexity printed no estimate")
        kept.write_text(found[-1])
    return float(kept.read_text())


def own_perplexity(model):
    output = swiftlet("perplexity", "--model", model, "--file", TEXT).stdout.decode()
    found = re.findall(r"(?:PPL|perplexity)\D*?([0-9]+\.[0-9]+)", output, re.IGNORECASE)
    if not found:
        stop(f"swiftlet perplexity printed no figure:\n{output}")
    return float(found[-1])


report = Report()
# Eight windows of 512 tokens, of each the second half is judged: stock's way.
on, off = stock_perplexity(GEMMA, "on"), stock_perplexity(GEMMA, "off")
spread = abs(on - off)
report.note(f"stock: {on:.4f} with flash attention, {off:.4f} without: a spread of {spread:.4f}")
ours = own_perplexity(GEMMA)
away = min(abs(ours - on), abs(ours - off))
if min(on, off) <= ours <= max(on, off):
    away = 0.0
report.check(away <= spread, f"swiftlet: {ours:.4f}, {away:.4f} outside stock's two figures (at most their spread, {spread:.4f})")
report.finish()
