#!/usr/bin/env python3
"""Writes the files of dequantize/ beside this script; needs the Python package gguf, version 0.19.0.

TYPE.blocks   blocks of random bytes whose scales are finite halves (zero and subnormal ones among them)
TYPE.f32      what gguf.quants.dequantize makes of them, little-endian
to-TYPE.f32   values to convert to TYPE
to-TYPE.bytes what gguf.quants.quantize makes of those (Q8_0: with the inverse of the scale, and ties to even)

Same bytes at every run: the generator is seeded.
"""
import importlib.metadata
import pathlib
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize, quantize

if (found := importlib.metadata.version("gguf")) != "0.19.0":
    sys.exit(f"make-dequantize: needs gguf 0.19.0, found {found}")

folder = pathlib.Path(__file__).parent / "dequantize"
folder.mkdir(exist_ok=True)
random = np.random.default_rng(20)

# Where each type keeps its halves, in bytes from the block's start.
halves = {
    T.Q8_0: [0], T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2],
    T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0], T.IQ3_XXS: [0], T.IQ3_S: [0],
    T.IQ1_S: [0], T.IQ1_M: [], T.IQ4_NL: [0], T.IQ4_XS: [0], T.TQ1_0: [52], T.TQ2_0: [64], T.MXFP4: [], T.NVFP4: [],
}


def scales(count):
    """Halves of both signs: mostly of the size that models have, then one subnormal, one zero and one large."""
    values = (random.standard_normal(count) * 0.02).astype(np.float16)
    values[1:4] = [3e-7, 0, 60000]
    return values.view(np.uint8).reshape(count, 2)


for kind, offsets in halves.items():
    elements, size = GGML_QUANT_SIZES[kind]
    count = 12 if elements == 32 else 5
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in offsets:
        blocks[:, offset:offset + 2] = scales(count)
    if kind == T.IQ1_M:  # the four nibbles of its half lie atop the last four words
        half = scales(count).view(np.uint16)
        for i in range(4):
            blocks[:, 49 + 2 * i] = (blocks[:, 49 + 2 * i] & 15) | (half[:, 0] >> (4 * i) & 15) << 4
    if kind == T.MXFP4:
        blocks[:, 0] = np.minimum(blocks[:, 0], 250)  # what is no number has many patterns
        blocks[:3, 0] = [0, 1, 2]
    name = kind.name.lower().replace("_k", "_K")
    (folder / f"{name}.blocks").write_bytes(blocks.tobytes())
    (folder / f"{name}.f32").write_bytes(dequantize(blocks, kind).astype("<f4").tobytes())

# Every pattern of 16 bits but NaNs, thinned out, for the two plain formats.
patterns = np.arange(0, 65536, 37, dtype=np.uint16)
for kind, infinity in ((T.F16, 0x7C00), (T.BF16, 0x7F80)):
    valid = patterns[(patterns & 0x7FFF) <= infinity]
    name = kind.name.lower()
    (folder / f"{name}.blocks").write_bytes(valid.tobytes())
    (folder / f"{name}.f32").write_bytes(dequantize(valid.view(np.uint8), kind).astype("<f4").tobytes())

# Values of all sizes, with exact ties and the ends of the halves' range.
spread = random.standard_normal(448) * 10.0 ** random.integers(-9, 6, 448)
edges = [0.0, -0.0, 1.0, -1.0, 65504, 65519.99, 65520, 70000, 2.0**-24, 2.0**-25, 1.5 * 2.0**-25, 6.1e-5, 6.0976e-5,
         1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 3.0e38, -3.0e38, 1e-40]
plain = np.concatenate([spread, edges]).astype("<f4")
with np.errstate(over="ignore"):
    for kind in (T.F16, T.BF16):
        name = kind.name.lower()
        (folder / f"to-{name}.f32").write_bytes(plain.tobytes())
        (folder / f"to-{name}.bytes").write_bytes(quantize(plain, kind).tobytes())

rows = (random.standard_normal((12, 32)) * 10.0 ** random.integers(-6, 4, (12, 1))).astype("<f4")
rows[0] = 0
rows[1, :] = np.arange(32) * 0.5  # its largest, set next, makes the scale 1: half of them are ties
rows[1, 31] = 127
(folder / "to-q8_0.f32").write_bytes(rows.tobytes())
largest = np.abs(rows).max(axis=1, keepdims=True)
inverse = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
integers = np.rint(rows * inverse).astype(np.int8)
halves = (largest / np.float32(127)).astype("<f2")
(folder / "to-q8_0.bytes").write_bytes(np.concatenate([halves.view(np.int8), integers], axis=1).tobytes())

# Scales that are no subnormal halves: gguf rounds those otherwise.
rows = (random.standard_normal((8, 256)) * 10.0 ** random.integers(-2, 3, (8, 1))).astype("<f4")
rows[0] = 0
rows[1, :] = np.arange(256) / 8 - 16
for kind in (T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.TQ1_0, T.TQ2_0, T.MXFP4):
    name = kind.name.lower()
    (folder / f"to-{name}.f32").write_bytes(rows.tobytes())
    (folder / f"to-{name}.bytes").write_bytes(quantize(rows, kind).tobytes())
