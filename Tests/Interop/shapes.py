"""Do random models of shapes that stock's own tiny models do not have give stock's logits, whatever the chunks, here and on either
side's worker?

Qwen 3.5: fewer heads of keys than of values in delta nets, heads of which only a half is rotated, sections of different lengths, the
kinds of layers by their interval, and a last layer that guesses at further tokens, which the model itself passes over.
"""

import hashlib

from interop import MODELS, Report, RPCServer, nmse, stock_logits, swiftlet_logits

TOKENS = 128
WIDTH, INNER, LAYERS, INTERVAL = 96, 160, 5, 3
HEADS, KEY_HEADS, LENGTH, ROTATED, SECTIONS = 4, 2, 64, 32, [6, 5, 5, 0]
NET = {"heads": 4, "key_heads": 2, "length": 32, "kernel": 4}


def figures():
    return {
        "vocab_size": TOKENS, "context_length": 256, "embedding_length": WIDTH, "block_count": LAYERS, "feed_forward_length": INNER,
        "nextn_predict_layers": 1, "full_attention_interval": INTERVAL, "attention.head_count": HEADS,
        "attention.head_count_kv": KEY_HEADS, "attention.key_length": LENGTH, "attention.value_length": LENGTH,
        "rope.dimension_count": ROTATED, "ssm.inner_size": NET["heads"] * NET["length"], "ssm.state_size": NET["length"],
        "ssm.time_step_rank": NET["heads"], "ssm.group_count": NET["key_heads"], "ssm.conv_kernel": NET["kernel"],
    }


def tensors():
    """Names, extents with the fastest first, means and deviations."""
    values = NET["heads"] * NET["length"]
    channels = values + 2 * NET["key_heads"] * NET["length"]

    def norm(name, length):
        return name + ".weight", (length,), 1, 0.1

    def matrix(name, *extents, deviation=0.1):
        return name + ".weight", extents, 0, deviation

    yield matrix("token_embd", WIDTH, TOKENS, deviation=1)
    yield norm("output_norm", WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        yield norm(block + "attn_norm", WIDTH)
        yield norm(block + "post_attention_norm", WIDTH)
        if layer < LAYERS - 1 and (layer + 1) % INTERVAL != 0:
            yield matrix(block + "attn_qkv", WIDTH, channels)
            yield matrix(block + "attn_gate", WIDTH, values)
            yield matrix(block + "ssm_conv1d", NET["kernel"], channels, deviation=0.5)
            yield matrix(block + "ssm_beta", WIDTH, NET["heads"])
            yield matrix(block + "ssm_alpha", WIDTH, NET["heads"])
            yield block + "ssm_dt.bias", (NET["heads"],), 0, 0.1
            yield block + "ssm_a", (NET["heads"],), -1, 0.3
            yield norm(block + "ssm_norm", NET["length"])
            yield matrix(block + "ssm_out", values, WIDTH)
        else:
            yield matrix(block + "attn_q", WIDTH, 2 * HEADS * LENGTH)
            yield matrix(block + "attn_k", WIDTH, KEY_HEADS * LENGTH)
            yield matrix(block + "attn_v", WIDTH, KEY_HEADS * LENGTH)
            yield matrix(block + "attn_output", HEADS * LENGTH, WIDTH)
            yield norm(block + "attn_q_norm", LENGTH)
            yield norm(block + "attn_k_norm", LENGTH)
        yield matrix(block + "ffn_gate", WIDTH, INNER)
        yield matrix(block + "ffn_up", WIDTH, INNER)
        yield matrix(block + "ffn_down", INNER, WIDTH)
    yield matrix(f"blk.{LAYERS - 1}.nextn.eh_proj", 2 * WIDTH, WIDTH)
    yield norm(f"blk.{LAYERS - 1}.nextn.enorm", WIDTH)
    yield norm(f"blk.{LAYERS - 1}.nextn.hnorm", WIDTH)


def model():
    """The path of the model, which is made anew when this file has changed."""
    import gguf
    import numpy

    version = hashlib.sha256(open(__file__, "rb").read()).hexdigest()[:12]
    path = MODELS / "shapes" / f"qwen35-{version}.gguf"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "qwen35")
    for key, value in figures().items():
        writer.add_uint32(f"qwen35.{key}", value)
    writer.add_array("qwen35.rope.dimension_sections", SECTIONS)
    writer.add_float32("qwen35.rope.freq_base", 1e7)
    writer.add_float32("qwen35.attention.layer_norm_rms_epsilon", 1e-6)
    writer.add_tokenizer_model("none")
    random = numpy.random.default_rng(5)
    for name, extents, mean, deviation in tensors():
        drawn = mean + deviation * random.standard_normal(tuple(reversed(extents)))
        writer.add_tensor(name, drawn.astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.rename(path)
    return path


report = Report()
made = model()
tokens = [(position * 37 + position * position * 11 + 5) % TOKENS for position in range(128)]
on, off = stock_logits(made, tokens), stock_logits(made, tokens, flash=0)
report.note(f"{made.stem}: stock beside itself: NMSE {nmse(on, off):.2e} with flash attention on / off")
here = swiftlet_logits(made, tokens)
found = min(nmse(on, here), nmse(off, here))
report.check(found <= 1e-7, f"{made.stem}: NMSE {found:.2e} (at most 1e-07)")
for chunk in (1, 7, 64):
    rows = swiftlet_logits(made, tokens, "--chunk", chunk)
    report.check(rows.tobytes() == here.tobytes(), f"{made.stem}: the same bytes in chunks of {chunk}")
with RPCServer("swiftlet") as worker:
    rows = swiftlet_logits(made, tokens, "--workers", worker.endpoint, "--no-local", "--chunk", 32)
    report.check(rows.tobytes() == here.tobytes(), f"{made.stem}: the same bytes on our worker")
with RPCServer("stock") as worker:
    rows = swiftlet_logits(made, tokens, "--workers", worker.endpoint, "--no-local")
    found = min(nmse(on, rows), nmse(off, rows))
    report.check(found <= 1e-7, f"{made.stem}: NMSE {found:.2e} on a stock worker (at most 1e-07)")
report.finish()
