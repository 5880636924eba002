"""Do models of every architecture say over two workers, one stock and one ours, what they say on one machine?

Tiny random models, each with its first layer on one worker and the second on the other, and SmolLM2's F32 copy: the divergence
from our own answer on one machine, which over our workers alone would be none at all. Nor is there any over two devices of one
machine, the second of which lacks most operations, whether they are the head's own or a worker lends them.
"""

from interop import GEMMA, MODELS, ROOT, Report, RPCServer, SHORT, SMOLLM_F32, compare, nmse, run, swiftlet_logits, text_tokens


def stock_text(server, *arguments):
    """What a stock head generates over a server's devices."""
    command = [ROOT / "scripts" / "stock", "llama-completion", "-m", GEMMA, "--rpc", server.endpoint, "-ngl", 99, "-p", "The harbour at Westing",
               "-n", 16 if SHORT else 48, "--temp", 0, "-no-cnv", "-t", 1, "--no-display-prompt", "--no-warmup", "-c", 512, *arguments]
    return run(command).stdout.decode()


report = Report()
tokens = [(position * 37 + position * position * 11 + 5) % 128 for position in range(128)]
models = [model for model in sorted((MODELS / "tiny").glob("*.gguf")) if "q8_0" not in model.stem]
with RPCServer("stock") as stock, RPCServer("swiftlet") as first, RPCServer("swiftlet") as second, \
        RPCServer("swiftlet", "--device", "cpu,stand-in") as lender:
    mixed = ["--workers", f"{stock.endpoint},{first.endpoint}", "--no-local", "--split", "1,1"]
    own = ["--workers", f"{first.endpoint},{second.endpoint}", "--no-local", "--split", "1,1"]
    devices = ["--device", "cpu,stand-in", "--split", "1,1"]
    lent = ["--workers", lender.endpoint, "--no-local", "--split", "1,1"]
    for model in models:
        alone = swiftlet_logits(model, tokens)
        over = swiftlet_logits(model, tokens, *own)
        report.check((alone == over).all(), f"{model.stem}: over two of our workers the same bytes")
        report.check((alone == swiftlet_logits(model, tokens, *devices)).all(), f"{model.stem}: on two devices of one machine the same bytes")
        report.check((alone == swiftlet_logits(model, tokens, *lent)).all(), f"{model.stem}: over a worker's two devices the same bytes")
        found = nmse(alone, swiftlet_logits(model, tokens, *mixed))
        report.check(found <= 1e-7, f"{model.stem}: over a stock worker and one of ours NMSE {found:.2e} (at most 1e-7)")
    text = text_tokens(96 if SHORT else 400, SMOLLM_F32)
    alone = swiftlet_logits(SMOLLM_F32, text)
    divergence, same = compare(alone, swiftlet_logits(SMOLLM_F32, text, *mixed))
    report.check(divergence <= 1e-5, f"SmolLM2, F32: over a stock worker and one of ours KL {divergence:.2e}, top token {same:.2%}")
    text = stock_text(lender, "-ts", "1,1")
    report.check(text and text == stock_text(first), "a stock head says over a worker's two devices what it says over one")
report.finish()
