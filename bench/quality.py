#!/usr/bin/env python3
"""What each way to store and compute costs in quality, beside llama.cpp's formats of the same size.

    bench/quality.py TEXT [--model models/tales] [--tokens 10000]

The text is cut into windows of the model's context, each from an empty context, as `limn eval` cuts
it. For every window a float64 forward pass gives the distribution that everything else is held
against: the perplexity, the KL divergence from that distribution (mean, and the 99th percentile of
tokens), how often the likeliest token is the same, and the largest error of a logit. Bits are those
of one number of the large matrices. Books from Project Gutenberg go through tools/clean_book.py
first. Needs the package numpy; llama.cpp's rows need gguf and llama-cpp-python.
"""

import argparse
import json
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
sys.path.insert(0, str(BENCH))

try:
    import numpy as np
except ImportError:
    sys.exit("quality: the package numpy is missing; try: pip install numpy")

from engines import limn, llama_cpp, weights

# How many bits a number takes, with its share of a block's scale.
BITS = {"f32": 32, "f16": 16, "bf16": 16, "q8": 8.5, "q8_0": 8.5, "q4": 4.5, "q4_0": 4.5}
LLAMA = ("f32", "bf16", "q8_0", "q4_0")


class Tally:
    """What one engine did so far."""

    def __init__(self, name, engine, bits):
        self.name, self.engine, self.bits = name, engine, bits
        self.loss, self.n, self.same, self.error, self.largest = 0.0, 0, 0, 0.0, 0.0
        self.kl = []

    def add(self, found, wanted, targets):
        """Logits (n, vocabulary) of both, and the tokens that came."""
        self.error = max(self.error, float(np.abs(found - wanted).max()))
        self.largest = max(self.largest, float(np.abs(wanted).max()))
        p, q = weights.log_softmax(wanted), weights.log_softmax(found.astype(np.float64))
        self.loss -= q[np.arange(len(targets)), targets].sum()
        self.n += len(targets)
        self.kl += (np.exp(p) * (p - q)).sum(-1).tolist()
        self.same += int((found.argmax(-1) == wanted.argmax(-1)).sum())

    def told(self):
        return {
            "name": self.name,
            "bits": self.bits,
            "loss": self.loss / self.n,
            "perplexity": float(np.exp(self.loss / self.n)),
            "kl": float(np.mean(self.kl)),
            "kl_99": float(np.quantile(self.kl, 0.99)),
            "same_top": self.same / len(self.kl),
            "error": self.error / self.largest,
        }


class Float64:
    """The reference as a row of its own."""

    def every(self, ids):
        return self.logits


def tokens(options):
    command = [ROOT / "build/release/limn", "tokenize", "--ids", "--file", options.text]
    done = subprocess.run([str(w) for w in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"quality: limn tokenize: {done.stderr.strip()}")
    return [int(word) for word in done.stdout.replace(",", " ").split()][: options.tokens]


def rows(options, window):
    """A tally for everything that can be opened."""
    found = [Tally("float64", Float64(), 64)]
    for variant in limn.VARIANTS:
        name = f"limn {variant}"
        engine = limn.Engine(variant, options.model, options.work, options.threads, window, True)
        found.append(Tally(name, engine, BITS[variant.partition(":")[0]]))
    gone = llama_cpp.missing()
    if gone:
        print(f"quality: llama.cpp is left out, {gone} is missing", file=sys.stderr)
        return found
    for variant in LLAMA:
        llama_cpp.prepare(variant, options.model, options.work)
        engine = llama_cpp.Engine(variant, options.model, options.work, options.threads, window)
        found.append(Tally(f"llama.cpp {variant}", engine, BITS[variant]))
    return found


def table(told):
    lines = [
        "| storage:arithmetic | bits | perplexity | KL, nats | KL, 99 % of tokens below | "
        "same likeliest token | largest error of a logit |",
        "|" + "---|" * 7,
    ]
    for row in told:
        lines.append(
            f"| {row['name']} | {row['bits']:g} | {row['perplexity']:.4f} | {row['kl']:.2e} | "
            f"{row['kl_99']:.2e} | {100 * row['same_top']:.2f} % | {row['error']:.1e} |"
        )
    return "\n".join(lines)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=pathlib.Path, help="a text file")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/tales")
    parser.add_argument("--tokens", type=int, default=10000, help="of it (default 10000)")
    parser.add_argument("--threads", type=int, default=2, help="(default 2)")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/bench")
    parser.add_argument("-o", "--output", type=pathlib.Path, help="JSON file as well")
    return parser.parse_args()


def main():
    options = parse()
    options.work.mkdir(parents=True, exist_ok=True)
    ids = tokens(options)
    config, _ = weights.read(options.model)
    window = config["n_positions"]
    if len(ids) < 2:
        sys.exit(f"quality: {options.text} has no two tokens")
    tallies = rows(options, window)
    for begin in range(0, len(ids) - 1, window):
        part = ids[begin : begin + window]
        targets = ids[begin + 1 : begin + 1 + len(part)]
        part = part[: len(targets)]
        wanted = weights.logits64(options.model, part, slice(None))
        tallies[0].engine.logits = wanted
        for tally in tallies:
            tally.add(tally.engine.every(part), wanted, targets)
    told = [tally.told() for tally in tallies]
    print(f"{options.text.name}, {tallies[0].n} tokens in windows of {window}\n")
    print(table(told))
    if options.output:
        options.output.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
