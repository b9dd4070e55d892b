#!/usr/bin/env python3
"""Writes tests/data/torch_nn.json: what PyTorch draws and computes, for the unit tests of src/nn.

    pip install torch
    tools/make_goldens.py [FILE]

The file is one object {name: {"shape": [...], "data": [...]}} in the order of the calls. A scalar
has shape [] and a bare number; infinities and NaN are the strings "inf", "-inf", "nan"; booleans
are 0 and 1. Inputs and parameters are float32 and printed with nine significant digits, so that
they come back exactly. Draws and initialisations are PyTorch's own float32; every result of a layer
is computed by PyTorch in float64 from those inputs, except under `extreme.`, where float32 is the
point. Each case carries everything that its result depends on.

Random numbers: `random.SEED` is one stream after manual_seed(SEED), its draws in the order in which
they stand in the file and told by their names: `N.rand` is rand(N), `N.randn` is randn(N),
`N.uniform(A,B)` is empty(N).uniform_(A, B), `randint(LOW,HIGH,N)`, `randperm(N)`. Between two of
them stands an index, so that a call may come twice. The seed itself is `random.SEED.seed`.
"""

import json
import math
import os
import sys

import torch
from torch import nn
from torch.nn import functional

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SEEDS = [0, 1, 42, 2**32 + 5]
SIZES = [*range(1, 21), 31, 32, 33, 64, 100]


class Goldens:
    """The file to be, in the order of the calls."""

    def __init__(self):
        self.entries = {}

    def add(self, name, value, digits=9):
        assert name not in self.entries, name
        value = torch.as_tensor(value).detach()
        numbers = [written(x, digits) for x in value.flatten().tolist()]
        self.entries[name] = (list(value.shape), numbers)

    def add_all(self, prefix, **values):
        for name, value in values.items():
            if value is not None:
                self.add(f"{prefix}.{name}", value)

    def parameters(self, prefix, module):
        for name, value in module.named_parameters():
            self.add(f"{prefix}.param.{name}", value)

    def save(self, path):
        lines = []
        for name, (shape, numbers) in self.entries.items():
            data = numbers[0] if not shape else f"[{','.join(numbers)}]"
            lines.append(f'{json.dumps(name)}:{{"shape":{json.dumps(shape)},"data":{data}}}')
        with open(path, "w", encoding="utf-8") as file:
            file.write("{\n" + ",\n".join(lines) + "\n}\n")


def written(x, digits):
    if isinstance(x, (bool, int)):
        return str(int(x))
    if math.isnan(x):
        return '"nan"'
    if math.isinf(x):
        return '"inf"' if x > 0 else '"-inf"'
    return f"{x:.{digits}g}"


# ---- random numbers and initialisations ------------------------------------------------


class Stream:
    """One generator, drawn from in order."""

    def __init__(self, goldens, seed):
        self.goldens, self.prefix, self.count = goldens, f"random.{seed}", 0
        torch.manual_seed(seed)
        goldens.add(f"{self.prefix}.seed", seed)

    def draw(self, name, value):
        self.goldens.add(f"{self.prefix}.{self.count:03d}.{name}", value)
        self.count += 1

    def rand(self, n):
        self.draw(f"{n}.rand", torch.rand(n))

    def randn(self, n):
        self.draw(f"{n}.randn", torch.randn(n))

    def uniform(self, n, low, high):
        self.draw(f"{n}.uniform({low},{high})", torch.empty(n).uniform_(low, high))

    def randint(self, low, high, n):
        self.draw(f"randint({low},{high},{n})", torch.randint(low, high, (n,)))

    def randperm(self, n):
        self.draw(f"randperm({n})", torch.randperm(n))


