"""A GPT-2 folder as NumPy arrays, and its forward pass in float64: what all are held against."""

import json
import math
import pathlib
import struct

import numpy as np


def read(folder):
    """The configuration, and {name without "transformer.": float32 array}."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    data = np.memmap(folder / "model.safetensors", np.uint8, "r")
    (size,) = struct.unpack("<Q", bytes(data[:8]))
    header = json.loads(bytes(data[8 : 8 + size]))
    header.pop("__metadata__", None)
    weights = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = data[8 + size + begin : 8 + size + end]
        weights[name.removeprefix("transformer.")] = as_float32(raw, entry["dtype"]).reshape(
            entry["shape"]
        )
    return config, weights


def as_float32(raw, dtype):
    if dtype == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
    return raw.view({"F32": "<f4", "F16": "<f2"}[dtype]).astype(np.float32)


def norm(x, weight, bias, eps):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight + bias


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def attention(qkv, n_head):
    n, d = qkv.shape[0], qkv.shape[1] // 3
    q, k, v = (qkv[:, i * d : (i + 1) * d].reshape(n, n_head, -1).swapaxes(0, 1) for i in range(3))
    scores = q @ k.swapaxes(1, 2) / math.sqrt(d // n_head)
    scores[:, np.triu(np.ones((n, n), bool), 1)] = -np.inf
    pattern = np.exp(scores - scores.max(-1, keepdims=True))
    pattern /= pattern.sum(-1, keepdims=True)
    return (pattern @ v).swapaxes(0, 1).reshape(n, d)


def logits64(folder, ids, rows):
    """GPT-2 in float64 (Radford et al. 2019), as Hugging Face's GPT2LMHeadModel computes it; the
    logits of these rows."""
    config, weights = read(folder)
    eps = config["layer_norm_epsilon"]

    def w(name):
        return weights[name].astype(np.float64)

    def linear(x, name):
        return x @ w(name + ".weight") + w(name + ".bias")

    def normed(x, name):
        return norm(x, w(name + ".weight"), w(name + ".bias"), eps)

    x = weights["wte.weight"][ids].astype(np.float64) + w("wpe.weight")[: len(ids)]
    for i in range(config["n_layer"]):
        h = f"h.{i}"
        qkv = linear(normed(x, h + ".ln_1"), h + ".attn.c_attn")
        x = x + linear(attention(qkv, config["n_head"]), h + ".attn.c_proj")
        x = x + linear(gelu(linear(normed(x, h + ".ln_2"), h + ".mlp.c_fc")), h + ".mlp.c_proj")
    x = normed(x, "ln_f")[rows]
    return x @ w("wte.weight" if "lm_head.weight" not in weights else "lm_head.weight").T


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))
