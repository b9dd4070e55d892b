"""Packed models against a packer written in NumPy from docs/formats.md: limn's files hold the same
bytes, and what is read back from them is within half a step of the original.

    check_packed.py LIMN [ROUNDS]
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

PANEL, GROUP = 64, 32
F32 = np.float32


def to_bf16(x):
    """Nearest, ties to even; the bits."""
    bits = np.asarray(x, F32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def of_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(F32)


def nearest(x, scale, low, high):
    inverse = np.where(scale != 0, F32(1) / np.where(scale != 0, scale, F32(1)), F32(0)).astype(F32)
    return np.clip(np.rint((x * inverse).astype(F32)), low, high).astype(F32)


def largest(x):
    """Of the largest size along the inputs, with its sign; of equals the first."""
    where = np.argmax(np.abs(x), axis=1)
    return np.take_along_axis(x, where[:, None], axis=1)[:, 0]


def scale_q8(x):
    wanted = (np.abs(largest(x)) / F32(127)).astype(F32)
    bits = to_bf16(wanted)
    return (bits + (of_bf16(bits) < wanted)).astype(np.uint16)


def scale_q4(x):
    most, best, bits = largest(x), np.full(x.shape[::2], np.inf, F32), None
    for divisor in map(F32, (-8, -7.4, -8.6, 7, 7.5, -6.9, 8.2, -9.2)):
        some = to_bf16(most / divisor)
        scale = of_bf16(some)
        error = np.zeros_like(best)
        for i in range(GROUP):  # summed in this order, in float32
            off = x[:, i] - nearest(x[:, i], scale, -8, 7) * scale
            error = (error + off * off).astype(F32)
        bits = some if bits is None else np.where(error < best, some, bits)
        best = np.where(error < best, error, best)
    return bits


def blocks(panel, weights):
    """(n_in, 64) as blocks of bytes."""
    n_in = panel.shape[0]
    x = np.zeros((-(-n_in // GROUP) * GROUP, PANEL), F32)
    x[:n_in] = panel
    x = x.reshape(-1, GROUP, PANEL)
    bits = scale_q8(x) if weights == "q8" else scale_q4(x)
    is_small = np.abs(largest(x)) < F32(1e-30)
    bits = np.where(is_small, 0, bits).astype(np.uint16)
    x = np.where(is_small[:, None, :], F32(0), x)
    scale = of_bf16(bits)[:, None, :]
    if weights == "q8":
        numbers = nearest(x, scale, -127, 127).astype(np.int32) + 128
    else:
        numbers = nearest(x, scale, -8, 7).astype(np.int32) + 8
        numbers = numbers[:, :16] | numbers[:, 16:] << 4
    n = numbers.shape[1]
    numbers = numbers.reshape(-1, n // 4, 4, PANEL).transpose(0, 1, 3, 2).astype(np.uint8)
    head = bits.astype("<u2").view(np.uint8).reshape(len(x), -1)
    return np.concatenate([head, numbers.reshape(len(x), -1)], axis=1)


def pack(matrix, weights):
    """(n_in, n_out) as the bytes of its panels."""
    n_in, n_out = matrix.shape
    wide = np.zeros((n_in, -(-n_out // PANEL) * PANEL), F32)
    wide[:, :n_out] = matrix
    panels = wide.reshape(n_in, -1, PANEL).transpose(1, 0, 2)
    if weights == "f32":
        return panels.astype("<f4").tobytes()
    if weights == "f16":
        return panels.astype("<f2").tobytes()
    if weights == "bf16":
        even = np.zeros((panels.shape[0], n_in + n_in % 2, PANEL), F32)
        even[:, :n_in] = panels
        pairs = to_bf16(even).reshape(panels.shape[0], -1, 2, PANEL).transpose(0, 1, 3, 2)
        return pairs.astype("<u2").tobytes()
    return b"".join(blocks(panel, weights).tobytes() for panel in panels)


def unpack(raw, weights, n_in, n_out):
    """The matrix again, as a reader of docs/formats.md would."""
    p_count, b_count = -(-n_out // PANEL), -(-n_in // GROUP)
    size = {"q8": 2176, "q4": 1152}[weights]
    block = np.frombuffer(raw, np.uint8).reshape(p_count, b_count, size)
    scale = of_bf16(block[..., :128].copy().view("<u2"))
    out = np.empty((p_count, b_count, GROUP, PANEL), F32)
    for i in range(GROUP):
        k = i if weights == "q8" else i % 16
        at = 128 + (k // 4 * PANEL + np.arange(PANEL)) * 4 + k % 4
        byte = block[..., at].astype(np.int32)
        if weights == "q8":
            number = byte - 128
        else:
            number = (byte & 15 if i < 16 else byte >> 4) - 8
        out[:, :, i] = scale * number.astype(F32)
    matrix = out.reshape(p_count, b_count * GROUP, PANEL).transpose(1, 0, 2)
    return matrix.reshape(b_count * GROUP, -1)[:n_in, :n_out]


def make_model(folder, random):
    """A GPT-2 of any odd sizes."""
    heads = int(random.integers(1, 4))
    d, vocab, ctx = heads * int(random.integers(1, 40)), int(random.integers(2, 300)), 8
    layers, inner = int(random.integers(1, 3)), int(random.integers(1, 200))
    config = {"model_type": "gpt2", "n_layer": layers, "n_head": heads, "n_embd": d}
    config |= {"n_positions": ctx, "vocab_size": vocab, "n_inner": inner}
    shapes = {"wte.weight": (vocab, d), "wpe.weight": (ctx, d), "ln_f.weight": (d,), "ln_f.bias": (d,)}
    for i in range(layers):
        for name, shape in {
            "ln_1.weight": (d,), "ln_1.bias": (d,), "ln_2.weight": (d,), "ln_2.bias": (d,),
            "attn.c_attn.weight": (d, 3 * d), "attn.c_attn.bias": (3 * d,),
            "attn.c_proj.weight": (d, d), "attn.c_proj.bias": (d,),
            "mlp.c_fc.weight": (d, inner), "mlp.c_fc.bias": (inner,),
            "mlp.c_proj.weight": (inner, d), "mlp.c_proj.bias": (d,),
        }.items():
            shapes[f"h.{i}.{name}"] = shape
    if random.random() < 0.5:
        shapes["lm_head.weight"] = (vocab, d)
    tensors = {}
    for name, shape in shapes.items():
        size = F32(10.0) ** random.integers(-20, 5)
        tensors[name] = (random.standard_normal(shape) * size).astype(F32)
        if random.random() < 0.3:
            tensors[name][..., : shape[-1] // 2] = 0
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return tensors


def is_matrix(name):
    return ".c_" in name and name.endswith("weight")


def check(limn, folder, weights, tensors, work):
    out = work / f"{folder.name}-{weights}"
    subprocess.run([limn, "quantize", "-m", folder, "--weights", weights, "-o", out], check=True,
                   stdout=subprocess.DEVNULL)
    path = out / "model.safetensors"
    data = path.read_bytes()
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + n])
    assert (8 + n) % 4096 == 0
    metadata = header.pop("__metadata__")
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert metadata["limn.source_sha256"] == digest and metadata["limn.weights"] == weights
    assert json.loads(metadata["limn.config"]) == json.loads((folder / "config.json").read_text())
    head = "lm_head.weight" if "lm_head.weight" in tensors else "wte.weight"
    wanted = {name: t for name, t in tensors.items() if not is_matrix(name) and name != "lm_head.weight"}
    if head == "wte.weight" and weights == "f32":
        del wanted["wte.weight"]
    matrices = {name: t for name, t in tensors.items() if is_matrix(name)}
    matrices[head] = np.ascontiguousarray(tensors[head].T)
    assert set(header) == set(wanted) | {name + ".panels" for name in matrices}, sorted(header)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = data[8 + n + begin : 8 + n + end]
        if not name.endswith(".panels"):
            assert raw == wanted[name].tobytes(), name
            continue
        matrix = matrices[name[: -len(".panels")]]
        assert begin % 64 == 0
        assert raw == pack(matrix, weights), (folder, weights, name)
        if weights in ("q8", "q4"):
            check_rounding(unpack(raw, weights, *matrix.shape), matrix, weights, name)
    with safe_open(path, "numpy") as file:  # the reference reader takes it
        assert set(file.keys()) == set(header)


def check_rounding(found, matrix, weights, name):
    """Within half a step of the group's largest, or in q4 of what clipping the other sign costs."""
    most = {"q8": 0.51 / 127, "q4": 0.25}[weights]
    for first in range(0, len(matrix), GROUP):
        group, back = matrix[first : first + GROUP], found[first : first + GROUP]
        bound = np.abs(group).max(axis=0) * most
        assert (np.abs(back - group).max(axis=0) <= bound + 1e-30).all(), (name, first)


def main():
    limn, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40
    with tempfile.TemporaryDirectory() as work:
        for i in range(rounds):
            folder = pathlib.Path(work) / f"m{i}"
            tensors = make_model(folder, np.random.default_rng(i))
            for weights in ("f32", "f16", "bf16", "q8", "q4"):
                with np.errstate(over="ignore"):
                    check(limn, folder, weights, tensors, pathlib.Path(work))
    print(f"{rounds} models in 5 storages: the same bytes as NumPy's")


main()
