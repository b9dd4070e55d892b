#!/usr/bin/env python3
"""Makes a tiny random GPT-2 in each format of GGUF, and reads it back with the package gguf.

Every tensor must have the folder's numbers, transposed where GGUF has outputs by inputs: exactly
in float32, to the rounding of the format in others.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import make_gguf

SHAPE = ["--layers", "2", "--width", "64", "--heads", "4", "--vocab", "300", "--context", "32"]
# Of the largest number in a block of 32. A scale is an f16, rounded by up to 2^-11. In 8 bits half
# a step is 1/254; in 4 bits a step is 1/8, and there are 7 on one side: a whole step at worst.
TOLERANCES = {
    "f32": 0.0,
    "f16": 2**-11,
    "bf16": 2**-8,
    "q8_0": 1 / 254 + 2**-11,
    "q4_0": 1 / 8 + 2**-11,
}


def blocks(array):
    return array.reshape(-1, 32)


def compare(folder, file, dtype):
    reader = GGUFReader(file)
    found = {tensor.name: tensor for tensor in reader.tensors}
    names = list(make_gguf.listed(folder))
    assert len(found) == len(names), f"{dtype}: {len(found)} tensors, expected {len(names)}"
    reduced = 0
    for name, source, is_transposed in names:
        tensor, wanted = found[name], folder.read(source)
        wanted = np.ascontiguousarray(wanted.T if is_transposed else wanted)
        got = dequantize(tensor.data, tensor.tensor_type).reshape(wanted.shape)
        is_exact = tensor.tensor_type == GGMLQuantizationType.F32
        reduced += not is_exact
        if is_exact:
            assert np.array_equal(got, wanted), f"{dtype}: {name} differs"
            continue
        error = np.abs(blocks(got) - blocks(wanted)).max(1) / np.abs(blocks(wanted)).max(1)
        assert error.max() <= TOLERANCES[dtype], f"{dtype}: {name} is off by {error.max():.3g}"
    assert reduced == (0 if dtype == "f32" else 9), f"{dtype}: {reduced} matrices in that format"
    assert reader.get_field("gpt2.attention.head_count").contents() == 4
    assert len(reader.get_field("tokenizer.ggml.tokens").contents()) == 300


def main():
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name) / "tiny"
        words = [sys.executable, "-B", ROOT / "tools/make_gpt2_random.py", path, *SHAPE]
        for dtype in TOLERANCES:
            words += ["--gguf", dtype]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        folder = make_gguf.Folder(path)
        for dtype in TOLERANCES:
            compare(folder, path / f"model-{dtype}.gguf", dtype)
        (path / "config.json").write_text(json.dumps({"n_layer": 3}), encoding="utf-8")
        command = [sys.executable, "-B", ROOT / "tools/make_gguf.py", path, "-o", path / "bad.gguf"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "make_gguf:" in done.stderr, done.stderr
        assert not (path / "bad.gguf").exists(), "a failed file is left"
    print("gguf: every tensor reads back, in " + ", ".join(TOLERANCES))


if __name__ == "__main__":
    main()
