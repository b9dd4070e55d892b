#!/usr/bin/env python3
"""Times `limn generate --speculate` beside decoding one by one, and compares the tokens.

    bench/speculate.py                       the bundled model: what a model that guesses is worth
    bench/speculate.py FOLDER [--draft M]    a GPT-2: lookup, and itself in 4 bits (or M) guessing

Without FOLDER, pairs of a model and one that guesses for it, on tales' own kind of text, greedily
and at temperature 1:

- tales in float32, guessed for by itself in 4 bits. Both lie in the caches, so that little is won.
- tales with 186 layers that add nothing behind its own six: the distribution of tales at the cost of
  a model of 44 million numbers, guessed for by tales, which is always right, and by tales in 4 bits,
  which is as right as 4 bits are. The folder is made in --work.

With FOLDER, two texts: a passage of 32 random tokens, three times and a half, which greedy decoding
goes on repeating; and random tokens, with more of them drawn at temperature 1, where there is
nothing to look up. --weights says how the model is stored; the draft is in 4 bits where it is the
model itself.

Plain and speculating runs take turns; what is shown is the best of each, in tokens a second of the
clock and, in brackets, of the processors' time, less the best run that makes one token only
(loading and the prompt). Exits with 1 where tokens differ that must not. The first form needs the
package numpy.
"""

import argparse
import json
import pathlib
import random
import resource
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TALES = ROOT / "models/tales"
TEXT = "Once upon a time there was a king who had three daughters, and the youngest of them"
DEEP = 192  # layers
QUARTER = ["--draft-weights", "q4", "--draft-compute", "int8"]
DRAWN = ["--temperature", "1", "--seed", "1"]


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", nargs="?", metavar="FOLDER")
    add("--limn", default=ROOT / "build/release/limn")
    add("--draft", help="with FOLDER, a smaller model that guesses (default: itself in 4 bits)")
    add("--ahead", type=int, default=4, help="guesses of a model at most (default 4)")
    add("--weights", default="f32", help="of the model (default f32)")
    add("--new", type=int, default=128, help="tokens (default 128)")
    add("--threads", type=int, default=2, help="(default 2)")
    add("--repeat", type=int, default=3, help="(default 3)")
    add("--work", type=pathlib.Path, default=ROOT / "build/bench")
    return parser.parse_args()