def random_numbers(goldens):
    for seed in SEEDS:
        stream = Stream(goldens, seed)
        for n in SIZES:
            stream.rand(n)
            stream.randn(n)
        # The second normal of a pair is kept for the next call of fewer than 16, whatever comes
        # between, and calls of 16 and more neither use it nor drop it.
        for kind, n in [
            ("randn", 1),
            ("rand", 3),
            ("randn", 1),
            ("randn", 3),
            ("randn", 16),
            ("randn", 2),
            ("randn", 17),
            ("rand", 1),
            ("randn", 1),
        ]:
            getattr(stream, kind)(n)
        for low, high in [
            (0, 1),
            (0, 2),
            (0, 50257),
            (-5, 5),
            (10, 1000),
            (0, 2**28 - 1),
            (0, 2**31 - 1),
            (-(2**31), 2**31),
            (0, 2**32),
            (0, 2**40),
            (-(2**62), 2**62),
        ]:
            stream.randint(low, high, 5)
        for n in (1, 2, 10, 100):
            stream.randperm(n)
        for low, high in [(0.0, 1.0), (-1.0, 1.0), (-0.25, 0.75), (3.0, 3.5), (-100.0, 1000.0)]:
            stream.uniform(9, low, high)
        stream.rand(2)


def initialisations(goldens):
    made = {
        "linear(8,5)": lambda: nn.Linear(8, 5),
        "linear(3,17)": lambda: nn.Linear(3, 17),
        "linear(20,7,bias=False)": lambda: nn.Linear(20, 7, bias=False),
        "embedding(6,8)": lambda: nn.Embedding(6, 8),
        "embedding(5,3)": lambda: nn.Embedding(5, 3),
        "multihead(8,2)": lambda: nn.MultiheadAttention(8, 2, batch_first=True),
        "multihead(12,3,bias=False)": lambda: nn.MultiheadAttention(12, 3, bias=False),
        "layernorm(7)": lambda: nn.LayerNorm(7),
    }
    for seed in SEEDS:
        for name, make in made.items():
            torch.manual_seed(seed)
            prefix = f"init.{seed}.{name}"
            goldens.parameters(prefix, make())
            goldens.add(f"{prefix}.next", torch.rand(2))  # where the stream stands afterwards


# ---- softmax, activations, norms, positions ------------------------------------------------


def softmaxes(goldens):
    torch.manual_seed(7)
    inf = math.inf
    cases = {"plain": torch.randn(3, 4, 5), "large": torch.randn(2, 3, 4) * 1e4 + 1e6}
    masked = torch.randn(3, 4, 5)
    masked[0, :, 2] = masked[1, 1, :3] = masked[2, 3, 1:] = -inf
    cases["masked"] = masked
    empty = torch.randn(3, 4, 5)
    empty[1, 2, :] = empty[:, 0, 3] = empty[0, :, 0] = -inf  # PyTorch gives NaN in these
    cases["empty"] = empty
    cases["odd values"] = torch.tensor([[[inf, 0.0, 1.0], [-inf, 3e38, -3e38], [math.nan, 0, 1]]])
    cases["one"] = torch.tensor([[[5.0]]])
    for name, x in cases.items():
        goldens.add(f"softmax.{name}.x", x)
        for axis in range(3):
            goldens.add(f"softmax.{name}.axis{axis}", torch.softmax(x.double(), axis))
    scaled = torch.randn(2, 6)
    goldens.add("log_softmax.x", scaled)
    goldens.add("log_softmax.axis1", torch.log_softmax(scaled.double(), 1))
    ties = torch.tensor([[1.0, 3.0, 3.0, 2.0], [math.nan, 1.0, inf, 0.0], [-inf, -inf, -inf, -inf]])
    goldens.add("argmax.x", ties)
    goldens.add("argmax.axis1", ties.argmax(1))


ACTIVATIONS = {
    "relu": torch.relu,
    "silu": functional.silu,
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_erf": functional.gelu,
}


