#!/usr/bin/env python3
"""Writes a GPT-2 folder with random weights, of the published shapes or any other.

    tools/make_gpt2_random.py FOLDER                          gpt2's shape, 124 M numbers, F32
    tools/make_gpt2_random.py FOLDER --shape gpt2-xl --dtype bf16
    tools/make_gpt2_random.py FOLDER --shape gpt2-medium --gguf bf16 --gguf q4_0
    tools/make_gpt2_random.py FOLDER --layers 3 --width 48 --heads 4 --vocab 300 --context 64

For comparing and timing implementations where no trained weights are at hand. The scale is that of
GPT-2 before training (Radford et al. 2019): 0.02, and 0.02 / sqrt(2 layers) where a matrix writes
to the residual stream; but biases and norms are random too, so that no term is trivially nothing.
The seed, the layer and the tensor's name decide its numbers, whatever the number format and the
other sizes. With --gguf the same weights are written for llama.cpp too, as FOLDER/model-DTYPE.gguf
(by tools/make_gguf.py). Needs the package numpy, and gguf for that.
"""

import argparse
import json
import math
import pathlib
import shutil
import struct
import subprocess
import sys
import zlib

try:
    import numpy as np
except ImportError:
    sys.exit("make_gpt2_random: numpy is missing; try: pip install numpy")

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHAPES = {  # layers, width, heads
    "gpt2": (12, 768, 12),
    "distilgpt2": (6, 768, 12),
    "gpt2-medium": (24, 1024, 16),
    "gpt2-large": (36, 1280, 20),
    "gpt2-xl": (48, 1600, 25),
}
GPT2_VOCABULARY = 50257
DTYPES = {
    "f32": ("F32", "float32", 4),
    "f16": ("F16", "float16", 2),
    "bf16": ("BF16", "bfloat16", 2),
}


def tensors(layers, width, vocabulary, context, std):
    """(name, shape, mean, standard deviation) of each, in the order of the file."""
    yield "transformer.wte.weight", (vocabulary, width), 0, std
    yield "transformer.wpe.weight", (context, width), 0, std / 2
    out = std / math.sqrt(2 * layers)
    for i in range(layers):
        h = f"transformer.h.{i}"
        for norm in ("ln_1", "ln_2"):
            yield f"{h}.{norm}.weight", (width,), 1, 0.1
            yield f"{h}.{norm}.bias", (width,), 0, 0.05
        for name, inner, outer, scale in (
            ("attn.c_attn", width, 3 * width, std),
            ("attn.c_proj", width, width, out),
            ("mlp.c_fc", width, 4 * width, std),
            ("mlp.c_proj", 4 * width, width, out),
        ):
            yield f"{h}.{name}.weight", (inner, outer), 0, scale
            yield f"{h}.{name}.bias", (outer,), 0, 0.02
    yield "transformer.ln_f.weight", (width,), 1, 0.1
    yield "transformer.ln_f.bias", (width,), 0, 0.05


def drawn(seed, name, shape, mean, std):
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    return np.float32(mean) + np.float32(std) * rng.standard_normal(shape, np.float32)


def stored(array, dtype):
    """The numbers as the file has them, little-endian; BF16 is rounded to nearest even."""
    if dtype == "bf16":
        bits = np.ascontiguousarray(array).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    return array.astype({"f32": "<f4", "f16": "<f2"}[dtype])


def write_model(path, listed, dtype, seed):
    """One tensor at a time, so that memory holds one only."""
    label, _, size = DTYPES[dtype]
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape, _, _ in listed:
        end = offset + math.prod(shape) * size
        header[name] = {"dtype": label, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape, mean, std in listed:
            file.write(stored(drawn(seed, name, shape, mean, std), dtype).tobytes())
    return offset


def config(options):
    end = min(options.vocab, GPT2_VOCABULARY) - 1
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "n_layer": options.layers,
        "n_head": options.heads,
        "n_embd": options.width,
        "n_inner": None,
        "n_ctx": options.context,
        "n_positions": options.context,
        "vocab_size": options.vocab,
        "layer_norm_epsilon": 1e-5,
        "bos_token_id": end,
        "eos_token_id": end,
        "tie_word_embeddings": True,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "torch_dtype": DTYPES[options.dtype][1],
    }


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="folder to write")
    parser.add_argument("--shape", choices=SHAPES, default="gpt2", help="(default gpt2)")
    for name in ("layers", "width", "heads"):
        parser.add_argument(f"--{name}", type=int, help="instead of the shape's")
    parser.add_argument("--vocab", type=int, default=GPT2_VOCABULARY, help="(default 50257)")
    parser.add_argument("--context", type=int, default=1024, help="(default 1024)")
    parser.add_argument("--std", type=float, default=0.02, help="of the weights (default 0.02)")
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="(default f32)")
    parser.add_argument(
        "--gguf",
        action="append",
        default=[],
        choices=("f32", "f16", "bf16", "q8_0", "q4_0"),
        help="as GGUF too; may be repeated",
    )
    parser.add_argument("--seed", type=int, default=0, help="(default 0)")
    options = parser.parse_args()
    for name, value in zip(("layers", "width", "heads"), SHAPES[options.shape]):
        if getattr(options, name) is None:
            setattr(options, name, value)
    for name in ("layers", "width", "heads", "vocab", "context"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1")
    if options.width % options.heads:
        parser.error(f"a width of {options.width} cannot be shared by {options.heads} heads")
    if options.seed < 0:
        parser.error("--seed must not be negative")
    return options


def main():
    options = parse()
    out = pathlib.Path(options.folder)
    listed = list(
        tensors(options.layers, options.width, options.vocab, options.context, options.std)
    )
    try:
        out.mkdir(parents=True, exist_ok=True)
        size = write_model(out / "model.safetensors", listed, options.dtype, options.seed)
        (out / "config.json").write_text(
            json.dumps(config(options), indent=2) + "\n", encoding="utf-8"
        )
        if options.vocab == GPT2_VOCABULARY:
            for name in ("vocab.json", "merges.txt"):
                shutil.copyfile(ROOT / "models/tales" / name, out / name)
    except OSError as error:
        sys.exit(f"make_gpt2_random: {error}")
    for dtype in options.gguf:
        words = [sys.executable, "-B", ROOT / "tools/make_gguf.py", out, "--dtype", dtype]
        if subprocess.run([*words, "-o", out / f"model-{dtype}.gguf"], check=False).returncode:
            sys.exit(1)
    count = sum(math.prod(shape) for _, shape, _, _ in listed)
    print(f"{out}: {count:,} numbers, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
