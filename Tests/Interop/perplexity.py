"""Is our perplexity on a text stock's?

Stock has two figures of its own, with flash attention and without. Two runs that round differently at every token end up
apart by chance: with a mean KL divergence of D between them and n judged tokens, by about PPL · sqrt(2 D / n) (the log-likelihoods
differ by sqrt(2 D) a token, with either sign). Stock's own two figures may happen to lie much closer than that. So what is asked is
that ours is as close to one of them as they are to each other, or within twice what chance allows at stock's own divergence.
"""

import hashlib
import math
import re

from interop import (CACHE, GEMMA, GEMMA_F32, Report, SCRATCH, SHORT, TEXT, compare, stock, stock_logits, stock_tokens, stock_version,
                     stop, swiftlet, text_tokens)

WINDOW = 512  # of each window of so many tokens the second half is judged: stock's way


def stock_perplexity(model, text, flash):
    key = hashlib.sha256(text.read_bytes() + stock_version().encode()).hexdigest()[:16]
    kept = CACHE / "figures" / f"perplexity-{model.stem}-{flash}-{key}.txt"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        done = stock("llama-perplexity", "-m", model, "-f", text, "-c", WINDOW, "-t", 2, "-fa", flash)
        found = re.findall(r"Final estimate: PPL = ([0-9.]+)", (done.stdout + done.stderr).decode())
        if not found:
            stop("llama-perplexity printed no estimate")
        kept.write_text(found[-1])
    return float(kept.read_text())


def own_perplexity(model, text):
    output = swiftlet("perplexity", "--model", model, "--file", text).stdout.decode()
    found = re.findall(r"(?:PPL|perplexity)\D*?([0-9]+\.[0-9]+)", output, re.IGNORECASE)
    if not found:
        stop(f"swiftlet perplexity printed no figure:\n{output}")
    return float(found[-1])


report = Report()
text, models = TEXT, [("F32", GEMMA_F32), ("quantized", GEMMA)]
if SHORT:
    text, models = SCRATCH / "short.txt", [("quantized", GEMMA)]
    text.write_bytes(TEXT.read_bytes()[:5000])
count = len(stock_tokens(GEMMA, [text.read_bytes()], bos=1)[0])
judged = count // WINDOW * WINDOW // 2
report.note(f"text of {count} tokens, {judged} of them judged")
tokens = text_tokens(96 if SHORT else 448)
for name, model in models:
    on, off = stock_perplexity(model, text, "on"), stock_perplexity(model, text, "off")
    divergence, _ = compare(stock_logits(model, tokens, flash=1), stock_logits(model, tokens, flash=0))
    spread = abs(on - off)
    chance = on * math.sqrt(2 * divergence / judged)
    report.note(f"{name}: stock {on:.4f} with flash attention, {off:.4f} without: a spread of {spread:.4f}; "
                f"chance allows {chance:.4f} at its divergence of {divergence:.1e}")
    ours = own_perplexity(model, text)
    away = 0.0 if min(on, off) <= ours <= max(on, off) else min(abs(ours - on), abs(ours - off))
    if away == 0:
        verdict = "within the spread"
    elif away <= spread:
        verdict = "outside of the spread by less than its width"
    else:
        verdict = f"{away / chance:.1f} x chance (at most 2)"
    report.check(away <= max(spread, 2 * chance), f"{name}: swiftlet {ours:.4f}, {away:.4f} from the nearer one: {verdict}")
report.finish()
