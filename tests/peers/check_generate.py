#!/usr/bin/env python3
"""Compares limn's generation with Hugging Face Transformers, on the bundled model.

Greedy: the tokens of `limn generate` are those of generate(), with and without a repetition
penalty; where they part, the two largest logits must have been nearer than float32 can tell.
Sampling: the distribution left after repetition penalty, temperature, top-k, top-p and min-p, in
the order in which generate() applies them, on the model's own logits, through the C interface. The
tokens left must be the same, but for those at a threshold to float32 rounding.
"""

import ctypes
import json
import warnings

import peers  # first: it sets what the packages below read
import numpy as np

warnings.filterwarnings("ignore")
import torch
import transformers
from transformers import GenerationConfig, GPT2LMHeadModel, GPT2TokenizerFast

# Logits, penalty and temperature are float32 on both sides and the softmax is float64 here; what a
# temperature of 0.3 does to a logit's rounding is the rest. (PyTorch's own softmax in float32 is
# 1.4e-5 away from it where all 50257 tokens are left.)
TOLERANCE = 5e-6
PROMPTS = [
    "Once upon a time",
    "The king said to his daughter,",
    "Alice",
    "'Well,' said the fox,",
    "In the middle of the forest there was a little house",
    "\n\n",
    "Chapter 1",
]


class Sampling(ctypes.Structure):  # limn_sampling of limn/sample.h
    _fields_ = [
        ("temperature", ctypes.c_float),
        ("top_k", ctypes.c_int),
        ("top_p", ctypes.c_float),
        ("min_p", ctypes.c_float),
        ("repetition_penalty", ctypes.c_float),
        ("seed", ctypes.c_uint64),
    ]


class Error(ctypes.Structure):  # limn_error of limn/base.h
    _fields_ = [
        ("status", ctypes.c_int),
        ("offset", ctypes.c_uint64),
        ("text", ctypes.c_char * 512),
    ]


def distribution(library, sampling, logits, ids):
    """What limn would draw from."""
    error, sampler = Error(), ctypes.c_void_p()
    pointer, out = ctypes.POINTER(ctypes.c_float), np.zeros_like(logits)
    tokens = (ctypes.c_int32 * len(ids))(*ids)
    status = library.limn_sampler_new(
        len(logits), ctypes.byref(sampling), ctypes.byref(sampler), ctypes.byref(error)
    )
    assert status == 0, error.text
    status = library.limn_sampling_distribution(
        sampler,
        logits.ctypes.data_as(pointer),
        tokens,
        ctypes.c_size_t(len(ids)),
        out.ctypes.data_as(pointer),
        ctypes.byref(error),
    )
    assert status == 0, error.text
    library.limn_sampler_free.argtypes = [ctypes.c_void_p]
    library.limn_sampler_free(sampler)
    return out


def processed(model, options, logits, ids):
    """What generate() would draw from: its own list of processors, built by its own method."""
    given = {k: v for k, v in options.items() if v}
    config = GenerationConfig(do_sample=True, **{"top_k": 0, "top_p": 1.0, **given})
    model._prepare_special_tokens(config)
    steps = model._get_logits_processor(config, input_ids_seq_length=len(ids))
    scores = steps(torch.tensor([ids]), torch.tensor(logits)[None].clone())
    return torch.softmax(scores[0].double(), -1).numpy()


def random_options(rng):
    return {
        "temperature": float(np.float32(rng.choice([0.3, 0.7, 1.0, 1.4, 2.5]))),
        "top_k": int(rng.choice([0, 1, 5, 40, 1000])),
        "top_p": float(np.float32(rng.choice([0.0, 0.1, 0.5, 0.9, 0.99]))),
        "min_p": float(np.float32(rng.choice([0.0, 0.01, 0.1, 0.5]))),
        "repetition_penalty": float(np.float32(rng.choice([0.0, 1.1, 1.3, 2.0, 0.8]))),
    }


def check_distributions(options, model, tokenizer, verdict):
    library, rng = ctypes.CDLL(str(options.lib)), np.random.default_rng(options.seed)
    edges = 0
    for _ in range(options.draws):
        ids = tokenizer.encode(rng.choice(PROMPTS[:5])) + rng.integers(0, 50257, 3).tolist()
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1].numpy()
        chosen = random_options(rng)
        ours = distribution(library, Sampling(**chosen, seed=0), logits, ids)
        theirs = processed(model, chosen, logits, ids)
        different = np.flatnonzero((ours > 0) != (theirs > 0))
        if len(
            different
        ):  # a cumulative sum of float32 against one of more digits, at top-p's edge
            edges += 1
            larger = np.maximum(ours, theirs)[different].sum()
            verdict.hold("tokens left", str(chosen), float(larger), 1e-4)
            continue
        verdict.hold("sampling", str(chosen), peers.deviation(ours, theirs), options.tolerance)
    print(
        f"{options.draws} distributions, {edges} of them with a token more or less at top-p's edge"
    )


def check_greedy(options, model, tokenizer, verdict):
    for penalty in (1.0, 1.3):
        same = 0
        for prompt in PROMPTS:
            ids = tokenizer.encode(prompt)
            theirs = model.generate(
                torch.tensor([ids]),
                do_sample=False,
                max_new_tokens=options.tokens,
                repetition_penalty=penalty,
                eos_token_id=None,
                pad_token_id=50256,
            )[0].tolist()
            words = [
                "generate",
                "-m",
                peers.TALES,
                "--ids",
                ",".join(map(str, ids)),
                "--json",
                "-n",
                options.tokens,
                "--ignore-end",
                "--repetition-penalty",
                penalty,
                "--temperature",
                0,
            ]
            told = json.loads(peers.limn(options, *words))
            ours = ids + [token["id"] for token in told["tokens"]]
            same += ours == theirs
            if ours != theirs:
                at = next(i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b)
                verdict.bad.append(
                    f"greedy {prompt!r}, penalty {penalty}: token {at} is {ours[at]}, "
                    f"Transformers has {theirs[at]}"
                )
        print(
            f"greedy, penalty {penalty}: {same} of {len(PROMPTS)} texts the same, "
            f"{options.tokens} tokens each"
        )


def main():
    parser = peers.arguments(__doc__)
    parser.add_argument("--lib", default=peers.ROOT / "build/release/liblimn.so", help="liblimn.so")
    parser.add_argument("--draws", type=int, default=400, help="distributions (default 400)")
    parser.add_argument("--tokens", type=int, default=100, help="of each greedy text (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="(default 0)")
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help=f"(default {TOLERANCE:g})"
    )
    options = parser.parse_args()
    print(f"Transformers {transformers.__version__}, PyTorch {torch.__version__}")
    model = GPT2LMHeadModel.from_pretrained(peers.TALES, dtype=torch.float32).eval()
    tokenizer = GPT2TokenizerFast.from_pretrained(peers.TALES)
    verdict = peers.Verdict()
    with torch.no_grad():
        check_greedy(options, model, tokenizer, verdict)
    check_distributions(options, model, tokenizer, verdict)
    verdict.finish()


if __name__ == "__main__":
    main()
