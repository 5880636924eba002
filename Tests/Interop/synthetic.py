#!/usr/bin/env python3
"""A random model whose layers are all equal and whose ends cost next to nothing, for measuring how work spreads.

    synthetic.py [--layers 16] [--width 1024] [--inner 2816] [--type Q8_0]      prints the file's path

Architecture llama, 2048 tokens, of which every small letter is one: a text of n letters is n + 2 tokens (the beginning and
a space). It is made once and kept among the models. What it says means nothing, but is the same on every machine.
"""

import argparse
import os

from interop import MODELS

TOKENS = 2048
HEAD = 64
CONTEXT = 4096


def vocabulary():
    """Texts, scores and types: specials, bytes, letters, and fillers that no text can reach."""
    texts = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    types = [2, 3, 3] + [6] * 256
    letters = ["\u2581", *"abcdefghijklmnopqrstuvwxyz.,"]
    fillers = [f"\u2581[{number}]" for number in range(TOKENS - len(texts) - len(letters))]
    texts += letters + fillers
    types += [1] * (TOKENS - len(types))
    return texts, [0.0] * 259 + [-float(number) for number in range(TOKENS - 259)], types


def matrix(random, rows, columns, kind):
    """Blocks of a quantized matrix with uniform quants, scaled so that products keep the size of what goes in."""
    import numpy
    if kind in ("F16", "F32"):
        return (random.standard_normal((rows, columns), dtype=numpy.float32) / columns ** 0.5).astype(numpy.float16 if kind == "F16" else numpy.float32)
    blocks = rows * columns // 32
    if kind == "Q8_0":
        quants = random.integers(0, 256, (blocks, 32), dtype=numpy.uint8)
        quants[quants == 128] = 0
        spread = 73.6
    elif kind == "Q4_0":
        quants = random.integers(0, 256, (blocks, 16), dtype=numpy.uint8)
        spread = 4.61
    else:
        raise ValueError(f"no recipe for {kind}")
    scale = numpy.float16(1 / (spread * columns ** 0.5)).reshape(1).view(numpy.uint8)
    whole = numpy.concatenate([numpy.broadcast_to(scale, (blocks, 2)), quants], axis=1)
    return numpy.ascontiguousarray(whole).reshape(rows, -1)


def synthetic(layers=16, width=1024, inner=2816, kind="Q8_0", groups=4):
    """The path of the model, which is made if it is not there."""
    path = MODELS / "synthetic" / f"llama-{layers}x{width}x{inner}-{kind.lower()}.gguf"
    if path.exists():
        return path
    import gguf
    import numpy

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".part{os.getpid()}")
    random = numpy.random.default_rng(5)
    heads = width // HEAD
    texts, scores, types = vocabulary()
    writer = gguf.GGUFWriter(part, "llama")
    writer.add_name(path.stem)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_block_count(layers)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads // groups)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HEAD)
    writer.add_vocab_size(TOKENS)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

    def add(name, rows, columns):
        writer.add_tensor(f"{name}.weight", matrix(random, rows, columns, kind), raw_dtype=gguf.GGMLQuantizationType[kind])

    def norm(name):
        writer.add_tensor(f"{name}.weight", numpy.ones(width, dtype=numpy.float32))

    add("token_embd", TOKENS, width)
    for layer in range(layers):
        norm(f"blk.{layer}.attn_norm")
        add(f"blk.{layer}.attn_q", width, width)
        add(f"blk.{layer}.attn_k", width // groups, width)
        add(f"blk.{layer}.attn_v", width // groups, width)
        add(f"blk.{layer}.attn_output", width, width)
        norm(f"blk.{layer}.ffn_norm")
        add(f"blk.{layer}.ffn_gate", inner, width)
        add(f"blk.{layer}.ffn_up", inner, width)
        add(f"blk.{layer}.ffn_down", width, inner)
    norm("output_norm")
    add("output", TOKENS, width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.rename(path)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--inner", type=int, default=2816)
    parser.add_argument("--type", default="Q8_0", choices=["Q8_0", "Q4_0", "F16", "F32"])
    options = parser.parse_args()
    print(synthetic(options.layers, options.width, options.inner, options.type))


if __name__ == "__main__":
    main()
