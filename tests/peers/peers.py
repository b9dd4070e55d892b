"""What the checks in this folder share: running limn, comparing tensors, tables of deviations."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing here may fetch anything
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import numpy as np
from safetensors.numpy import load_file, save_file  # noqa: F401

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TALES = ROOT / "models/tales"


def arguments(description):
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limn", default=ROOT / "build/release/limn", help="the command")
    return parser


def limn(options, *words):
    """Runs the command; its standard output."""
    command = [str(options.limn), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}: {done.stderr}")
    return done.stdout


def trace(options, model, ids, hooks, edits=()):
    """{name: array} of one run, with `logits`."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace.safetensors")
        words = ["trace", "-m", model, "--ids", ",".join(map(str, ids)), "--hooks", hooks]
        for edit in edits:
            words += ["--edit", edit]
        limn(options, *words, "-o", path)
        return load_file(path)


def random_model(folder, *options):
    script = ROOT / "tools/make_gpt2_random.py"
    subprocess.run([sys.executable, script, folder, *map(str, options)], check=True)


def deviation(a, b):
    """max|a - b| / max|b| over finite entries; infinity where one is finite and the other not."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        return np.inf
    finite = np.isfinite(b)
    if not np.array_equal(np.isfinite(a), finite) or not np.array_equal(
        a[~finite], b[~finite], equal_nan=True
    ):
        return np.inf
    if not finite.any():
        return 0.0
    largest = np.abs(b[finite]).max()
    worst = np.abs(a[finite] - b[finite]).max()
    return float(worst / largest if largest else worst)


class Verdict:
    """Collects what went beyond its tolerance."""

    def __init__(self):
        self.bad, self.worst = [], {}

    def hold(self, group, name, value, tolerance):
        if value >= self.worst.get(group, (-1.0, ""))[0]:
            self.worst[group] = (value, name)
        if not value <= tolerance:
            self.bad.append(f"{group}: {name} deviates by {value:.3g}, allowed {tolerance:g}")

    def finish(self):
        for group, (value, name) in self.worst.items():
            print(f"{group}: largest deviation {value:.3g} at {name}")
        if self.bad:
            sys.exit("\n".join([f"{len(self.bad)} beyond the tolerance:", *self.bad]))
