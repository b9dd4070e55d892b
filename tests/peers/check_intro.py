#!/usr/bin/env python3
"""Compares `limn intro` with PyTorch under several seeds: every value, parameter and random draw.

What the introduction computes is written down here once more, in PyTorch: a generator seeded before
section 1 and again before section 5, layers with PyTorch's own initialisations, everything in
float32. Seed 0's numbers are also in the unit tests; here any seed can be tried.
"""

import json
import math

import peers  # first: it sets what the packages below read
import numpy as np
import torch
from torch import nn

IDS = [41762, 364, 389, 3665, 4981, 13]  # "Transformers are powerful models." to GPT-2
TOLERANCE = 1e-6  # of the largest entry: a few roundings of float32


class Layer(nn.Module):
    """Attention, sum and norm; two linear maps, sum and norm."""

    def __init__(self, d_model=8, heads=2, hidden=16):
        super().__init__()
        self.mha = nn.MultiheadAttention(d_model, heads, batch_first=True)
        self.ffn = nn.Sequential(nn.Linear(d_model, hidden), nn.ReLU(), nn.Linear(hidden, d_model))
        self.norm1, self.norm2 = nn.LayerNorm(d_model), nn.LayerNorm(d_model)

    def forward(self, x):
        mixed, weights = self.mha(x, x, x)
        x = self.norm1(x + mixed)
        return self.norm2(x + self.ffn(x)), weights


def parameters(prefix, module):
    return {f"{prefix}.{name}": value for name, value in module.named_parameters()}


def sinusoids(length, d_model, stretch):
    table = torch.zeros(length, d_model)
    for p in range(length):
        for i in range(d_model):
            angle = p / 10000 ** (stretch * (i - i % 2) / d_model)
            table[p, i] = math.cos(angle) if i % 2 else math.sin(angle)
    return table


def attention_by_hand(found):
    x = found["3.X"] = torch.rand(4, 8)
    for name in ("Q", "K", "V"):
        found[f"3.W_{name}"] = torch.rand(8, 8)
    q, k, v = (x @ found[f"3.W_{name}"] for name in ("Q", "K", "V"))
    found["3.A"] = torch.softmax(q @ k.T / math.sqrt(8), -1)
    found["3.Z"] = found["3.A"] @ v


def layers_of_section_3(found):
    mha = nn.MultiheadAttention(8, 2, batch_first=True)
    x = found["3.mha.X"] = torch.rand(1, 4, 8)
    found["3.mha.out"], found["3.mha.weights"] = mha(x, x, x)
    found["3.mha.weights_per_head"] = mha(x, x, x, average_attn_weights=False)[1]
    ffn = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
    found["3.ffn.out"] = ffn(found["3.mha.out"])
    found |= parameters("3.mha.param", mha) | parameters("3.ffn.param", ffn)


def sections_1_to_4(found, seed, ids):
    torch.manual_seed(seed)
    found["1.logits"] = torch.tensor([2.0, 1.0, 0.5])
    found["1.probs"] = torch.softmax(found["1.logits"], 0)
    found["2.embedding"] = nn.Embedding(50000, 8)(torch.tensor(ids))
    attention_by_hand(found)
    layers_of_section_3(found)
    found["4.PE"], found["4.PE_paper"] = sinusoids(32, 8, 2), sinusoids(32, 8, 1)
    found["4.PE_odd"] = sinusoids(5, 7, 2)


def sections_5_and_6(found, seed):
    torch.manual_seed(seed)
    x = found["5.X"] = torch.rand(1, 5, 8)
    layer = Layer()
    found["5.out"], found["5.attn"] = layer(x)
    found["5.attn_per_head"] = layer.mha(x, x, x, average_attn_weights=False)[1]
    project = nn.Linear(8, 1000)
    found["6.logits"] = project(found["5.out"])
    found["6.probs"] = torch.softmax(found["6.logits"], -1)
    found["6.row_sum_999"] = found["6.probs"][0, 0, :999].sum()
    found |= parameters("5.param", layer) | parameters("6.param", project)


def random_draws(found, seed):
    torch.manual_seed(seed)
    for n in (1, 7, 15, 16, 17, 100):
        found[f"random.rand({n})"] = torch.rand(n)
        found[f"random.randn({n})"] = torch.randn(n)
    found["random.randint(0,50257,(10,))"] = torch.randint(0, 50257, (10,))
    found["random.randperm(10)"] = torch.randperm(10)


@torch.no_grad()
def introduction(seed, ids):
    """{name: array}, names as limn has them."""
    found = {}
    sections_1_to_4(found, seed, ids)
    sections_5_and_6(found, seed)
    random_draws(found, seed)
    return {name: value.numpy() for name, value in found.items()}


def array(entry):
    data = np.array(entry["data"], object).ravel()  # a bare number, or a list; "inf" and the like
    return np.array([float(x) for x in data]).reshape(entry["shape"])


def compare(seed, told, verdict, tolerance):
    """The embedding's ids are the tokens of the sentence that the introduction takes."""
    missing, count = [], 0
    for name, expected in introduction(seed, IDS).items():
        if name not in told:
            missing.append(name)
            continue
        found = array(told[name])
        verdict.hold(f"seed {seed}", name, peers.deviation(found, expected), tolerance)
        count += 1
    print(
        f"seed {seed}: {count} tensors compared" + (f"; limn has no {missing}" if missing else "")
    )
    if count == 0:
        verdict.bad.append(f"seed {seed}: no tensor to compare")
    return [name for name in missing if not name.startswith("random.")]


def thinned(value):
    """Of a large tensor every so-manieth entry, with an odd step, so that all columns are met."""
    step = value.size // 200 | 1 if value.size > 256 else 1
    data = [float(f"{x:.9g}") for x in value.ravel()[::step]]
    whole = {"of": list(value.shape), "step": step, "shape": [len(data)]}
    return (whole if step > 1 else {"shape": list(value.shape)}) | {"data": data}


def write_reference(path, seed):
    """For tests/unit/cli/test_intro.c: a tensor on each line."""
    lines = [
        f" {json.dumps(name)}: {json.dumps(thinned(value))}"
        for name, value in introduction(seed, IDS).items()
    ]
    with open(path, "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    parser = peers.arguments(__doc__)
    parser.add_argument("--seeds", default="0,1,42,4294967301", help="(default 0,1,42,4294967301)")
    parser.add_argument(
        "--json", help="compare this file with the first seed, instead of running limn"
    )
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help=f"(default {TOLERANCE:g})"
    )
    parser.add_argument(
        "--write", metavar="FILE", help="write PyTorch's numbers for seed 0 and compare nothing"
    )
    options, verdict = parser.parse_args(), peers.Verdict()
    print(f"PyTorch {torch.__version__}")
    torch.set_num_threads(1)
    if options.write:
        write_reference(options.write, 0)
        return
    for seed in map(
        int, options.seeds.split(",")[:1] if options.json else options.seeds.split(",")
    ):
        text = (
            open(options.json, encoding="utf-8").read()
            if options.json
            else peers.limn(options, "intro", "--json", "--seed", seed)
        )
        missing = compare(seed, json.loads(text), verdict, options.tolerance)
        verdict.bad += [f"seed {seed}: limn intro gives no {name}" for name in missing]
    verdict.finish()


if __name__ == "__main__":
    main()
