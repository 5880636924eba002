"""Do our logits agree with stock's on a text?

On F32 copies of two models, of different architectures and vocabularies, where rounding plays no part: mean KL(stock‖ours) and the share of equal top tokens. On the quantized
Gemma, where stock differs even from itself: our distance from stock's F32 answer beside quantized stock's own.
"""

from interop import GEMMA, GEMMA_F32, SMOLLM_F32, Report, SHORT, compare, stock_logits, swiftlet_logits, text_tokens

report = Report()
tokens = text_tokens(96 if SHORT else 448)
report.note(f"text of {len(tokens)} tokens")

exact = stock_logits(GEMMA_F32, tokens, flash=1)
divergence, same = compare(exact, stock_logits(GEMMA_F32, tokens, flash=0))
report.note(f"F32, stock beside itself (flash attention on / off): KL {divergence:.2e}, top-1 {same:.2%}")

divergence, same = compare(exact, swiftlet_logits(GEMMA_F32, tokens))
report.check(divergence <= 1e-5, f"F32: mean KL(stock, swiftlet) = {divergence:.2e} (at most 1e-5)")
report.check(same >= 0.995, f"F32: same top token at {same:.2%} of positions (at least 99.5 %)")

other = text_tokens(96 if SHORT else 400, SMOLLM_F32)
divergence, same = compare(stock_logits(SMOLLM_F32, other), swiftlet_logits(SMOLLM_F32, other))
report.check(divergence <= 1e-5, f"SmolLM2, F32: mean KL(stock, swiftlet) = {divergence:.2e} on {len(other)} tokens (at most 1e-5)")
report.check(same >= 0.99, f"SmolLM2, F32: same top token at {same:.2%} of positions (at least 99 %)")

stock_on, stock_off = (stock_logits(GEMMA, tokens, flash=flash) for flash in (1, 0))
on, same_on = compare(exact, stock_on)
off, same_off = compare(exact, stock_off)
itself, same_itself = compare(stock_on, stock_off)
report.note(f"quantized stock beside itself (flash on / off): KL {itself:.2e}, top-1 {same_itself:.2%}")
report.note(f"quantized stock's distance from its F32 answer: KL {on:.3e} (flash on), {off:.3e} (off); "
            f"top-1 {same_on:.2%}, {same_off:.2%}")
ours = swiftlet_logits(GEMMA, tokens)
divergence, same = compare(exact, ours)
allowed = 1.5 if SHORT else 1.1  # the mean over 96 positions wanders by a tenth from one rounding to another
report.check(divergence <= allowed * on,
             f"quantized: KL(stock's F32 answer, swiftlet) = {divergence:.3e}, {divergence / on:.2f} x stock's (at most {allowed})")
report.note(f"quantized: top-1 {same:.2%} beside stock's F32 answer")
beside, same = compare(stock_on, ours)
report.note(f"quantized: KL(quantized stock, swiftlet) = {beside:.2e}, top-1 {same:.2%}")
report.finish()
