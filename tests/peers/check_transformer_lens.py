#!/usr/bin/env python3
"""Compares every hook point of GPT-2, and edits at them, with TransformerLens 4.

A random model of gpt2's shape (124 M numbers) goes through TransformerLens's bridge, which runs
Hugging Face Transformers, once in float32 and once in float64, and through `limn trace`. The
float64 run is the reference: limn, which computes in float32, is held to --tolerance of it, and the
table also says how far PyTorch's own float32 is from it. Then activations are edited on both sides,
and the logits compared in the same way.

One name has two meanings: `ln1.hook_normalized` is the norm's output, after weight and bias, in
TransformerLens before version 4 and in limn; version 4's bridge has there the numbers before them,
and the output under `ln1.hook_out`; limn's hook_normalized is compared with that.
"""

import pathlib
import tempfile
import warnings
from importlib.metadata import version

import peers  # first: it sets what the packages below read
import numpy as np

warnings.filterwarnings("ignore")
import torch
import transformers

from transformer_lens.model_bridge import TransformerBridge
from transformers import GPT2LMHeadModel, GPT2TokenizerFast

# float32 has 2^-24 = 6e-8 of relative rounding; through twelve layers of sums over up to 3072 terms
# a few dozen of these come together.
TOLERANCE = 5e-6
ON_REQUEST = (
    "*.hook_result,*.hook_attn_in,*.hook_q_input,*.hook_k_input,*.hook_v_input,*.hook_mlp_in"
)
STANDARD = [
    "hook_resid_pre",
    "ln1.hook_scale",
    "ln1.hook_normalized",
    "attn.hook_q",
    "attn.hook_k",
    "attn.hook_v",
    "attn.hook_attn_scores",
    "attn.hook_pattern",
    "attn.hook_z",
    "hook_attn_out",
    "hook_resid_mid",
    "ln2.hook_scale",
    "ln2.hook_normalized",
    "mlp.hook_pre",
    "mlp.hook_post",
    "hook_mlp_out",
    "hook_resid_post",
]
REQUESTED = [
    "attn.hook_result",
    "hook_attn_in",
    "hook_q_input",
    "hook_k_input",
    "hook_v_input",
    "hook_mlp_in",
]
NORMS = (["ln1"], ["ln2"], ["ln_final"])
FLAGS = ("attn_result", "split_qkv_input", "hook_mlp_in", "attn_in")


class Lens:
    """The model in TransformerLens, in one precision."""

    def __init__(self, folder, dtype):
        model = GPT2LMHeadModel.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
        tokenizer = GPT2TokenizerFast.from_pretrained(folder)
        self.hugging_face = model.eval()
        self.bridge = TransformerBridge.boot_transformers(
            "gpt2", hf_model=self.hugging_face, tokenizer=tokenizer, dtype=dtype
        )

    def request(self, names):
        """Turns these points on request on, and the others off."""
        for name in FLAGS:  # first off: two of them exclude each other
            getattr(self.bridge, f"set_use_{name}")(False)
        for name in names:
            getattr(self.bridge, f"set_use_{name}")(True)

    @torch.no_grad()
    def run(self, ids, hooks=()):
        return self.bridge.run_with_hooks(torch.tensor([ids]), fwd_hooks=list(hooks))[0].numpy()

    @torch.no_grad()
    def cache(self, ids):
        logits, cache = self.bridge.run_with_cache(torch.tensor([ids]))
        found = {
            name: masked(value[0].numpy())
            for name, value in cache.items()
            if isinstance(value, torch.Tensor) and value.shape[:1] == (1,)
        }
        found |= {
            name.replace(".hook_out", ".hook_normalized"): value
            for name, value in found.items()
            if name.split(".")[-2:-1] in NORMS
        }
        return found | {"logits": logits[0].numpy()}


def masked(array):
    """A mask may be the number format's lowest number; limn's is minus infinity."""
    if array.dtype.kind != "f":
        return array
    return np.where(array <= np.finfo(array.dtype).min / 2, -np.inf, array)


def expected_names(layers):
    names = ["hook_embed", "hook_pos_embed"]
    names += [f"blocks.{i}.{point}" for i in range(layers) for point in STANDARD + REQUESTED]
    return [*names, "ln_final.hook_scale", "ln_final.hook_normalized", "logits"]


def check_hooks(options, model, ids, reference, ordinary, verdict):
    found = peers.trace(options, model, ids, f"*,{ON_REQUEST}")
    exact, float32 = {}, {}
    for names in (
        FLAGS[:3],
        FLAGS[3:],
        (),
    ):  # the standard points come from the plain run, the last
        reference.request(names)
        ordinary.request(names)
        exact |= reference.cache(ids)
        float32 |= ordinary.cache(ids)
    rows = {}
    for name in expected_names(options.layers):
        if name not in exact:
            print(f"TransformerLens does not give {name}: not compared")
            continue
        if name not in found:
            verdict.bad.append(f"limn does not give {name}")
            continue
        kind = name.split(".", 2)[-1] if name.startswith("blocks.") else name
        ours = peers.deviation(found[name], exact[name])
        theirs = peers.deviation(float32[name], exact[name])
        verdict.hold("hooks", name, ours, options.tolerance)
        old = rows.get(kind, (0.0, 0.0, 0))
        rows[kind] = max(old[0], ours), max(old[1], theirs), old[2] + 1
    print(f"{'worst over the layers':28} {'tensors':>7} {'limn':>9} {'PyTorch float32':>16}")
    for kind, (ours, theirs, count) in rows.items():
        print(f"{kind:28} {count:7} {ours:9.2e} {theirs:16.2e}")
    with torch.no_grad():
        logits = reference.hugging_face(torch.tensor([ids])).logits[0].numpy()
    verdict.hold(
        "Hugging Face logits", "logits", peers.deviation(found["logits"], logits), options.tolerance
    )


