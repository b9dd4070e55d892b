#!/usr/bin/env python3
"""Compares limn with Hugging Face Transformers on GPT-2 folders of all kinds.

Random models of odd shapes are saved by Transformers itself: as float32, float16 and bfloat16, in
one file and in shards, with and without a head of their own, with every activation function; then
changed by hand into what other programs write: mask buffers, other prefixes, odd addresses. Each
goes through `limn trace`, and hidden states, attention and logits are compared with Transformers in
float64. Folders that must not open are opened too: limn has to name what is wrong.
"""

import json
import pathlib
import struct
import subprocess
import tempfile
import warnings

import peers  # first: it sets what the packages below read
import numpy as np

warnings.filterwarnings("ignore")
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model

# float32 has 2^-24 = 6e-8 of relative rounding; three layers of sums gather a few of them.
TOLERANCE = 2e-6
SHAPE = {"n_layer": 2, "n_head": 3, "n_embd": 24, "n_positions": 21, "vocab_size": 101}

# name: (what differs from SHAPE, how the weights are stored)
CASES = {
    "float32": ({}, torch.float32),
    "float16": ({}, torch.float16),
    "bfloat16": ({}, torch.bfloat16),
    "one layer, one head": ({"n_layer": 1, "n_head": 1}, torch.float32),
    "heads of one number": ({"n_head": 24}, torch.float32),
    "heads of odd width": ({"n_head": 3, "n_embd": 33}, torch.bfloat16),
    "width 1": ({"n_head": 1, "n_embd": 1, "layer_norm_epsilon": 0.1}, torch.float32),
    "width 130": ({"n_head": 2, "n_embd": 130, "n_layer": 3}, torch.float16),
    "n_inner 37": ({"n_inner": 37}, torch.float32),
    "n_inner 1": ({"n_inner": 1}, torch.bfloat16),
    "eps 0.1": ({"layer_norm_epsilon": 0.1}, torch.float32),
    "one position": ({"n_positions": 1}, torch.float32),
    "301 positions": ({"n_positions": 301}, torch.float32),
    "one token": ({"vocab_size": 1}, torch.float32),
    "4099 tokens": ({"vocab_size": 4099}, torch.bfloat16),
    "own head": ({"tie_word_embeddings": False}, torch.float32),
    "own head, bfloat16": ({"tie_word_embeddings": False}, torch.bfloat16),
    "gelu": ({"activation_function": "gelu"}, torch.float32),
    "relu": ({"activation_function": "relu"}, torch.float32),
    "silu": ({"activation_function": "silu"}, torch.float32),
    "swish": ({"activation_function": "swish"}, torch.float32),
    "quick_gelu": ({"activation_function": "quick_gelu"}, torch.float32),
    "gelu_fast": ({"activation_function": "gelu_fast"}, torch.float32),
    "gelu_pytorch_tanh": ({"activation_function": "gelu_pytorch_tanh"}, torch.float32),
}

# Each must be refused, and the message name this.
REFUSED = {
    "scale_attn_by_inverse_layer_idx": ({"scale_attn_by_inverse_layer_idx": True}, None),
    "scale_attn_weights": ({"scale_attn_weights": False}, None),
    "add_cross_attention": ({"add_cross_attention": True}, None),
    "activation_function": ({"activation_function": "mish"}, None),
    "model_type": ({"model_type": "gptj"}, None),
    "n_embd": ({"n_embd": 25}, None),
    "lm_head.weight": ({"tie_word_embeddings": False}, None),
    "h.1.attn.c_attn.weight": ({}, lambda t: t.pop("transformer.h.1.attn.c_attn.weight")),
    "h.0.mlp.c_fc.bias": ({}, lambda t: shorten(t, "transformer.h.0.mlp.c_fc.bias")),
    "wpe.weight": ({}, lambda t: t.update({"transformer.wpe.weight": torch.zeros(21, 25)})),
    "h.2.": ({}, lambda t: t.update({"transformer.h.2.ln_1.bias": torch.zeros(24)})),
    "stored as I64": (
        {},
        lambda t: t.update({"transformer.ln_f.bias": torch.zeros(24, dtype=torch.int64)}),
    ),
}


def shorten(tensors, name):
    tensors[name] = tensors[name][:-1].clone()


def random_model(config, seed, kind=GPT2LMHeadModel):
    """Nothing in it is 0 or 1, as a new model's biases and norms are."""
    torch.manual_seed(seed)
    model = kind(GPT2Config(**config, bos_token_id=0, eos_token_id=0)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.2 + 0.05)
    return model


