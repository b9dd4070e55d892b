#!/usr/bin/env python3
"""Writes tests/unit/tokenizer/trained_merges.h: small texts, and what Hugging Face's trainer learns
from them with each family's pattern; the vocabulary too where there are special tokens.

    pip install tokenizers
    tools/make_training_reference.py >tests/unit/tokenizer/trained_merges.h
"""
import os
import random
import sys
import tempfile
import unicodedata

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/peers"))
import families  # noqa: E402

PROSE = (
    "It's the song that she'd sung; the singer's singing sings of thin things.\n"
    "THE SONG, THE THING: 12345 12346 7890!\n\n  They're there, aren't they?  \n"
    "naïve naïf \u0434\u043e\u043c \u0434\u043e\u043c\u0430 \u6771\u4eac\u90fd \u6771\u4eac "
    "\u0e04\u0e33 \u0e04\u0e33\u0e17\u0e35\u0e48 --- ... !!\n\tif (x == y) { return x; }\r\n"
)


def letters(seed, alphabet, n, longest):
    rng = random.Random(seed)
    words = ("".join(rng.choice(alphabet) for _ in range(rng.randint(1, longest))) for _ in range(n))
    return " ".join(words)


def cases():
    for family in families.FAMILIES:
        yield family, PROSE * 2, 330, 2, []
    yield "gpt2", letters(4, "ab", 120, 12), 400, 0, [], 5
    yield "llama3", PROSE * 2, 400, 2, [], 4
    yield "gpt2", "a" * 100, 300, 0, [], 2
    yield "qwen2", unicodedata.normalize("NFD", PROSE + "r\u00e9sum\u00e9 \uac01\uac02 ") * 2, 330, 0, [], 0, True
    yield "gpt2", letters(1, "ab", 120, 12), 400, 0, []
    yield "gpt2", letters(2, "aab", 150, 20), 500, 3, ["<s>", "ab"]
    yield "gpt2", letters(3, "aa\u00e9", 60, 20), 340, 2, ["a", "aa", "a"]
    yield "gpt2", "a" * 100, 300, 0, []
    yield "gpt2", "aaab" * 9 + " " + "aaa" * 7, 280, 0, []
    yield "gpt2", "", 300, 0, ["<|endoftext|>"]
    yield "gpt2", "one word", 257, 5, ["<|endoftext|>"]


def learn(family, text, vocab_size, min_frequency, specials, most=0, is_nfc=False):
    tokenizer = Tokenizer(models.BPE())
    if is_nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = families.pre_tokenizer(family)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        **({"max_token_length": most} if most else {}),
    )
    tokenizer.train_from_iterator([text], trainer)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.model.save(folder)
        with open(os.path.join(folder, "merges.txt"), encoding="utf-8") as file:
            merges = file.read().split("\n", 1)[1]
    vocab = sorted((i, word) for word, i in tokenizer.get_vocab().items())
    return merges, " ".join(word for _, word in vocab)


def put(name, text):
    data = text.encode("utf-8")
    print(f"  .{name} =")
    for at in range(0, max(len(data), 1), 60):
        line = "".join(
            chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}"
            for b in data[at : at + 60]
        )
        print(f'    "{line}"')
    print("  ,")


def main():
    print("/* Made by tools/make_training_reference.py with tokenizers. Do not edit. */")
    print("// clang-format off")
    print("static const struct trained {\n  const char *pattern, *text, *merges, *vocab;")
    print("  int32_t vocab_size, min_frequency, max_token_length;\n  bool is_nfc;")
    print("  const char *specials[4];\n} trained[] = {")
    for family, text, vocab_size, min_frequency, specials, *more in cases():
        merges, vocab = learn(family, text, vocab_size, min_frequency, specials, *more)
        print(f'{{.pattern = "{family}", .vocab_size = {vocab_size},')
        print(f"  .min_frequency = {min_frequency},")
        if more:
            print(f"  .max_token_length = {more[0]}, .is_nfc = {str(len(more) > 1).lower()},")
        print("  .specials = {" + ", ".join([f'"{s}"' for s in specials] + ["NULL"]) + "},")
        put("text", text)
        put("merges", merges)
        put("vocab", vocab if specials else "")
        print("},")
    print("};")


main()
