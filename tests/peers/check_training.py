#!/usr/bin/env python3
"""Compares what `limn tokenizer train` learns with Hugging Face's trainer on the same text.

    pip install tokenizers
    tests/peers/check_training.py --lib build/release/liblimn.so [--texts N] [FILE...]

The three files that each writes must be the same to the byte, the line feed at their end apart:
for the Python library's source, for FILEs, for random texts in many alphabets, and for N small
texts of two or three letters, in which pairs overlap and tie all the time. Chunks, threads, special
tokens, frequencies and sizes vary. Exit status 1 at the first difference.
"""
import argparse
import glob
import os
import random
import sys
import sysconfig
import tempfile
import time
import unicodedata

FILES = ("vocab.json", "merges.txt", "tokenizer.json")


def learn_theirs(texts, folder, vocab_size, min_frequency, specials, pattern, most, is_nfc):
    tokenizer = Tokenizer(models.BPE())
    if is_nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = families.pre_tokenizer(pattern)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        **({"max_token_length": most} if most else {}),
    )
    start = time.perf_counter()
    tokenizer.train_from_iterator(texts, trainer)
    took = time.perf_counter() - start
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    tokenizer.model.save(folder)
    return took


def learn_ours(
    texts, folder, vocab_size, min_frequency, specials, pattern, most, is_nfc, threads, chunk
):
    start = time.perf_counter()
    trainer = limn_tokenizer.Trainer(
        vocab_size,
        min_frequency,
        specials,
        threads=threads,
        pattern=pattern,
        max_token_length=most,
        is_nfc=is_nfc,
    )
    for text in texts:
        trainer.feed(text.encode("utf-8"), chunk)
    trainer.learn()
    took = time.perf_counter() - start
    trainer.write(folder)
    n_merges = len(trainer.merges())
    trainer.close()
    return took, n_merges


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read().rstrip(b"\n")


def compare(
    name,
    texts,
    vocab_size,
    min_frequency=0,
    specials=(),
    pattern="gpt2",
    threads=1,
    chunk=0,
    most=0,
    is_nfc=False,
):
    """The seconds that each took, and how many merges; exits at a difference."""
    with tempfile.TemporaryDirectory() as ours, tempfile.TemporaryDirectory() as theirs:
        arguments = vocab_size, min_frequency, specials, pattern, most, is_nfc
        slow = learn_theirs(texts, theirs, *arguments)
        fast, n_merges = learn_ours(texts, ours, *arguments, threads, chunk)
        for file in FILES:
            if read(ours, file) != read(theirs, file):
                keep = tempfile.mkdtemp()
                for folder, label in ((ours, "limn"), (theirs, "tokenizers")):
                    with open(os.path.join(keep, f"{label}-{file}"), "wb") as out:
                        out.write(read(folder, file))
                sys.exit(
                    f"{name}: {file} differs, both are in {keep} ({pattern}, vocab_size {vocab_size}, "
                    f"min_frequency {min_frequency}, specials {list(specials)}, threads {threads}, "
                    f"chunk {chunk}, most {most}, NFC {is_nfc})"
                )
    return slow, fast, n_merges


def report(name, texts, *arguments, **options):
    slow, fast, n_merges = compare(name, texts, *arguments, **options)
    size = sum(len(text.encode("utf-8")) for text in texts) / 1e6
    print(
        f"{name}: {size:.1f} MB, {n_merges} merges, no difference; "
        f"tokenizers {slow:.2f} s, limn {fast:.3f} s",
        flush=True,
    )


def words(rng, letters, n, longest):
    return " ".join(
        "".join(rng.choice(letters) for _ in range(rng.randint(1, longest))) for _ in range(n)
    )


def steady_characters():
    """Those whose category no version of Unicode since 3.2 has changed: peers have several."""
    old = unicodedata.ucd_3_2_0.category
    every = map(chr, range(0x20, 0x3000))
    return [c for c in every if old(c) != "Cn" and old(c) == unicodedata.category(c)]


def small_text(rng):
    letters = rng.choice(("a", "ab", "ab", "abc", "aab", "a\u00e9", "ae\u0301", "ab \n", "\u4e00a"))
    text = words(rng, letters, rng.randint(1, 60), rng.choice((3, 8, 30)))
    return text + rng.choice(letters) * rng.randint(0, 40)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lib", required=True, help="liblimn.so")
    parser.add_argument("--texts", type=int, default=2000, help="how many small texts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("files", nargs="*", metavar="FILE")
    options = parser.parse_args()
    os.environ["LIMN_LIB"] = os.path.abspath(options.lib)
    rng = random.Random(options.seed)
    stdlib = sorted(glob.glob(os.path.join(sysconfig.get_paths()["stdlib"], "*.py")))
    code = [open(f, encoding="utf-8", errors="replace", newline="").read() for f in stdlib]
    report("source code", code, 16000, 2, ("<|endoftext|>", "<pad>"))
    report("source code in chunks", code, 32000, 0, threads=2, chunk=777)
    steady = steady_characters()
    unicode = "".join(rng.choice(steady) for _ in range(200_000))
    for pattern in families.FAMILIES:
        report(f"{pattern} random characters", [unicode], 8000, 0, (), pattern, 2, 10_000)
        report(f"{pattern} source code", code, 8000, 2, (), pattern, 2)
    report("source code, tokens below 8 bytes", code, 8000, 2, most=8)
    marked = unicodedata.normalize("NFD", unicode[:50_000])
    report("decomposed characters", [marked], 4000, 0, (), "qwen2", 2, 777, is_nfc=True)
    report("two letters", [words(rng, "ab", 20_000, 40)], 20_000)
    report("one letter", ["a" * 100_000], 1000)
    if options.files:
        files = [open(f, encoding="utf-8", newline="").read() for f in options.files]
        for vocab_size in (500, 5000, 32_000):
            report("files", files, vocab_size, 2, ("<|endoftext|>",), threads=2)
        report("files", files, 32_000)
    for i in range(options.texts):
        texts = [small_text(rng) for _ in range(rng.randint(1, 3))]
        specials = rng.choice(((), (), ("<s>",), ("a", "ab"), ("aa", "\u0120", "<s>", "aa")))
        compare(
            f"small text {i}",
            texts,
            rng.randint(256 + len(specials), 800),
            rng.choice((0, 1, 2, 3, 10)),
            specials,
            rng.choice(families.FAMILIES),
            rng.randint(1, 3),
            rng.choice((0, 0, 1, 7)),
            rng.choice((0, 0, 2, 3, 4, 7, 12)),
            rng.random() < 0.2,
        )
    print(f"{options.texts} small texts: no difference")


os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
import families  # noqa: E402
import limn_tokenizer  # noqa: E402

main()
