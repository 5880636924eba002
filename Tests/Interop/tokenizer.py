"""Are our token ids stock's? The vectors that come with the reference, and generated strings: Unicode of many scripts, code, white
space, digits, contractions, broken UTF-8. SentencePiece vocabularies, word pieces, and byte pairs with
each of the pre-tokenizers."""

import random

from interop import CACHE, GEMMA, Report, ROOT, SMOLLM, SCRATCH, SHORT, pack_strings, parse_ids, stock_tokens, stop, swiftlet


def own_tokens(model, strings, *more):
    asked = SCRATCH / "strings"
    asked.write_bytes(pack_strings(strings))
    lines = swiftlet("tokenize", "--model", model, "--batch", asked, *more).stdout.decode().split("\n")
    if len(lines) < len(strings):
        stop(f"swiftlet tokenize --batch printed {len(lines)} lines for {len(strings)} strings")
    return [parse_ids(line) for line in lines[:len(strings)]]


SCRIPTS = [
    (0x20, 0x7E), (0xA0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x590, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F),
    (0xE00, 0xE7F), (0x1100, 0x11FF), (0x2000, 0x206F), (0x2190, 0x22FF), (0x2500, 0x257F), (0x3040, 0x30FF),
    (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xE0FF), (0xFE00, 0xFE0F), (0xFFF0, 0xFFFF), (0x1D400, 0x1D7FF),
    (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF), (0xE0100, 0xE01EF), (0x10FFF0, 0x10FFFF),
]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u2003", "\u3000", "\u2581", "\u200b", "\x0b", "\x0c", "\u2028"]
CODE = [
    "def ", "return ", "if (x == ", "){", "}\n", "    ", "\t\t", "=>", "->", "::", "!=", "<|", "|>", "/* ", " */", "//",
    "\"\"\"", "'", "`", "#include <", ">\n", "self.", "0x1F", "1e-9", "&&", "||", "\\n", "$", "@", "%s", "[i]", "const ",
]
MARKUP = [
    "<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "<unused0>", "<b>", "</b>", "<h1>",
    "<table>", "</s>", "<s>", "[INST]", "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|eot_id|>", "<0x41>", "<0x0A>", "<start_of_image>", "[multimodal]",
]


def character(rng):
    low, high = rng.choice(SCRIPTS)
    return chr(rng.randint(low, high))


def generated(count, seed):
    rng = random.Random(seed)
    words = (ROOT / "Fixtures" / "english.txt").read_text().split()

    def unicode_text():
        return "".join(character(rng) for _ in range(rng.randint(1, 40)))

    def one_script():
        low, high = rng.choice(SCRIPTS)
        return "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 60)))

    def prose():
        return " ".join(rng.choice(words) for _ in range(rng.randint(1, 40)))

    def white():
        return "".join(rng.choice(SPACES) * rng.randint(1, 20) for _ in range(rng.randint(1, 6)))

    def code():
        return "".join(rng.choice(CODE + words) for _ in range(rng.randint(1, 40)))

    def repeated():
        return rng.choice([character(rng), rng.choice(words), rng.choice(SPACES), "ab", "=", "-"]) * rng.randint(1, 120)

    def mixed():
        makers = [unicode_text, prose, white, code, one_script]
        return "".join(rng.choice(makers)() for _ in range(rng.randint(2, 4)))

    def markup():
        return "".join(rng.choice(MARKUP + words + SPACES) for _ in range(rng.randint(1, 12)))

    def contractions():
        parts = ["'s", "'S", "'re", "'LL", "'ve", "'m", "'d", "'t", "\u2019s", "don't", "I'll", " 'tis", "'", "''", "'\u017f"]
        return "".join(rng.choice(parts + words + SPACES[:3]) for _ in range(rng.randint(1, 12)))

    def digits():
        parts = ["0", "12", "345", "6789", "1234567", "3.14", "1,000", "\u0663\u0664", "\u00bd", "\u2167", "x2", " 7", "\uff11\uff12"]
        return "".join(rng.choice(parts) for _ in range(rng.randint(1, 10)))

    def broken():
        data = bytearray(mixed().encode())
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(data) + 1)
            move = rng.randrange(5)
            if move == 0:
                data[at:at + 1] = bytes([rng.randrange(256)])
            elif move == 1:
                del data[at:]
            elif move == 2:
                data[at:at] = bytes(rng.randrange(128, 256) for _ in range(rng.randint(1, 5)))
            elif move == 3:
                # A surrogate, an overlong form, a code point past the last, a lone lead byte, a lone continuation.
                data[at:at] = rng.choice([b"\xed\xa0\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf4\x90\x80\x80", b"\xf5", b"\x80"])
            else:
                del data[:at % 4]
        return bytes(data)

    def noise():
        return bytes(rng.randrange(256) for _ in range(rng.randint(1, 80)))

    makers = [unicode_text, one_script, prose, white, code, repeated, mixed, mixed, markup, contractions, digits, broken, broken, noise]
    strings = [b"", b" ", b"\n", b"\0", b"a\0b"]
    while len(strings) < count:
        made = makers[len(strings) % len(makers)]()
        strings.append(made if isinstance(made, bytes) else made.encode("utf-8", "surrogatepass"))
    return strings


