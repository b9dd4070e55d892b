#!/usr/bin/env python3
"""Times `limn generate --speculate` beside decoding one by one, and compares the tokens.

    bench/speculate.py FOLDER [--draft MODEL] [--new 128] [--threads 2] [--repeat 3]

FOLDER is a GPT-2. The texts: a passage of 32 random tokens, three times and a half, which greedy
decoding goes on repeating; and random tokens, with more of them drawn at temperature 1, where there
is nothing to look up. Plain and speculating runs take turns; what is shown is the best of each, in
tokens a second of the clock and of the processors, less the best run that makes one token only
(loading and the prompt). Exits with 1 where the tokens differ.
"""

import argparse
import json
import pathlib
import random
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--limn", default=ROOT / "build/release/limn")
    parser.add_argument("--draft", help="a smaller model that guesses, besides lookup")
    parser.add_argument("--weights", default="file")
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    return parser.parse_args()


def generate(options, ids, n, extra):
    """The answer, seconds, and processor seconds."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [options.limn, "generate", "-m", options.model, "-t", options.threads, "--json"]
    command += ["--ids", ",".join(map(str, ids)), "-n", n, "--ignore-end"]
    command += ["--weights", options.weights, *extra]
    out = subprocess.run([str(w) for w in command], check=True, capture_output=True).stdout
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(out), wall, cpu


def best(options, ids, ways):
    """For each way its answer and the least seconds for the tokens behind the first."""
    runs = {way: [] for way in ways}
    for _ in range(options.repeat):
        for way, extra in ways.items():
            one = generate(options, ids, 1, extra)
            runs[way].append((one, generate(options, ids, options.new + 1, extra)))
    return {
        way: [pairs[0][1][0]]
        + [min(p[1][k] for p in pairs) - min(p[0][k] for p in pairs) for k in (1, 2)]
        for way, pairs in runs.items()
    }


def main():
    options = arguments()
    config = json.loads((pathlib.Path(options.model) / "config.json").read_text())
    draw = random.Random(1)
    passage = [draw.randrange(config["vocab_size"]) for _ in range(32)]
    texts = {
        "repeats": ((4 * passage)[:112], []),
        "drawn": (
            [draw.randrange(config["vocab_size"]) for _ in range(112)],
            ["--temperature", "1", "--seed", "1"],
        ),
    }
    ways = {"one by one": [], "lookup": ["--speculate", "lookup"]}
    if options.draft:
        ways["draft"] = ["--speculate", options.draft]
    failed = False
    print(f"{'text':10} {'way':12} {'tok/s':>7} {'per cpu s':>10} {'ratio':>13}  passes  guessed  kept")
    for title, (ids, sampling) in texts.items():
        found = best(options, ids, {way: extra + sampling for way, extra in ways.items()})
        plain = found["one by one"]
        for way, (answer, wall, cpu) in found.items():
            count = answer.get("speculation", {"n_passes": options.new, "n_guessed": 0, "n_kept": 0})
            print(
                f"{title:10} {way:12} {options.new / wall:7.1f} {options.new / cpu:10.1f}"
                f" {plain[1] / wall:5.2f} ({plain[2] / cpu:5.2f})  {count['n_passes']:6}"
                f"  {count['n_guessed']:7}  {count['n_kept']:4}",
                flush=True,
            )
            if way == "draft" and sampling:
                continue  # other tokens, the same distribution
            same = [t["id"] for t in answer["tokens"]] == [t["id"] for t in plain[0]["tokens"]]
            failed |= not same
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
