#!/usr/bin/env python3
"""Compares limn's normal forms, lower case and removal of marks with other implementations.

    pip install tokenizers unicodedata2==16.0.0
    tests/peers/check_normal_forms.py --lib build/release/liblimn.so [--strings N]

NFC, NFD, NFKC and NFKD against unicodedata2 (Unicode 16, limn's version), marks by its categories, and all
six normalizers against Hugging Face's library, whose tables are of other versions: every code point alone
and between letters and marks, and N random texts (default 200000) of marks, Hangul and what decomposes.
Where a token begins must be the same as there. Prints the code points at which the versions differ, and
ends with status 1 where anything else does.
"""
import argparse
import ctypes
import json
import os
import pathlib
import random
import sys
import tempfile

import unicodedata2
from tokenizers import Tokenizer, normalizers

import check_tokenizer_readers as readers

FORMS = ["NFC", "NFD", "NFKC", "NFKD"]
NAMES = [*FORMS, "Lowercase", "StripAccents"]
CONTEXTS = ["{}", "a{}\u0301", "\u0327{}\u1161", "\u1100{}\u11a8x", "\u30ab{}\u0323"]

# The first characters of pairs that compose since a later Unicode than that of the library.
NEWER_PAIRS = {0x105D2, 0x105DA, 0x11382, 0x11384, 0x1138B, 0x11390, 0x113C2, 0x11935, 0x1611E, 0x16129, 0x1611F,
               0x16120, 0x16D67, 0x16D69, 0x16D63}


def config(name):
    """A tokenizer of single bytes behind a normalizer."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [b for b in range(256) if b not in visible]
    vocab = {chr(b): b for b in visible} | {chr(256 + i): b for i, b in enumerate(hidden)}
    return {"version": "1.0", "added_tokens": [], "normalizer": {"type": name},
            "pre_tokenizer": readers.byte_level(), "post_processor": None, "decoder": None, "truncation": None,
            "padding": None, "model": {"type": "BPE", "vocab": vocab, "merges": []}}


class Made:
    """limn and Hugging Face's library with one normalizer."""

    def __init__(self, name, folder):
        self.name, path = name, pathlib.Path(folder, f"{name}.json")
        path.write_text(json.dumps(config(name)), encoding="utf-8")
        self.limn, self.theirs = readers.Limn(path), Tokenizer.from_file(str(path))
        self.normalize = getattr(normalizers, name)().normalize_str

    def ours(self, text):
        return bytes(self.limn.encode(text.encode())[0]).decode()

    def expected(self, text):
        if self.name in FORMS:
            return unicodedata2.normalize(self.name, text)
        if self.name == "StripAccents":
            return "".join(c for c in text if unicodedata2.category(c)[0] != "M")
        return self.normalize(text)  # of Unicode 17 in tokenizers 0.23


def ranges(codes):
    """61D 9FD 1B4E-1B4F"""
    found = []
    for code in sorted(codes):
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return " ".join(f"{a:04X}" if a == b else f"{a:04X}-{b:04X}" for a, b in found)


def check_code_points(made):
    """How many texts differ from Unicode's, and the code points at which the library does."""
    differ, others = 0, set()
    characters = [c for c in map(chr, readers.ALL) if c != "\n"]
    if made.name == "Lowercase":
        characters = [c for c in characters if unicodedata2.category(c) != "Cn"]
    for context in CONTEXTS:
        texts = [context.format(c) for c in characters]
        # A line feed joins nothing, so that one call does for all.
        results = [f("\n".join(texts)).split("\n") for f in [made.ours, made.expected, made.normalize]]
        for c, ours, expected, theirs in zip(characters, *results):
            if ours != expected:
                differ += 1
                if differ <= 10:
                    print(f"{made.name}: U+{ord(c):04X} in {context!r}: limn {ours!r}, expected {expected!r}")
            if ours != theirs:
                others.add(ord(c))
    return differ, others


def random_texts(rng, n):
    marks = [c for c in readers.ALL if unicodedata2.combining(chr(c))]
    parts = [c for c in readers.ALL if unicodedata2.decomposition(chr(c))]
    cased = [c for c in readers.ALL if unicodedata2.category(chr(c)) in ("Lu", "Ll", "Lt")]
    hangul = [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3), *range(0xAC00, 0xAC40)]
    for _ in range(n):
        text = ""
        for _ in range(rng.randint(1, 8)):
            c = chr(rng.choice(rng.choice([marks, parts, cased, hangul, range(0x20, 0x250), readers.ALL])))
            text += unicodedata2.normalize("NFD", c) if rng.random() < 0.3 else c
        yield text


def check_texts(made, texts, others):
    """How many random texts differ, and how many were compared with the library."""
    differ = n_theirs = 0
    others = others | NEWER_PAIRS | set(map(ord, readers.unlike({"normalizer": {"type": "NFC"}})))
    for text in texts:
        ours, expected = made.ours(text), made.expected(text)
        is_same = ours == expected
        if is_same and others.isdisjoint(map(ord, text)):
            n_theirs += 1
            encoded = made.theirs.encode(text, add_special_tokens=False)
            starts = readers.whole_characters(text.encode(), made.limn.encode(text.encode())[1])
            is_same = ours == made.normalize(text) and starts == readers.starts_in_bytes(text, encoded.offsets)
            expected = (made.normalize(text), readers.starts_in_bytes(text, encoded.offsets), starts)
        differ += not is_same
        if not is_same and differ <= 10:
            print(f"{made.name}: {text!r}: limn {ours!r}, expected {expected!r}")
    return differ, n_theirs


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lib", required=True, help="liblimn.so")
    parser.add_argument("--strings", type=int, default=200000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if unicodedata2.unidata_version != "16.0.0":
        sys.exit("unicodedata2 has another version of Unicode than limn")
    readers.Limn.library = ctypes.CDLL(os.path.abspath(options.lib))
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            made = Made(name, folder)
            differ, others = check_code_points(made)
            texts = random_texts(random.Random(options.seed), options.strings // len(NAMES))
            more, n_theirs = check_texts(made, texts, others)
            print(f"{name}: {differ} code points and {more} texts of {options.strings // len(NAMES)} differ; "
                  f"{n_theirs} compared with the library, which differs at {ranges(others) or 'none'}")
            failed += differ + more
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
