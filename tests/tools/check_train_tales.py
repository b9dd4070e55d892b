"""A tiny run of tools/train_tales.py from texts to a model: what it promises is held to here.

An interrupted run that goes on equals an uninterrupted one bit for bit; another seed does not; the
loss falls; the model's folder opens in limn, whose loss is the script's; errors are one line.
"""

import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import torch

ROOT = pathlib.Path(os.environ["LIMN_SOURCE_DIR"])
LIMN = os.environ["LIMN"]
SCRIPT = ROOT / "tools/train_tales.py"
SIZES = [
    "--width",
    "16",
    "--layers",
    "2",
    "--heads",
    "2",
    "--context",
    "32",
    "--batch",
    "4",
    "--warmup",
    "2",
    "--negatives",
    "64",
    "--threads",
    "1",
    "--save-every",
    "4",
]
STEPS = ["--steps", "14"]


def tool(*arguments, status=0):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == status, (command, done.returncode, done.stdout, done.stderr)
    return done


def write_tales(folder):
    """Little tales of random words, in the typesetting that cleaning takes away."""
    rng = random.Random(5)
    who, did = ["king", "queen", "fox", "old witch", "Alice"], ["saw", "called", "followed", "fed"]
    for name in ("grimm", "harbour", "through-the-looking-glass"):
        lines = ["# A tale", "", "[Illustration: a _fox_]", ""]
        for _ in range(160):
            lines += [
                f"\u201cThe {rng.choice(who)}\u201d {rng.choice(did)} the",
                f"*{rng.choice(who)}*.",
                "",
            ]
        (folder / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")


def checkpoint(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def prepared(work, name):
    tool("prepare", work / name, work / "texts")
    return work / name


def check_prepare(data):
    about = json.loads((data / "data.json").read_text())
    parts = {book["book"]: book["part"] for book in about["books"]}
    assert parts == {
        "grimm.txt": "often",
        "harbour.txt": "rest",
        "through-the-looking-glass.txt": "held",
    }, parts
    assert about["vocab_size"] == 50257 and about["end_of_text"] == 50256


def check_interrupted(work, whole):
    data = prepared(work, "parts")
    tool("train", data, *STEPS, *SIZES, "--until", "5")
    assert checkpoint(data)["step"] == 5
    assert not same(checkpoint(data)["model"], checkpoint(whole)["model"])
    resumed = tool("train", data, *STEPS, *SIZES)
    assert "going on from step 5" in resumed.stdout
    assert same(checkpoint(data), checkpoint(whole)), "an interrupted run differs"


def check_signal(work):
    """SIGTERM in the middle: status 143, a checkpoint, and the same bits when it has gone on."""
    data, longer = prepared(work, "signal"), ["--steps", "60"]
    command = [sys.executable, str(SCRIPT), "train", str(data), *longer, *SIZES]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while not (data / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM, process.returncode
    at = checkpoint(data)["step"]
    assert 0 < at < 60, at
    tool("train", data, *longer, *SIZES)
    other = prepared(work, "unsignalled")
    tool("train", other, *longer, *SIZES)
    assert same(checkpoint(data), checkpoint(other)), f"put down at step {at}, the run differs"


def check_seed(work, whole):
    data = prepared(work, "seed")
    tool("train", data, *STEPS, *SIZES, "--seed", "2")
    assert not same(checkpoint(data)["model"], checkpoint(whole)["model"])
    found = tool("train", data, *STEPS, *SIZES, status=1).stderr
    assert found.count("\n") == 1 and "was made with seed 2, not 1" in found, found
    tool("train", data, *STEPS, *SIZES, "--fresh")
    assert same(checkpoint(data), checkpoint(whole))


def check_model(work, data):
    """The loss has fallen from that of guessing, and limn computes the same one."""
    model, text = work / "model", work / "texts/through-the-looking-glass.txt"
    tool("export", data, model, "--dtype", "f32")
    told = tool("evaluate", model, text).stdout
    tokens, loss = re.search(r": (\d+) tokens, loss ([\d.]+)$", told, re.MULTILINE).groups()
    assert float(loss) < 10.0, told  # ln 50257 is 10.82
    clean = work / "clean.txt"
    with open(clean, "wb") as file:
        subprocess.run(
            [sys.executable, ROOT / "tools/clean_book.py", text], stdout=file, check=True
        )
    said = json.loads(
        subprocess.run(
            [LIMN, "eval", clean, "-m", model, "--limit", str(int(tokens) + 1), "--json"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    # Both print or compute in float32; the script shows four decimals.
    assert said["n_scored"] == int(tokens) and abs(said["loss"] - float(loss)) < 1e-4, (said, told)


def check_errors(work, data):
    (work / "short.txt").write_text("Once upon a time.")
    for arguments, message in [
        (["train", work / "nowhere"], "holds no tokens"),
        (["train", data, "--heads", "3"], "cannot be shared by 3 heads"),
        (["train", data, "--context", "100000"], "are too few for a context of 100000"),
        (["prepare", work / "none", work / "nowhere"], "file to train on"),
        (["export", work / "nowhere", work / "out"], "is not there"),
        (["evaluate", work / "model", work / "absent.txt"], "absent.txt"),
        (["evaluate", work / "model", work / "short.txt"], "shorter than one window"),
    ]:
        found = tool(*arguments, status=1).stderr
        assert found.startswith("train_tales: ") and found.count("\n") == 1, found
        assert message in found, (message, found)


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        (work / "texts").mkdir()
        write_tales(work / "texts")
        whole = prepared(work, "whole")
        check_prepare(whole)
        tool("train", whole, *STEPS, *SIZES)
        check_interrupted(work, whole)
        print("ok: interrupted and gone on, bit for bit the same", flush=True)
        check_seed(work, whole)
        print("ok: the seed counts, and a checkpoint of another one is refused", flush=True)
        check_signal(work)
        print("ok: SIGTERM leaves a checkpoint to go on from", flush=True)
        check_model(work, work / "signal")
        print("ok: the loss fell, and limn eval gives the same", flush=True)
        check_errors(work, whole)
        print("ok: errors are one line and name their cause")


main()