def edits(folder, donor):
    """(limn's edit, TransformerLens's hook point and what is done to the tensor there)."""

    def zero_head(x, hook):
        x[:, :, 2] = 0
        return x

    def patch(x, hook):
        x[:, 4] = torch.tensor(donor["blocks.5.hook_resid_pre"][4], dtype=x.dtype)
        return x

    def mean(x, hook):
        return x.mean(1, keepdim=True).expand_as(x).clone()

    def mean_of_head(x, hook):
        x[:, :, 5] = x[:, :, 5].mean(1, keepdim=True)
        return x

    def column(x, hook):
        x[:, :, :, 0] = 0
        return x

    def cut(x, hook):
        x[:, 1, 3:, 0] = -torch.inf
        return x

    def double(x, hook):
        return x * 2

    def neurons(x, hook):
        x[:, -1, 100:200] = 1
        return x

    def direction(x, hook):
        return x + torch.tensor(donor["blocks.5.hook_resid_pre"][0], dtype=x.dtype)

    return [
        ("blocks.3.attn.hook_z[:,2]=0", "blocks.3.attn.hook_z", zero_head),
        (
            f"blocks.5.hook_resid_pre[4]=@{folder}/donor.safetensors",
            "blocks.5.hook_resid_pre",
            patch,
        ),
        ("blocks.7.hook_mlp_out=mean", "blocks.7.hook_mlp_out", mean),
        ("blocks.2.attn.hook_z[:,5]=mean", "blocks.2.attn.hook_z", mean_of_head),
        ("blocks.1.attn.hook_pattern[:,:,0]=0", "blocks.1.attn.hook_pattern", column),
        ("blocks.4.attn.hook_attn_scores[1,3:,0]=-inf", "blocks.4.attn.hook_attn_scores", cut),
        ("blocks.6.attn.hook_q=*2", "blocks.6.attn.hook_q", double),
        ("blocks.6.attn.hook_k=*2", "blocks.6.attn.hook_k", double),
        ("blocks.6.attn.hook_v=*2", "blocks.6.attn.hook_v", double),
        ("blocks.8.hook_attn_out=*2", "blocks.8.hook_attn_out", double),
        ("blocks.0.ln1.hook_normalized=*2", "blocks.0.ln1.hook_out", double),
        ("blocks.2.ln2.hook_scale=*2", "blocks.2.ln2.hook_scale", double),
        ("blocks.9.mlp.hook_pre[-1,100:200]=1", "blocks.9.mlp.hook_pre", neurons),
        ("blocks.9.mlp.hook_post[-1,100:200]=1", "blocks.9.mlp.hook_post", neurons),
        (
            f"blocks.10.hook_resid_post+=@{folder}/donor.safetensors:direction",
            "blocks.10.hook_resid_post",
            direction,
        ),
        ("hook_pos_embed=*2", "hook_pos_embed", double),
    ]


def check_edits(options, model, ids, reference, verdict, folder):
    rng = np.random.default_rng(3)
    others = rng.integers(0, options.vocabulary, len(ids)).tolist()
    donor = peers.trace(options, model, others, "blocks.5.hook_resid_pre")
    donor["direction"] = donor["blocks.5.hook_resid_pre"][0].copy()
    peers.save_file(donor, pathlib.Path(folder) / "donor.safetensors")
    plain = reference.run(ids)
    print(f"{'edit':58} {'limn':>9} {'moves the logits by':>20}")
    for text, point, change in edits(folder, donor):
        exact = reference.run(ids, [(point, change)])
        found = peers.trace(options, model, ids, "hook_embed", [text])["logits"]
        text, moved = text.replace(f"{folder}/", ""), peers.deviation(exact, plain)
        ours = peers.deviation(found, exact)
        print(f"{text:58} {ours:9.2e} {moved:20.2e}")
        if moved < 10 * options.tolerance:
            verdict.bad.append(
                f"{text}: TransformerLens hardly moves the logits: a check of nothing"
            )
        verdict.hold("edits", text, ours, options.tolerance)


def main():
    parser = peers.arguments(__doc__)
    parser.add_argument("--length", type=int, default=48, help="tokens (default 48)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and tokens (default 0)")
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help=f"(default {TOLERANCE:g})"
    )
    options = parser.parse_args()
    torch.set_num_threads(2)
    print(
        f"TransformerLens {version('transformer-lens')}, Transformers {transformers.__version__}, "
        f"PyTorch {torch.__version__}"
    )
    verdict = peers.Verdict()
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder) / "model"
        peers.random_model(model, "--seed", options.seed)
        reference, ordinary = Lens(model, torch.float64), Lens(model, torch.float32)
        options.layers = reference.bridge.cfg.n_layers
        options.vocabulary = reference.bridge.cfg.d_vocab
        rng = np.random.default_rng(options.seed)
        ids = rng.integers(0, options.vocabulary, options.length).tolist()
        check_hooks(options, model, ids, reference, ordinary, verdict)
        check_edits(options, model, ids, reference, verdict, folder)
    verdict.finish()


if __name__ == "__main__":
    main()