@torch.no_grad()
def reference(folder, ids):
    """{limn's name: array} of Transformers in float64."""
    model = GPT2LMHeadModel.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    out = model(torch.tensor([ids]), output_hidden_states=True, output_attentions=True)
    last = len(out.attentions)
    names = ["blocks.0.hook_resid_pre"] + [f"blocks.{i}.hook_resid_post" for i in range(last - 1)]
    named = dict(zip([*names, "ln_final.hook_normalized"], out.hidden_states))
    named |= {f"blocks.{i}.attn.hook_pattern": out.attentions[i] for i in range(last)}
    return {name: value[0].numpy() for name, value in (named | {"logits": out.logits}).items()}


def compare(options, verdict, name, folder, config, expected=None):
    rng = np.random.default_rng(len(name))
    ids = rng.integers(0, config["vocab_size"], config["n_positions"]).tolist()
    expected = expected(ids) if expected else reference(folder, ids)
    found = peers.trace(options, folder, ids, "*")
    worst = max((peers.deviation(found[key], value), key) for key, value in expected.items())
    print(f"{name:28} {worst[0]:9.2e}  {worst[1]}")
    verdict.hold("folders", f"{name}, {worst[1]}", worst[0], options.tolerance)


def check_saved(options, verdict, root):
    """As Transformers saves them."""
    for number, (name, (changes, dtype)) in enumerate(CASES.items()):
        config, folder = SHAPE | changes, root / str(number)
        random_model(config, number).to(dtype).save_pretrained(folder)
        compare(options, verdict, name, folder, config)
    folder = root / "shards"
    random_model(SHAPE, 100).save_pretrained(folder, max_shard_size="12KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    compare(options, verdict, "shards", folder, SHAPE)
    folder = root / "body"
    random_model(SHAPE, 101, GPT2Model).save_pretrained(folder)
    compare(options, verdict, "GPT2Model, no prefix", folder, SHAPE)


def rewrite(source, folder, change, pad=0):
    """A copy of a folder with other tensors; `pad` spaces make the header longer."""
    folder.mkdir()
    (folder / "config.json").write_bytes((source / "config.json").read_bytes())
    tensors = load_file(source / "model.safetensors")
    changed = change(tensors)
    tensors = changed if isinstance(changed, dict) else tensors
    path = folder / "model.safetensors"
    save_file(tensors, path, {"format": "pt"})
    if pad:
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        header = data[8 : 8 + size] + b" " * pad
        path.write_bytes(struct.pack("<Q", len(header)) + header + data[8 + size :])


def add_masks(tensors):
    for i in range(SHAPE["n_layer"]):
        n = SHAPE["n_positions"]
        mask = torch.ones(n, n, dtype=torch.uint8).tril().view(1, 1, n, n)
        tensors[f"transformer.h.{i}.attn.bias"] = mask
        tensors[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-10000.0)


def check_rewritten(options, verdict, root):
    """The same numbers, as other programs lay them out: what Transformers made of them counts."""
    source = root / "0"
    expected = lambda ids: reference(source, ids)
    changes = {
        "mask buffers": (add_masks, 0),
        "no prefix": (lambda t: {k.removeprefix("transformer."): v for k, v in t.items()}, 0),
        "tied head written out": (
            lambda t: t.update({"lm_head.weight": t["transformer.wte.weight"].clone()}),
            0,
        ),
        "odd addresses": (lambda t: None, 1),
    }
    for name, (change, pad) in changes.items():
        folder = root / name.replace(" ", "-")
        rewrite(source, folder, change, pad)
        compare(options, verdict, name, folder, SHAPE, expected)
    head = torch.randn(SHAPE["vocab_size"], SHAPE["n_embd"])
    rewrite(source, root / "head", lambda t: t.update({"lm_head.weight": head}))
    compare(options, verdict, "own head, though tied", root / "head", SHAPE)


def check_refused(options, verdict, root):
    for number, (part, (changes, change)) in enumerate(REFUSED.items()):
        folder = root / f"refused-{number}"
        rewrite(root / "0", folder, change or (lambda t: None))
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        command = [str(options.limn), "info", "-m", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(f"refused: {done.stderr.strip().replace(str(folder), 'FOLDER')}")
        if done.returncode != 2 or part not in done.stderr or done.stderr.count("\n") != 1:
            verdict.bad.append(f"{part}: status {done.returncode}, {done.stderr!r}")


def main():
    parser = peers.arguments(__doc__)
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help=f"(default {TOLERANCE:g})"
    )
    options = parser.parse_args()
    print(f"Transformers {transformers.__version__}, PyTorch {torch.__version__}")
    verdict = peers.Verdict()
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        check_saved(options, verdict, root)
        check_rewritten(options, verdict, root)
        check_refused(options, verdict, root)
    verdict.finish()


if __name__ == "__main__":
    main()
