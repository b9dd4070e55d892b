#!/usr/bin/env python3
"""Opening a model until a text of six tokens has its logits, and the most memory of a prefill:
limn on an ordinary file, limn on a packed one, llama.cpp on a GGUF of the same weights.

    bench/start.py [--model FOLDER] [--threads 1] [--repeat 5] [--context 512] [--work FOLDER]

Each run is a process of its own, its packages loaded before the clock starts; the rows take turns,
and the first round only warms the files. Times are medians, of the clock and of the processors, and
the least of each: where memory is full of other files, making room costs more than the rest.
Memory is VmHWM after a prefill of the whole context less VmRSS before opening: mapped pages of
files that were touched count in it, although processes share them and the system may take them back.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import time

import engines
import process
from worker import FIRST_TEXT, status

GGUF = {"f32": "f32", "bf16": "bf16", "q8": "q8_0", "q4": "q4_0"}
STORAGES = ("f32", "f16", "bf16", "q8", "q4")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default=process.BENCH.parent / "build/bench")
    parser.add_argument("--limn", default=process.BENCH.parent / "build/release/limn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def one(options):
    """A run: opens, evaluates, prints a line of JSON."""
    module, variant, model = options.one
    e = engines.engine(module)
    e.load()
    before, cpu, start = status("VmRSS"), time.process_time(), time.perf_counter()
    engine = e.Engine(variant, model, options.work, options.threads, options.context)
    engine.prefill(list(range(1, 1 + FIRST_TEXT)))
    found = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    engine.prefill([i * 31 % 1000 for i in range(options.context)])
    print(json.dumps({**found, "memory": status("VmHWM") - before}))


def packed(options, storage):
    folder = options.work / f"{options.model.name}-packed-{storage}"
    if not folder.exists():
        words = [options.limn, "quantize", "-m", options.model, "--weights", storage, "-o", folder]
        subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
    return folder


def rows(options):
    """(title, module, variant, model)"""
    found = []
    for storage in STORAGES:
        variant = storage + ":f32"
        found.append((f"{storage}, ordinary file", "limn", variant, options.model))
        found.append((f"{storage}, packed file", "limn", variant, packed(options, storage)))
        llama = engines.engine("llama_cpp")
        if storage in GGUF and not llama.missing():
            llama.prepare(GGUF[storage], options.model, options.work)
            found.append((f"llama.cpp {GGUF[storage]}", "llama_cpp", GGUF[storage], options.model))
    return found


def measure(options, row):
    words = [sys.executable, "-B", __file__, "--one", *row[1:], "--work", options.work]
    words += ["--threads", options.threads, "--context", options.context]
    run = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def middle(runs, key):
    times = [1e3 * run[key] for run in runs]
    return f"{statistics.median(times):.0f} ({min(times):.0f})"


def main():
    options = arguments()
    if options.one:
        one(options)
        return
    process.ids_for(options)  # makes the model where none is named
    table = rows(options)
    found = [[] for _ in table]
    for turn in range(options.repeat + 1):
        process.note(f"round {turn} of {options.repeat}")
        for row, runs in zip(table, found):
            result = measure(options, row)
            if turn > 0:
                runs.append(result)
    threads = f"{options.threads} thread{'s' * (options.threads > 1)}"
    print(f"| {threads} | first logits, ms (least) | processor, ms (least) | peak, MB |")
    print("|---|---|---|---|")
    for row, runs in zip(table, found):
        print(f"| {row[0]} |", *(f"{middle(runs, key)} |" for key in ("seconds", "cpu")), end=" ")
        print(f"{max(r['memory'] for r in runs) / 1e6:.0f} |")


if __name__ == "__main__":
    main()
