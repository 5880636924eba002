"""Loading a model a second time over a worker that keeps tensors: what does the head still send?

Gemma's only tensor that heads ask about (over 10 MiB) is its embedding; a random model made here has large tensors only. Answers
after the second load are those of the first, and another worker over the same folder serves them too.
"""

import pathlib
import shutil
import tempfile

from clients import Figures
from interop import GEMMA, PROMPTS, SCRATCH, Report, stock

report = Report()


def large_model(path):
    """One layer whose every matrix is 16 MiB or more, without a vocabulary."""
    import gguf
    import numpy

    width, inner, tokens = 2048, 8192, 2048
    random = numpy.random.default_rng(11)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_block_count(1)
    writer.add_head_count(16)
    writer.add_head_count_kv(16)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(128)
    writer.add_vocab_size(tokens)
    writer.add_tokenizer_model("none")

    def add(name, *shape):
        writer.add_tensor(name, random.standard_normal(shape, dtype=numpy.float32) / numpy.float32(shape[-1] ** 0.5))

    add("token_embd.weight", tokens, width)
    add("output.weight", tokens, width)
    writer.add_tensor("output_norm.weight", numpy.ones(width, dtype=numpy.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", numpy.ones(width, dtype=numpy.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}.weight", width, width)
    add("blk.0.ffn_gate.weight", inner, width)
    add("blk.0.ffn_up.weight", inner, width)
    add("blk.0.ffn_down.weight", width, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def received(figures, load):
    """What a load sends, in bytes, and what it gives."""
    figures.wait(lambda now: now["sessions"] == 0, 5)
    before = figures.read()["received_bytes_total"]
    result = load(figures.server)
    figures.wait(lambda now: now["sessions"] == 0, 5)
    return figures.read()["received_bytes_total"] - before, result


def answer(server):
    done = stock("llama-completion", "-m", GEMMA, "--rpc", server.endpoint, "-ngl", 99, "-p", PROMPTS[0], "-n", 8, "--temp", 0, "-no-cnv",
                 "-t", 2, "--no-display-prompt", "--no-warmup", "-c", 256)
    return done.stdout.decode(errors="replace")


def main():
    folder = tempfile.mkdtemp(prefix="cache-", dir=SCRATCH)
    model = SCRATCH / "large-tensors.gguf"
    large_model(model)
    bench = lambda server: stock("llama-bench", "-m", model, "--rpc", server.endpoint, "-ngl", 99, "-p", 0, "-n", 1, "-r", 1)  # noqa: E731
    try:
        with Figures("--cache-dir", folder) as figures:
            first, text = received(figures, answer)
            second, again = received(figures, answer)
            report.check(second <= 0.3 * first, f"Gemma's second load sends {second / 1e6:.1f} MB of {first / 1e6:.1f} MB: "
                         f"{100 * second / first:.1f} % (at most 30 %)")
            report.check(text == again and text.strip(), "and it answers the same")
            first, _ = received(figures, bench)
            second, _ = received(figures, bench)
            report.check(second <= 0.05 * first, f"a model of large tensors sends {second / 1e6:.2f} MB of {first / 1e6:.1f} MB the second time: "
                         f"{100 - 100 * second / first:.2f} % saved (at least 95 %)")
        with Figures("--cache-dir", folder) as figures:
            third, again = received(figures, answer)
            report.check(third <= 0.3 * first and text == again, f"another worker over the same folder is sent {third / 1e6:.1f} MB")
        with Figures("--cache-dir", folder, "--cache-size", "100M") as figures:
            received(figures, bench)
            size = sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())
            report.check(size <= 101 << 20, f"with --cache-size 100M the folder holds {size / (1 << 20):.1f} MiB")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        model.unlink()
    report.finish()


if __name__ == "__main__":
    main()