def activations(goldens):
    x = torch.cat([torch.linspace(-12, 12, 97), torch.tensor([-1e-3, -1e-8, 1e-8, 1e-3, 1e-20])])
    extreme = torch.tensor(
        [
            0.0,
            -0.0,
            30,
            -30,
            100,
            -100,
            1e4,
            -1e4,
            3e38,
            -3e38,
            1e-40,
            math.inf,
            -math.inf,
            math.nan,
        ]
    )
    goldens.add("activation.x", x)
    goldens.add("extreme.activation.x", extreme)
    for name, function in ACTIVATIONS.items():
        goldens.add(f"activation.{name}", function(x.double()))
        goldens.add(f"extreme.activation.{name}", function(extreme))


def rms_norm(x, weight, eps):
    """Zhang & Sennrich 2019, equation 4, epsilon under the root."""
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * weight


def norms(goldens):
    torch.manual_seed(11)
    shifted = torch.randn(3, 16) * 0.01 + 1000  # a variance that a sum of squares would lose
    rows = {
        "plain": torch.randn(2, 3, 8),
        "odd": torch.randn(4, 13),
        "shifted": shifted,
        "constant": torch.full((2, 8), 2.5),
        "tiny": torch.randn(2, 8) * 1e-4,
        "one": torch.randn(3, 1),
    }
    for name, x in rows.items():
        d = x.shape[-1]
        weight, bias = 1 + 0.3 * torch.randn(d), 0.2 * torch.randn(d)
        for eps in (1e-5, 1e-12):
            prefix = f"norm.{name}.eps{eps:g}"
            wide = x.double(), weight.double(), bias.double()
            layer = functional.layer_norm(wide[0], (d,), wide[1], wide[2], eps)
            goldens.add_all(
                prefix,
                eps=eps,
                x=x,
                weight=weight,
                bias=bias,
                layer=layer,
                plain=functional.layer_norm(wide[0], (d,), eps=eps),
                rms=rms_norm(wide[0], wide[1], eps),
            )


def sinusoids(positions, d_model, stretch):
    """Vaswani et al. 2017, section 3.5: angle p / 10000^(2i/d), sine and cosine in turn. `stretch`
    is 1 for the paper's exponent, 2 where an i that already steps by two is doubled again."""
    table = torch.zeros(len(positions), d_model, dtype=torch.float64)
    for row, p in enumerate(positions):
        for i in range(0, d_model, 2):
            angle = p / 10000 ** (stretch * i / d_model)
            table[row, i] = math.sin(angle)
            if i + 1 < d_model:
                table[row, i + 1] = math.cos(angle)
    return table


def positions(goldens):
    cases = {
        "even": (range(12), 8),
        "odd": (range(6), 7),
        "one": (range(4), 1),
        "far": ([0, 1, 255, 1023, 4095, 100000], 16),
    }
    for name, (rows, d_model) in cases.items():
        goldens.add(f"positions.{name}.rows", list(rows))
        for formula, stretch in (("paper", 1), ("doubled", 2)):
            goldens.add(f"positions.{name}.{formula}", sinusoids(rows, d_model, stretch))


# ---- attention and whole layers ------------------------------------------------


def perturb(module):
    """Biases and norms away from their zeros and ones, where a mistake would not show."""
    with torch.no_grad():
        for p in module.parameters():
            if p.dim() == 1:
                p.add_(0.1 * torch.randn_like(p))
    return module


def attend(goldens, name, module, query, key=None, value=None, **masks):
    """One call, its weights averaged over the heads and per head."""
    key, value = query if key is None else key, query if value is None else value
    prefix = f"multihead.{name}"
    goldens.add_all(
        prefix,
        embed=module.embed_dim,
        heads=module.num_heads,
        query=query,
        key=key,
        value=value,
        **masks,
    )
    goldens.parameters(prefix, module)
    wide = {k: m.double() if m.is_floating_point() else m for k, m in masks.items()}
    module.double()
    inputs = query.double(), key.double(), value.double()
    with torch.no_grad():
        out, weights = module(*inputs, **wide)
        same, per_head = module(*inputs, **wide, average_attn_weights=False)
    assert torch.equal(out.nan_to_num(), same.nan_to_num())
    goldens.add_all(prefix, out=out, weights=weights, weights_per_head=per_head)
    module.float()


