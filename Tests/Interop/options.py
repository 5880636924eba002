"""Does what a file's metadata can ask for change our logits as it changes stock's? Rope scalings and bases, sliding windows, caps, an
attention scale, expert weights, and an output head tied to the embedding: the tiny random models with one thing changed each.
"""

import gguf

from interop import CACHE, MODELS, Report, nmse, stock_logits, stop, swiftlet_logits

YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}
CHANGES = {
    "llama-dense": {
        "linear": {"rope.scaling.type": "linear", "rope.scaling.factor": 2.0},
        "none": {"rope.scaling.type": "none", "rope.scaling.factor": 2.0},
        "yarn": YARN,
        "yarn-factors": YARN | {"rope.scaling.attn_factor": 0.8, "rope.scaling.yarn_beta_fast": 16.0, "rope.scaling.yarn_beta_slow": 2.0,
                                "rope.scaling.yarn_ext_factor": 0.5},
        "base": {"rope.freq_base": 500000.0},
        "scale": {"attention.scale": 0.05},
        "tied": {"output.weight": None},
        "no-factors": {"rope_freqs.weight": None},
    },
    "llama-moe": {
        "weights-scale": {"expert_weights_scale": 2.5},
        "one-expert": {"expert_used_count": 1},
    },
    "gemma3-dense": {
        "bases": {"rope.freq_base": 1000000.0, "rope.freq_base_swa": 5000.0},
        "linear": {"rope.scaling.type": "linear", "rope.scaling.factor": 8.0},
        "window": {"attention.sliding_window": 7},
        "no-window": {"attention.sliding_window": 0},
        "cap": {"final_logit_softcapping": 3.0},
        "tied": {"output.weight": None},
    },
}


def changed_copy(source, target, changes):
    """A copy of a file with metadata set (keys without the architecture's prefix) and tensors left out (None)."""
    reader = gguf.GGUFReader(source)
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(target, architecture)
    wanted = {f"{architecture}.{key}": value for key, value in changes.items() if value is not None}
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        kind, element = field.types[0], field.types[-1] if len(field.types) > 1 else None
        if kind == gguf.GGUFValueType.ARRAY and len(field.data) == 0:
            continue
        writer.add_key_value(name, wanted.pop(name, field.contents()), kind, sub_type=element)
    for name in wanted:
        stop(f"{source} has no {name} to change")
    for tensor in reader.tensors:
        if tensor.name not in changes:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


report = Report()
tokens = [(position * 37 + position * position * 11 + 5) % 128 for position in range(128)]
folder = CACHE / "models" / "tiny-options"
folder.mkdir(parents=True, exist_ok=True)
for base, variations in CHANGES.items():
    source = MODELS / "tiny" / f"{base}.gguf"
    if not source.exists():
        stop(f"no {source}: scripts/fetch-test-data tiny")
    plain = stock_logits(source, tokens)
    # Attention is a small part of these random models, so the limit has to be close. Gemma's is wider because stock rounds
    # what goes in and out of its GELU to F16.
    limit = 1e-9 if base.startswith("gemma") else 1e-12
    for name, changes in variations.items():
        model = folder / f"{base}-{name}.gguf"
        if not model.exists():
            part = model.with_suffix(".part")
            changed_copy(source, part, changes)
            part.rename(model)
        wanted = stock_logits(model, tokens)
        found = nmse(wanted, swiftlet_logits(model, tokens))
        report.check(found <= limit, f"{base}, {name}: NMSE {found:.2e} (at most {limit}); the change itself makes {nmse(wanted, plain):.1e}")
report.finish()
