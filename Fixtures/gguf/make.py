"""Writes this folder's GGUF files with the Python package gguf (0.19.0), and what it reads back from them as JSON.

    python make.py FOLDER
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import GGUFEndian, GGUFReader, GGUFValueType, GGUFWriter

folder = Path(sys.argv[1])
rng = np.random.default_rng(20261124)

# gguf 0.19.0 gives Q8_1 blocks 40 bytes, ggml 36; Q2_0 is younger than it.
TYPES = [t for t in T if t.name not in ("Q8_1", "Q2_0")]


def metadata(writer):
    writer.add_uint8("test.uint8", 255)
    writer.add_int8("test.int8", -128)
    writer.add_uint16("test.uint16", 65535)
    writer.add_int16("test.int16", -32768)
    writer.add_uint32("test.uint32", 4294967295)
    writer.add_int32("test.int32", -2147483648)
    writer.add_uint64("test.uint64", 18446744073709551615)
    writer.add_int64("test.int64", -9223372036854775808)
    writer.add_float32("test.float32", 0.15625)
    writer.add_float64("test.float64", 1e-300)
    writer.add_bool("test.true", True)
    writer.add_bool("test.false", False)
    writer.add_string("test.string", "naïve — 😀\n\"quoted\"")
    writer.add_array("test.strings", ["", "a", "zwei", "三", "\u0000"])
    writer.add_array("test.int32s", [1, -2, 3])
    writer.add_array("test.float32s", [0.5, -1.25])
    writer.add_array("test.bools", [True, False, True])
    writer.add_key_value("test.uint64s", [0, 2**64 - 1], GGUFValueType.ARRAY, GGUFValueType.UINT64)
    writer.add_key_value("test.uint8s", [0, 255], GGUFValueType.ARRAY, GGUFValueType.UINT8)
    writer.add_key_value("test.nested", [[1, 2], [3]], GGUFValueType.ARRAY)


def tensor(writer, name, kind, rows):
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    columns = elements * (2 if elements > 1 else 5)
    data = rng.integers(0, 256, (rows, columns // elements * size), dtype=np.uint8)
    writer.add_tensor(name, data, raw_dtype=kind)


def write(name, endianess=GGUFEndian.LITTLE, types=(), alignment=None, **options):
    writer = GGUFWriter(folder / name, "test", endianess=endianess, **options)
    if alignment:
        writer.add_custom_alignment(alignment)
    metadata(writer)
    for index, kind in enumerate(types):
        tensor(writer, f"{kind.name.lower()}.weight", kind, 1 + index % 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


write("every-type.gguf", types=TYPES)
write("aligned-256.gguf", types=[T.F32, T.Q8_0, T.I8], alignment=256)
write("big-endian.gguf", endianess=GGUFEndian.BIG)
write("split.gguf", types=[T.F32, T.F16, T.Q4_0, T.I8, T.BF16], split_max_tensors=2)

for path in sorted(folder.glob("*.gguf")):
    if path.name == "big-endian.gguf":
        continue
    reader = GGUFReader(path)
    tensors = [
        {
            "name": t.name,
            "type": int(t.tensor_type),
            "shape": [int(n) for n in t.shape],
            "offset": int(t.data_offset),
            "bytes": int(t.n_bytes),
            "sum": int(np.asarray(t.data).view(np.uint8).astype(np.uint64).sum()),
        }
        for t in reader.tensors
    ]
    keys = [k for k in reader.fields if not k.startswith("GGUF.")]
    path.with_suffix(".json").write_text(json.dumps({"keys": keys, "tensors": tensors}, indent=1) + "\n")
