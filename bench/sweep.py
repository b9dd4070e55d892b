#!/usr/bin/env python3
"""Times `limn sweep` beside the same sweep in TransformerLens, and holds the results together.

    bench/sweep.py FOLDER [--tokens 64] [--cells 24] [--threads 2]

FOLDER is a GPT-2 (tools/make_gpt2_random.py makes one). Two sweeps: each head's z set to zero, and
the residual stream in front of each layer patched at each position from another text. limn runs all
cells; TransformerLens runs the first so many of a shuffled list, in the way its own
generic_activation_patch does (one forward pass a cell), and its time is scaled to all. Times are
those of the clock and of the processors, which also say something on a busy machine. Loading is no
part of either. Exits with 1 where a cell differs by more than 1e-5 of the largest logit.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import subprocess
import sys
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--limn", default=ROOT / "build/release/limn")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--cells", type=int, default=24, help="that TransformerLens runs")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--changed", type=int, help="tokens that the other text changes; all")
    return parser.parse_args()


def texts(options):
    """Two random texts, and a config to draw them by."""
    config = json.loads((pathlib.Path(options.model) / "config.json").read_text())
    draw = random.Random(1)
    ids = [draw.randrange(config["vocab_size"]) for _ in range(options.tokens)]
    other = list(ids)
    count = options.tokens if options.changed is None else options.changed
    for place in draw.sample(range(options.tokens), count):
        other[place] = draw.randrange(config["vocab_size"])
    return ids, other


def run_limn(options, words):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [options.limn, "sweep", "-m", options.model, "-t", options.threads, "--json"]
    command += ["--metric", "logit", "--target", "#0", *words]
    out = subprocess.run([str(w) for w in command], check=True, capture_output=True).stdout
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(out), wall, cpu


def limn_sweep(options, ids, words):
    """The sweep less a run that loads the model and sweeps over one token."""
    joined = ",".join(map(str, ids))
    _, load_wall, load_cpu = run_limn(options, ["--ids", "0", "--over", "positions", "--metric", "kl"])
    result, wall, cpu = run_limn(options, ["--ids", joined, *words])
    return result["values"], wall - load_wall, cpu - load_cpu


class Lens:
    def __init__(self, options):
        warnings.filterwarnings("ignore")
        sys.path.insert(0, str(ROOT / "bench"))
        from engines import lens

        engine = lens.Engine("f32", options.model, None, options.threads, 0)
        self.torch, self.model = engine.torch, engine.model

    def logit(self, ids, name, hook):
        logits = self.model.run_with_hooks(self.torch.tensor([ids]), fwd_hooks=[(name, hook)])
        return float(logits[0, -1, 0])

    def clean_size(self, ids):
        return float(self.model(self.torch.tensor([ids]))[0, -1].abs().max())

    def head(self, ids, layer, head):
        def hook(z, hook=None):
            z[:, :, head] = 0
            return z

        return self.logit(ids, f"blocks.{layer}.attn.hook_z", hook)

    def patcher(self, other):
        name = "hook_resid_pre"
        _, kept = self.model.run_with_cache(
            self.torch.tensor([other]), names_filter=lambda n: n.endswith(name)
        )

        def patch(ids, layer, position):
            def hook(residual, hook=None):
                residual[:, position] = kept[f"blocks.{layer}.{name}"][:, position]
                return residual

            return self.logit(ids, f"blocks.{layer}.{name}", hook)

        return patch


def lens_sweep(options, ids, values, cell):
    """Seconds for all cells, and the largest difference from `values`."""
    places = [(i, k) for i, row in enumerate(values) for k in range(len(row))]
    chosen = random.Random(2).sample(places, min(options.cells, len(places)))
    cell(ids, *chosen[0])
    start, start_cpu = time.monotonic(), time.process_time()
    found = [cell(ids, *place) for place in chosen]
    scale = len(places) / len(chosen)
    wall, cpu = (time.monotonic() - start) * scale, (time.process_time() - start_cpu) * scale
    worst = max(abs(x - values[i][k]) for x, (i, k) in zip(found, chosen))
    return wall, cpu, worst


def main():
    options = arguments()
    ids, other = texts(options)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    lens = Lens(options)
    size = lens.clean_size(ids)
    sweeps = [
        ("heads, z = 0", ["--over", "heads"], lens.head),
        (
            "positions, resid_pre patched",
            ["--over", "positions", "--from-ids", ",".join(map(str, other))],
            lens.patcher(other),
        ),
    ]
    failed = False
    print(f"{'sweep':30} {'cells':>6}  {'limn s':>14}  {'TransformerLens s':>20}  {'ratio':>13}  difference")
    for title, words, cell in sweeps:
        values, wall, cpu = limn_sweep(options, ids, words)
        lens_wall, lens_cpu, worst = lens_sweep(options, ids, values, cell)
        cells = sum(map(len, values))
        print(
            f"{title:30} {cells:6}  {wall:6.2f} ({cpu:5.2f})  {lens_wall:10.1f} ({lens_cpu:6.1f})"
            f"  {lens_wall / wall:5.1f} ({lens_cpu / cpu:5.1f})  {worst / size:.1e}",
            flush=True,
        )
        failed |= worst / size > 1e-5
    print("in parentheses: processor seconds, all threads together")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
