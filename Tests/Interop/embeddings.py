"""Are our vectors of texts stock's? A random BERT with the words of a real one, pooled by the mean, the first token and the last: texts
of 1 to 200 words and of what generated strings there are, by each of the kernels' variants."""

import hashlib
import json

from interop import CACHE, MODELS, Report, ROOT, SCRATCH, SHORT, oracle, pack_strings, swiftlet
from tokenizer import generated

WIDTH, HEADS, INNER, LAYERS, CONTEXT = 96, 3, 224, 3, 512
POOLINGS = {"mean": 1, "first": 2, "last": 3}
WORDS = CACHE / "vocab" / "ggml-vocab-bert-bge.gguf"


def tensors(vocabulary):
    """Names, extents with the fastest first, means and deviations."""
    def norm(name):
        yield name + ".weight", (WIDTH,), 1, 0.1
        yield name + ".bias", (WIDTH,), 0, 0.1

    def linear(name, source, target, deviation=1):
        yield name + ".weight", (source, target), 0, deviation / source ** 0.5
        yield name + ".bias", (target,), 0, 0.1

    yield "token_embd.weight", (WIDTH, vocabulary), 0, 1
    yield "position_embd.weight", (WIDTH, CONTEXT), 0, 0.3
    yield "token_types.weight", (WIDTH, 2), 0, 0.3
    yield from norm("token_embd_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield from linear(block + name, WIDTH, WIDTH)
        yield from norm(block + "attn_output_norm")
        # Small, since stock looks GELU up in a table of 16-bit numbers, and only the model's own figures are to be compared.
        yield from linear(block + "ffn_up", WIDTH, INNER, 0.6)
        yield from linear(block + "ffn_down", INNER, WIDTH, 0.6)
        yield from norm(block + "layer_output_norm")


def model(pooling):
    """The path of the model, which is made anew when this file has changed."""
    import gguf
    import numpy

    version = hashlib.sha256(open(__file__, "rb").read()).hexdigest()[:12]
    path = MODELS / "shapes" / f"bert-{pooling}-{version}.gguf"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    words = gguf.GGUFReader(WORDS).fields
    texts = words["tokenizer.ggml.tokens"].contents()
    writer = gguf.GGUFWriter(part, "bert")
    figures = {
        "context_length": CONTEXT, "embedding_length": WIDTH, "block_count": LAYERS, "feed_forward_length": INNER,
        "attention.head_count": HEADS, "pooling_type": POOLINGS[pooling],
    }
    for key, value in figures.items():
        writer.add_uint32(f"bert.{key}", value)
    writer.add_bool("bert.attention.causal", False)
    writer.add_float32("bert.attention.layer_norm_epsilon", 1e-12)
    writer.add_token_type_count(2)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(texts)
    writer.add_token_types(words["tokenizer.ggml.token_type"].contents())
    random = numpy.random.default_rng(5)
    for name, extents, mean, deviation in tensors(len(texts)):
        drawn = mean + deviation * random.standard_normal(tuple(reversed(extents)), dtype=numpy.float32)
        writer.add_tensor(name, drawn.astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.rename(path)
    return path


def own_vectors(model, strings, *more):
    import numpy
    asked = SCRATCH / "texts"
    asked.write_bytes(pack_strings(strings))
    lines = swiftlet("embed", "--model", model, "--batch", asked, "--no-progress", *more).stdout.decode().splitlines()
    return numpy.array([json.loads(line) for line in lines], dtype=numpy.float32)


def main():
    import numpy
    report = Report()
    prose = (ROOT / "Fixtures" / "english.txt").read_text().split()
    counts = [1, 2, 29, 30, 31, 32, 100, 200] if SHORT else range(1, 201, 3)
    strings = [b""] + [" ".join(prose[count * 7 % 50:][:count]).encode() for count in counts]
    strings += [string[:150] for string in generated(40 if SHORT else 200, seed=22)]
    for pooling in POOLINGS:
        made = model(pooling)
        stock = {flash: numpy.fromfile(oracle("embed", made, pack_strings(strings), flash=flash), dtype="<f4").reshape(-1, WIDTH)
                 for flash in (1, 0)}
        apart = numpy.abs(stock[1] - stock[0]).max()
        report.note(f"{pooling}: stock beside itself, with flash attention on / off: at most {apart:.1e} apart")
        for variant in ("baseline", "avx2"):
            found = own_vectors(made, strings, "--variant", variant)
            if not report.check(found.shape == stock[1].shape, f"{pooling}, {variant}: {len(found)} vectors for {len(strings)} texts"):
                continue
            # Flash attention rounds keys and values to 16 bits, which is the larger part of what is between the two.
            difference = numpy.abs(found - stock[0]).max()
            cosine = min((found.astype(numpy.float64) * vectors).sum(axis=1).min() for vectors in stock.values())
            report.check(cosine >= 0.99999, f"{pooling}, {variant}: cosines of {cosine:.8f} and more with both (at least 0.99999)")
            report.check(difference <= 1e-4, f"{pooling}, {variant}: at most {difference:.1e} apart without flash attention (at most 1e-4)")
        spread = numpy.abs(stock[1] @ stock[1].T - numpy.eye(len(strings))).mean()
        report.note(f"{pooling}: different texts have cosines of {spread:.2f} in the mean")
    report.finish()


if __name__ == "__main__":
    main()
