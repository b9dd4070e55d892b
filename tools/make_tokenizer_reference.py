#!/usr/bin/env python3
"""Writes tests/unit/tokenizer/gpt2_ids.h: texts, and their ids by tiktoken and by Hugging Face's
tokenizers, which must agree.

    pip install tiktoken tokenizers
    tools/make_tokenizer_reference.py models/tales >tests/unit/tokenizer/gpt2_ids.h
"""
import json
import os
import sys
import textwrap

import tiktoken
from tokenizers import Tokenizer, models, pre_tokenizers

PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
TEXTS = [
    "Hello world", " Hello", "hello  world   ", "\n\n  a\n",
    "I'm you're we'll they've he'd it's don't I'M", "'s'S 'd 'll'' 'l 're", "naïve café Ångström",
    "1234567890 ½ ⅫⅧ ٣٤", "foo.bar(baz); // x==y", "日本語のテキスト", "Привет, мир", "한국어 नमस्ते عربي",
    "🙂👩‍👩‍👧 🇩🇪", "a\u00a0b\u2003c\u3000d\u0085e\u200bf", "\t\tif (x) {\r\n\t}\r\n",
    "e\u0301\u0301 \u0301", "\x00\x01\x7f", "https://example.org/?q=1&r=%20", "<|endoftext|>", "x" * 40,
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    " " * 70 + "x",
    "\u1c80\ua7cb \U0001e5d0 \u088f \ua7d2",  # letters since Unicode 16 and 17, or not yet
]


def byte_symbols():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(rest)}


def c_string(text):
    return "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}"
                   for b in text.encode())


def main(folder):
    vocab_path, merges_path = (os.path.join(folder, n) for n in ("vocab.json", "merges.txt"))
    symbols = byte_symbols()
    with open(vocab_path, encoding="utf-8") as file:
        ranks = {bytes(symbols[c] for c in word): i for word, i in json.load(file).items()
                 if word != "<|endoftext|>"}
    first = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={})
    second = Tokenizer(models.BPE.from_file(vocab_path, merges_path))
    second.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    print("/* Made by tools/make_tokenizer_reference.py with tiktoken and tokenizers. Do not edit. */")
    print("// clang-format off")
    print("#define MOST_IDS 80\n")
    print("static const struct {\n  const char *text;\n  size_t n_text, n;\n"
          "  int32_t ids[MOST_IDS];\n} gpt2_ids[] = {")
    for text in TEXTS:
        ids = first.encode_ordinary(text)
        if ids != second.encode(text, add_special_tokens=False).ids:
            sys.exit(f"the references differ on {text!r}")
        row = f'{{"{c_string(text)}", {len(text.encode())}, {len(ids)},'
        numbers = textwrap.fill("{" + ", ".join(map(str, ids)) + "}},", 92)
        print(row + "\n" + textwrap.indent(numbers, " "))
    print("};")


if __name__ == "__main__":
    main(sys.argv[1])
