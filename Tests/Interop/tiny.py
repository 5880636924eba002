"""Do random models of each architecture give stock's logits, with each variant of the kernels that runs here? NMSE over every
position, in F32 (two seeds) and in Q8_0.

In Q8_0 activations are rounded to eight bits before each product, so that a difference in the last bit of one of them may
flip a rounding: stock with flash attention on is some 1.5e-6 from stock with it off, and 1e-5 from itself token by token. A figure below
1e-7 could only come from the same order of the same operations. What is held to 1e-7 is therefore the F32 file, and the Q8_0
file's weights written out as F32. On the Q8_0 file itself the limit is the largest of stock's own distances, that from the answer
which the same weights give in F32 among them: two roundings are as far from each other as from what both round. And our own
distance from that answer may be at most 1.1 x stock's.
"""

import re

from interop import MODELS, Report, nmse, stock_logits, stop, swiftlet, swiftlet_logits

report = Report()
models = sorted((MODELS / "tiny").glob("*.gguf")) + sorted((MODELS / "tiny-2").glob("*.gguf"))
if not models:
    stop("no tiny models: scripts/fetch-test-data tiny")
variants = re.findall(r"^\s+(\w+)\s+(?:used|can run)", swiftlet("devices").stdout.decode(), re.MULTILINE)
report.check(variants, f"kernel variants that run here: {', '.join(variants)}")
# 128 tokens of a vocabulary of 128, in a fixed order that repeats nothing soon.
tokens = [(position * 37 + position * position * 11 + 5) % 128 for position in range(128)]
for model in models:
    on, off = stock_logits(model, tokens), stock_logits(model, tokens, flash=0)
    flash, single = nmse(on, off), nmse(on, stock_logits(model, tokens, batch=1))
    report.note(f"{model.stem}: stock beside itself: NMSE {flash:.2e} with flash attention on / off, {single:.2e} with a batch of 128 / 1")
    limit = 1e-7
    if model.stem.endswith("-q8_0"):
        exact = stock_logits(model.with_name(model.stem + "-as-f32.gguf"), tokens, flash=0)
        stocks = min(nmse(exact, on), nmse(exact, off))
        limit = max(limit, flash, single, stocks)
    for variant in variants:
        name = f"{model.stem}{model.parent.name.removeprefix('tiny')}, {variant}"
        ours = swiftlet_logits(model, tokens, "--variant", variant)
        found = min(nmse(on, ours), nmse(off, ours))
        report.check(found <= limit, f"{name}: NMSE {found:.2e} (at most {limit:.2g})")
        if model.stem.endswith("-q8_0"):
            found = nmse(exact, ours)
            report.check(found <= 1.1 * stocks,
                         f"{name}: NMSE {found:.2e} to the same weights in F32 (stock's {stocks:.2e}, at most 1.1 x)")
report.finish()
