#!/usr/bin/env python3
"""Writes Sources/Kernels/Table/GridWords.swift: the codebooks of the IQ types, from the Python package gguf, version 0.19.0.

A codeword stands there as four hexadecimal digits: eight values of two bits, or four values of four, the first lowest.
"""
import importlib.metadata
import pathlib
import sys

import numpy as np
from gguf import quants

if (found := importlib.metadata.version("gguf")) != "0.19.0":
    sys.exit(f"make-grids: needs gguf 0.19.0, found {found}")

lines = ["// Written by Fixtures/make-grids.py: the codebooks of ggml's IQ types, four hexadecimal digits a codeword.", "",
         "enum GridWords {"]
for name in ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S"):
    kind = getattr(quants, name)
    kind.init_grid()
    grid = kind.grid.reshape(kind.grid_shape)
    digits = np.searchsorted(np.array(kind.grid_map), grid).astype(np.int64)
    assert (np.array(kind.grid_map)[digits] == grid).all()
    bits = 16 // grid.shape[1]
    words = (digits << (bits * np.arange(grid.shape[1]))).sum(axis=1)
    text = "".join(f"{word:04x}" for word in words)
    lines.append(f"    static let {name.lower()}: StaticString = \"\"\"")
    pieces = [text[i:i + 128] for i in range(0, len(text), 128)]
    lines += [f"        {piece}\\" for piece in pieces[:-1]] + [f"        {pieces[-1]}", '        """']
lines.append("}")
target = pathlib.Path(__file__).parents[1] / "Sources/Kernels/Table/GridWords.swift"
target.write_text("\n".join(lines) + "\n")
