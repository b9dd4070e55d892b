#!/usr/bin/env python3
"""Compares limn with what PyTorch computed for gpt-nano-sort, a real trained model.

    check_nano_sort.py FOLDER [LIMN]

FOLDER is as tools/convert_gpt_nano_sort.py takes it, LIMN the command (default: build/release/limn).
Each tensor must agree to 1e-5 in max|a - b| / max|b| over finite entries, with infinities in the
same places: both sides compute in float32, so the reference's own rounding is in the difference.
The first tensor of the forward pass that does not is named. Needs nothing but Python.
"""
import array
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

TOLERANCE = 1e-5
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read_safetensors(path):
    """{name: (shape, numbers)} in the order of the data; all float32."""
    with open(path, "rb") as file:
        content = file.read()
    (n,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + n])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        assert entry["dtype"] == "F32", (name, entry["dtype"])
        begin, end = entry["data_offsets"]
        numbers = array.array("f")
        numbers.frombytes(content[8 + n + begin : 8 + n + end])
        tensors[name] = (entry["shape"], numbers)
    return tensors


def deviation(found, expected):
    """max|a - b| / max|b|, or infinity where one is finite and the other is not the same."""
    worst = largest = 0.0
    for a, b in zip(found, expected):
        if not (math.isfinite(a) and math.isfinite(b)):
            if a != b:
                return math.inf
            continue
        worst = max(worst, abs(a - b))
        largest = max(largest, abs(b))
    return worst / largest if largest else worst


def trace(limn, model, ids, path):
    text = ",".join(str(id) for id in ids)
    command = [limn, "trace", "-m", model, "--ids", text, "--hooks", "*", "-o", path]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return read_safetensors(path)


def compare(found, expected, label):
    """The largest deviation; ends the program at the first tensor beyond the tolerance."""
    largest = 0.0
    for name, (shape, numbers) in expected.items():
        if name not in found:
            sys.exit(f"{label}: {name} is missing")
        if found[name][0] != shape:
            sys.exit(f"{label}: {name} has shape {found[name][0]}, expected {shape}")
        d = deviation(found[name][1], numbers)
        if not d <= TOLERANCE:
            sys.exit(f"{label}: first divergence at {name}: {d:.3g}, allowed {TOLERANCE:g}")
        largest = max(largest, d)
    return largest


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    limn = sys.argv[2] if len(sys.argv) == 3 else os.path.join(ROOT, "build", "release", "limn")
    converter = os.path.join(ROOT, "tools", "convert_gpt_nano_sort.py")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, converter, sys.argv[1], folder], check=True)
        i, largest = 0, 0.0
        while os.path.exists(os.path.join(folder, f"reference-{i}.json")):
            stem = os.path.join(folder, f"reference-{i}")
            with open(stem + ".json", encoding="utf-8") as file:
                ids = json.load(file)["input_ids"]
            expected = read_safetensors(stem + ".safetensors")
            found = trace(limn, folder, ids, os.path.join(folder, "trace.safetensors"))
            d = compare(found, expected, f"input {i}")
            print(f"input {i}: {len(expected)} tensors agree, largest deviation {d:.3g}")
            largest = max(largest, d)
            i += 1
    if i == 0:
        sys.exit("the converter made no reference")
    print(f"gpt-nano-sort: {i} inputs agree to {TOLERANCE:g}, largest deviation {largest:.3g}")


if __name__ == "__main__":
    main()