def compare(report, name, strings, expected, found):
    wrong = [index for index in range(len(strings)) if expected[index] != found[index]]
    report.check(not wrong, f"{name}: {len(strings) - len(wrong)} of {len(strings)} equal")
    for index in wrong[:5]:
        at = next((i for i, (a, b) in enumerate(zip(expected[index], found[index])) if a != b), "the end")
        report.note(f"string {index}: {strings[index][:60]!r}… differs at token {at}: "
                    f"stock {expected[index][:12]}, swiftlet {found[index][:12]}")


def main():
    report = Report()

    # Which of the two questions does --batch answer? Both are stock's; ask which one this is, then hold it to that.
    probe = [b"a<bos>b<start_of_turn>c", b"x"]
    found = own_tokens(GEMMA, probe)
    modes = [(bos, special) for bos in (0, 1) for special in (0, 1) if stock_tokens(GEMMA, probe, bos, special) == found]
    if not report.check(modes, f"the probe's tokens are stock's in some mode: {found}"):
        report.finish()
    bos, special = modes[0]
    report.note(f"tokenize --batch {'adds' if bos else 'adds no'} BOS and {'reads' if special else 'does not read'} markup")

    strings = generated(1000 if SHORT else 10000, seed=20)
    compare(report, "Gemma, generated strings", strings, stock_tokens(GEMMA, strings, bos, special), own_tokens(GEMMA, strings))

    for name in ("llama-spm", "phi-3", "gpt-2", "llama-bpe", "qwen2", "qwen35", "deepseek-llm", "deepseek-coder", "falcon", "starcoder",
                 "bert-bge"):
        model = CACHE / "vocab" / f"ggml-vocab-{name}.gguf"
        inputs = model.with_suffix(".gguf.inp").read_bytes().split(b"\n__ggml_vocab_test__\n")
        answers = model.with_suffix(".gguf.out").read_text().split("\n")
        vectors = [[int(part) for part in line.split()] for line in answers[:len(inputs)]]
        if stock_tokens(model, inputs) != vectors:
            report.note(f"{name}: stock itself does not give the vectors as they are shipped")
        compare(report, f"{name}, the reference's vectors", inputs, vectors, own_tokens(model, inputs, "--no-bos", "--no-parse-special"))

    # The first file names no pre-tokenizer, which stands for "default".
    files = [CACHE / "vocab" / f"ggml-vocab-{name}.gguf" for name in
             ("gpt-neox", "gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "llama-spm", "phi-3", "qwen35", "bert-bge")]
    more = generated(500 if SHORT else 10000, seed=21)
    for model in [*files, SMOLLM]:
        compare(report, f"{model.stem.removeprefix('ggml-vocab-')}, generated strings", more, stock_tokens(model, more, bos, special),
                own_tokens(model, more))
    report.finish()


if __name__ == "__main__":
    main()
