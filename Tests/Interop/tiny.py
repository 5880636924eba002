"""Do random models of each architecture give stock's logits? NMSE over every position, in F32 and in Q8_0."""

from interop import MODELS, Report, nmse, stock_logits, stop, swiftlet_logits

report = Report()
models = sorted((MODELS / "tiny").glob("*.gguf"))
if not models:
    stop("no tiny models: scripts/fetch-test-data tiny")
# 128 tokens of a vocabulary of 128, in a fixed order that repeats nothing soon.
tokens = [(position * 37 + position * position * 11 + 5) % 128 for position in range(128)]
for model in models:
    reference = stock_logits(model, tokens)
    own = nmse(reference, stock_logits(model, tokens, flash=0))
    found = nmse(reference, swiftlet_logits(model, tokens))
    report.check(found <= 1e-7, f"{model.stem}: NMSE {found:.2e} (at most 1e-7; stock with flash attention off: {own:.2e})")
report.finish()