def multihead(embed, heads, bias=True):
    return perturb(nn.MultiheadAttention(embed, heads, bias=bias, batch_first=True))


def attention(goldens):
    torch.manual_seed(23)
    n, t, s, d = 2, 5, 7, 8
    self_module, x = multihead(d, 2), torch.randn(n, t, d)
    causal = nn.Transformer.generate_square_subsequent_mask(t)
    some = torch.rand(t, t) < 0.3
    some.fill_diagonal_(False)
    padding = torch.tensor([[False] * t, [False, False, True, False, True]])
    blocked = torch.zeros(t, t, dtype=torch.bool)
    blocked[2] = True  # a query that may look nowhere: NaN in PyTorch
    for name, masks in {
        "plain": {},
        "float mask": {"attn_mask": torch.randn(t, t)},
        "bool mask": {"attn_mask": some},
        "causal": {"attn_mask": causal},
        "mask per head": {"attn_mask": torch.randn(n * 2, t, t)},
        "bool mask per head": {
            "attn_mask": torch.stack([some, some.T, causal < 0, torch.zeros_like(some)])
        },
        "padding": {"key_padding_mask": padding},
        "padding and causal": {"key_padding_mask": padding, "attn_mask": causal < 0},
        "float padding": {"key_padding_mask": torch.randn(n, t), "attn_mask": torch.randn(t, t)},
        "blocked": {"attn_mask": blocked},
    }.items():
        attend(goldens, name, self_module, x, **masks)
    query, key, value = torch.randn(n, 3, d), torch.randn(n, s, d), torch.randn(n, s, d)
    attend(goldens, "cross", multihead(d, 4), query, key, value, attn_mask=torch.randn(3, s))
    attend(goldens, "odd", multihead(12, 3), torch.randn(1, 6, 12))
    attend(goldens, "no bias", multihead(12, 3, bias=False), torch.randn(2, 3, 12))
    attend(goldens, "one token", multihead(6, 6), torch.randn(1, 1, 6))


def encoder_layers(goldens):
    torch.manual_seed(31)
    n, t, d, hidden = 2, 4, 8, 12
    for norm_first in (False, True):
        for activation in ("relu", "gelu"):
            name = f"encoder.{'pre' if norm_first else 'post'}-norm.{activation}"
            layer = perturb(
                nn.TransformerEncoderLayer(
                    d, 2, hidden, 0.0, activation, batch_first=True, norm_first=norm_first
                )
            )
            x = torch.randn(n, t, d)
            causal = nn.Transformer.generate_square_subsequent_mask(t)
            goldens.add_all(name, heads=2, eps=1e-5, x=x, mask=causal)
            goldens.parameters(name, layer)
            layer.double()
            with torch.no_grad():
                goldens.add(f"{name}.out", layer(x.double()))
                goldens.add(f"{name}.out_masked", layer(x.double(), src_mask=causal.double()))


def linears(goldens):
    torch.manual_seed(41)
    for name, (rows, inner, outer) in {
        "small": (3, 4, 5),
        "tail": (7, 33, 19),
        "row": (1, 17, 1),
    }.items():
        x, weight, bias = torch.randn(rows, inner), torch.randn(outer, inner), torch.randn(outer)
        out = functional.linear(x.double(), weight.double(), bias.double())
        goldens.add_all(f"linear.{name}", x=x, weight=weight, bias=bias, out=out)


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "tests/data/torch_nn.json")
    torch.set_num_threads(1)
    goldens = Goldens()
    for make in (
        random_numbers,
        initialisations,
        softmaxes,
        activations,
        norms,
        positions,
        linears,
        attention,
        encoder_layers,
    ):
        make(goldens)
    goldens.save(path)
    print(
        f"{path}: {len(goldens.entries)} tensors of PyTorch {torch.__version__}, "
        f"{os.path.getsize(path)} bytes"
    )


if __name__ == "__main__":
    main()
