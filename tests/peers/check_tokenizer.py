#!/usr/bin/env python3
"""Compares limn's GPT-2 tokenizer with tiktoken and Hugging Face's tokenizers on random texts.

    pip install tiktoken tokenizers
    tests/peers/check_tokenizer.py --lib build/release/liblimn.so --model models/tales [--strings N]

Texts are drawn from all of Unicode, weighted to what splitting turns on: contractions, runs of
spaces and line feeds, digits, combining marks, emoji with joiners, controls. Every code point is
also tried alone and between letters, spaces and digits. Exit status 1 at the first difference.
"""
import argparse
import ctypes
import json
import os
import random
import sys


class Tokens(ctypes.Structure):
    _fields_ = [("ids", ctypes.POINTER(ctypes.c_int32)), ("offsets", ctypes.POINTER(ctypes.c_size_t)),
                ("n", ctypes.c_size_t), ("capacity", ctypes.c_size_t)]


class Limn:
    def __init__(self, path, folder):
        self.lib = ctypes.CDLL(os.path.abspath(path))
        self.handle = ctypes.c_void_p()
        self.tokens = Tokens()
        if self.lib.limn_tokenizer_open(folder.encode(), ctypes.byref(self.handle), None):
            sys.exit(f"limn cannot open the tokenizer in {folder}")

    def encode(self, data):
        status = self.lib.limn_tokenizer_encode(self.handle, data, ctypes.c_size_t(len(data)), 0,
                                                ctypes.byref(self.tokens), None)
        assert status == 0
        return self.tokens.ids[:self.tokens.n]


def byte_symbols():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(rest)}


def peers(folder):
    found = {}
    with open(os.path.join(folder, "vocab.json"), encoding="utf-8") as file:
        vocab = json.load(file)
    try:
        import tiktoken
        symbols = byte_symbols()
        ranks = {bytes(symbols[c] for c in word): i for word, i in vocab.items()
                 if word != "<|endoftext|>"}
        pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
        found["tiktoken"] = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks,
                                              special_tokens={}).encode_ordinary
    except ImportError:
        print("tiktoken is not installed: left out")
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers
        tokenizer = Tokenizer(models.BPE.from_file(os.path.join(folder, "vocab.json"),
                                                   os.path.join(folder, "merges.txt")))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        found["tokenizers"] = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    except ImportError:
        print("tokenizers is not installed: left out")
    return found


ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
PIECES = (["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'", "\u2019s", " ", "  ", "   ", "\n",
           "\n\n", "\r\n", "\t", "\u00a0", "\u2003", "\u3000", "\u0085", "\x00", "\x1b", "\x7f", "\ufeff",
           "\u200d", "\u0301", "\u0345", "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea",
           "1", "23", "456", "\u0661", "\u216b", "\u00bd", ".", "...", "!?", "--", "_", "<|endoftext|>",
           "the", " The", "hello", "Wörter", "слово", "文字", "คำ", "한국어", "नमस्ते", "عربي"])
RANGES = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00),
          (0x2000, 0x2070), (0x3040, 0x3100), (0x4E00, 0x4F00), (0xAC00, 0xAD00), (0x1F300, 0x1F700)]


def random_text(rng):
    parts = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.45:
            parts.append(rng.choice(PIECES))
        elif kind < 0.8:
            low, high = rng.choice(RANGES)
            parts.append("".join(chr(rng.randrange(low, high)) for _ in range(rng.randint(1, 5))))
        else:
            parts.append(chr(rng.choice(ALL)))
    return "".join(parts)


def compare(limn, others, text):
    ours = limn.encode(text.encode())
    for name, encode in others.items():
        theirs = encode(text)
        if ours != theirs:
            print(f"differs from {name}: {text!r}\n  limn {ours}\n  {name} {theirs}")
            sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lib", required=True, help="liblimn.so")
    parser.add_argument("--model", required=True, help="folder with vocab.json and merges.txt")
    parser.add_argument("--strings", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vectors", help="a .inp file with its .out beside it, of llama.cpp")
    options = parser.parse_args()
    limn, others = Limn(options.lib, options.model), peers(options.model)
    if options.vectors:
        texts = open(options.vectors, encoding="utf-8", newline="").read().split("\n__ggml_vocab_test__\n")
        lines = open(options.vectors[:-3] + "out", encoding="utf-8").read().split("\n")
        n = 0
        for text, line in zip(texts, lines):
            if limn.encode(text.encode()) != [int(i) for i in line.split()]:
                sys.exit(f"differs from the vector of {text!r}")
            n += 1
        print(f"{n} vectors: no difference")
    if not others:
        sys.exit("no peer is installed")
    for code in ALL:
        c = chr(code)
        compare(limn, others, f"{c} a{c}b 1{c}2  {c} {c}{c}\n{c}")
    print(f"{len(ALL)} code points alone and between others: no difference from {', '.join(others)}")
    rng = random.Random(options.seed)
    for _ in range(options.strings):
        compare(limn, others, random_text(rng))
    print(f"{options.strings} random texts: no difference from {', '.join(others)}")


main()