def deepen(out):
    """tales, and behind its layers others whose outputs are 0 times what they compute."""
    import numpy as np

    if (out / "config.json").exists():
        return out
    config = json.loads((TALES / "config.json").read_text(encoding="utf-8"))
    raw = (TALES / "model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + size])
    header.pop("__metadata__", None)
    tensors = {
        name: (entry["shape"], raw[8 + size + entry["data_offsets"][0] :][: length(entry)])
        for name, entry in header.items()
    }
    draw = np.random.default_rng(1)
    last = f"h.{config['n_layer'] - 1}."
    for layer in range(config["n_layer"], DEEP):
        for name in [name for name in header if last in name]:
            shape, data = tensors[name]
            if "c_proj" in name:
                data = bytes(len(data))
            elif name.endswith(("c_attn.weight", "c_fc.weight")):
                numbers = draw.standard_normal(shape, np.float32) * np.float32(0.02)
                data = (numbers.view(np.uint32) >> 16).astype("<u2").tobytes()
            tensors[name.replace(last, f"h.{layer}.")] = (shape, data)
    config["n_layer"] = DEEP
    out.mkdir(parents=True, exist_ok=True)
    write(out / "model.safetensors", tensors)
    for name in ("vocab.json", "merges.txt"):
        (out / name).write_bytes((TALES / name).read_bytes())
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return out


def length(entry):
    return entry["data_offsets"][1] - entry["data_offsets"][0]


def write(path, tensors):
    """Of BF16 numbers."""
    header, offset = {}, 0
    for name, (shape, data) in tensors.items():
        header[name] = {
            "dtype": "BF16",
            "shape": shape,
            "data_offsets": [offset, offset + len(data)],
        }
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors.values():
            file.write(data)


def generate(options, model, prompt, n, extra):
    """The answer, seconds, and processor seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [options.limn, "generate", "-m", model, "-t", options.threads, "--json"]
    command += [*prompt, "-n", n, "--ignore-end", "--weights", options.weights, *extra]
    out = subprocess.run([str(w) for w in command], check=True, capture_output=True).stdout
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(out), wall, cpu


def best(options, model, prompt, ways):
    """For each way its answer and the least seconds for the tokens behind the first."""
    runs = {way: [] for way in ways}
    for _ in range(options.repeat):
        for way, extra in ways.items():
            one = generate(options, model, prompt, 1, extra)
            runs[way].append((one, generate(options, model, prompt, options.new + 1, extra)))
    return {
        way: [pairs[0][1][0]]
        + [min(p[1][k] for p in pairs) - min(p[0][k] for p in pairs) for k in (1, 2)]
        for way, pairs in runs.items()
    }


def pairs(options):
    """(title, model, prompt, sampling, ways), of the bundled model."""
    small = f"{TALES}:{options.ahead}"
    deep = deepen(options.work / f"tales-{DEEP}-layers")
    for kind, sampling in (("greedy", []), ("drawn", DRAWN)):
        yield f"tales, {kind}", TALES, [TEXT], sampling, {"q4": ["--speculate", small, *QUARTER]}
        ways = {
            "tales": ["--speculate", small],
            "tales, q4": ["--speculate", small, *QUARTER],
        }
        yield f"{DEEP} layers, {kind}", deep, [TEXT], sampling, ways


def folder(options):
    """The same of a folder."""
    config = json.loads((pathlib.Path(options.model) / "config.json").read_text())
    draw = random.Random(1)
    passage = [draw.randrange(config["vocab_size"]) for _ in range(32)]
    own = ["--speculate", f"{options.draft or options.model}:{options.ahead}"]
    ways = {
        "lookup": ["--speculate", "lookup"],
        "draft" if options.draft else "q4": own + ([] if options.draft else QUARTER),
    }
    repeated = (4 * passage)[:112]
    others = [draw.randrange(config["vocab_size"]) for _ in range(112)]
    for title, ids, sampling in (("repeats", repeated, []), ("drawn", others, DRAWN)):
        yield title, options.model, ["--ids", ",".join(map(str, ids))], sampling, ways


def line(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def show(options, title, model, prompt, sampling, ways):
    """Prints the rows of one case; whether all tokens that must be are the same."""
    ways = {"one by one": [], **ways}
    found = best(options, model, prompt, {way: sampling + extra for way, extra in ways.items()})
    plain = found["one by one"]
    is_right = True
    for way, (answer, wall, cpu) in found.items():
        cells = [title, way, f"{options.new / wall:.1f} ({options.new / cpu:.1f})"]
        count = answer.get("speculation")
        if count:
            share = count["n_kept"] / max(1, count["n_guessed"])
            cells += [f"{plain[1] / wall:.2f} ({plain[2] / cpu:.2f})", str(count["n_passes"])]
            cells += [str(count["n_guessed"]), f"{count['n_kept']} ({100 * share:.0f} %)"]
        else:
            cells += ["", str(options.new), "", ""]
        line(cells)
        if way not in ("one by one", "lookup") and sampling:
            continue  # other tokens, the same distribution
        is_right &= [t["id"] for t in answer["tokens"]] == [t["id"] for t in plain[0]["tokens"]]
    return is_right


def main():
    options = arguments()
    words = ["text", "guesses", "tokens/s", "ratio", "passes", "guessed", "kept"]
    line(words)
    print("|" + "---|" * len(words))
    cases = folder(options) if options.model else pairs(options)
    results = [show(options, *case) for case in cases]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
