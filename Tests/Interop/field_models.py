"""Models as they are found: odd metadata, templates of other languages, folders with other things in them."""

import json
import pathlib
import subprocess

import gguf
import numpy

from interop import SCRATCH, SWIFTLET, Server
from synthetic import vocabulary

WIDTH = 64
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"


def model(path, template=TEMPLATE, change=lambda writer, texts, scores, types: None, size=None):
    """A model of one layer; `change` adds to its metadata, and to its vocabulary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts, scores, types = vocabulary()
    texts, scores, types = texts[:320], [float(round(score)) for score in scores[:320]], types[:320]
    writer = gguf.GGUFWriter(path, "llama")
    integers = change(writer, texts, scores, types) == "integers"
    for key, value in (("context_length", 256), ("embedding_length", WIDTH), ("feed_forward_length", WIDTH), ("block_count", 1), ("attention.head_count", 1),
                       ("rope.dimension_count", WIDTH)):
        writer.add_uint32(f"llama.{key}", value)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_array("tokenizer.ggml.scores", [int(score) for score in scores] if integers else scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if template:
        writer.add_chat_template(template)
    random = numpy.random.default_rng(3)

    def add(name, *shape):
        writer.add_tensor(f"{name}.weight", (random.standard_normal(shape) * 0.3 if len(shape) > 1 else numpy.ones(shape)).astype(numpy.float32))

    add("token_embd", len(texts), WIDTH)
    for name in ("attn_norm", "ffn_norm"):
        add(f"blk.0.{name}", WIDTH)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        add(f"blk.0.{name}", WIDTH, WIDTH)
    add("output_norm", WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def run(*arguments):
    done = subprocess.run([SWIFTLET, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def tokens(path, text="abc hello"):
    return run("tokenize", "-m", path, "-p", text)


def check(report):
    folder = SCRATCH / "odd"
    good = model(folder / "good.gguf")
    wanted = tokens(good)
    report.check(wanted[0] == 0, f"a good model: {wanted[1].strip()[:80]}")
    integers = model(folder / "scores.gguf", change=lambda *unused: "integers")
    report.check(tokens(integers)[:2] == wanted[:2], "scores as whole numbers: the same tokens")
    flag = model(folder / "flag.gguf", change=lambda writer, *unused: writer.add_uint32("tokenizer.ggml.add_bos_token", 0))
    plain = model(folder / "bool.gguf", change=lambda writer, *unused: writer.add_add_bos_token(False))
    report.check(tokens(flag)[:2] == tokens(plain)[:2] != wanted[:2], "add_bos_token as a number: as a truth value")
    eps = model(folder / "base.gguf", change=lambda writer, *unused: writer.add_uint64("llama.rope.freq_base", 10000))
    report.check(run("run", "-m", eps, "--raw", "-p", "a", "-n", 2)[0] == 0, "a float as a whole number: taken")
    text = model(folder / "text.gguf", change=lambda writer, *unused: writer.add_string("llama.expert_count", "many"))
    status, _, said = run("run", "-m", text, "--raw", "-p", "a", "-n", 2)
    report.check(status == 1 and "expert_count" in said and "string" in said, f"a number as a text: refused, by key, type and what was expected ({said.strip()[-160:]})")
    less = model(folder / "less.gguf", change=lambda writer, *unused: writer.add_vocab_size(300))
    report.check(run("run", "-m", less, "--raw", "-p", "a", "-n", 2)[0] == 0 and tokens(less)[:2] == wanted[:2], "a vocab_size below the list of tokens: the list counts")

    def double(writer, texts, scores, types):
        texts[-1] = "a"

    status, ids, said = tokens(model(folder / "double.gguf", change=double))
    report.check(status == 0, f"a token that is there twice: loaded ({said.strip()[:120]})")

    go = model(folder / "go.gguf", template="{{- if .System }}{{ .System }}{{ end }}{{ .Prompt }}")
    report.check(run("run", "-m", go, "--raw", "-p", "a", "-n", 2)[0] == 0, "a template of another language: raw text all the same")
    with Server(go, ctx=128) as server:
        report.check(server.post("/v1/completions", {"prompt": "a", "max_tokens": 1})[0] == 200, "… completions too")
        status, _, answer = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1})
        report.check(status == 400 and b"template" in answer, f"… and chats are told what is wrong: {status} {answer[:160]}")
    mixed(report, SCRATCH / "mixed")


def mixed(report, folder):
    model(folder / "good.gguf")
    model(folder / "sub" / "nested.gguf")
    whole = (folder / "good.gguf").read_bytes()
    (folder / "half.gguf").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.gguf").write_bytes(b"")
    (folder / "notes.txt").write_text("no model")
    pathlib.Path(folder / "gone.gguf").symlink_to(folder / "nowhere")
    with Server(folder, ctx=128) as server:
        listed = {entry["id"]: entry for entry in json.loads(server.get("/v1/models")[2])["data"]}
        states = {name: entry.get("state") for name, entry in listed.items()}
        report.check(states.get("good") not in (None, "failed") and any("nested" in name for name in states), f"a folder: the good ones are served, sub-folders' too: {states}")
        report.check(states.get("half") == "failed" and listed["half"].get("reason"), f"… and a cut one is listed with the reason: {listed.get('half', {}).get('reason')}")
        name = next(name for name in states if "nested" in name)
        report.check(server.post("/v1/completions", {"model": name, "prompt": "a", "max_tokens": 1})[0] == 200, f"… {name} answers")
        told = [line for line in server.tail().splitlines() if "half.gguf" in line]
        report.check(len(told) >= 1, f"… and a line of the log names the cut one: {told[:1]}")
