#!/usr/bin/env python3
"""Makes tests/unit/tokenizer/split_ends.h: where the families' patterns cut hard texts, by other
implementations: Hugging Face's tokenizers, and for cl100k the package regex with tiktoken's pattern.

    pip install tokenizers regex
    tools/make_split_reference.py > tests/unit/tokenizer/split_ends.h
"""
import random

import regex
import tokenizers
from tokenizers import Regex
from tokenizers import pre_tokenizers as pre

ANY_CASE = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORD = r"\p{L}+"
SYMBOLS = r"[^\s\p{L}\p{N}]+"
SPACES = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
          r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
DEEPSEEK = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"| ?[\p{P}\p{S}]+[\r\n]*" + SPACES)


def lines(number, word=WORD, symbols=SYMBOLS):
    return rf"{ANY_CASE}|[^\r\n\p{{L}}\p{{N}}]?{word}|{number}| ?{symbols}[\r\n]*{SPACES}"


def cased(number, suffix):
    heads, tails = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    lead = r"[^\r\n\p{L}\p{N}]?"
    return (f"{lead}{heads}*{tails}+{suffix}|{lead}{heads}+{tails}*{suffix}|{number}"
            f"| ?{SYMBOLS}[\\r\\n/]*{SPACES}")


def split(pattern):
    return pre.Split(Regex(pattern), "isolated")


def byte_level(use_regex):
    return pre.ByteLevel(add_prefix_space=False, use_regex=use_regex)


PATTERNS = {
    "GPT2": [byte_level(True)],
    "CL100K": regex.compile(CL100K),
    "LLAMA3": [split(lines(r"\p{N}{1,3}")), byte_level(False)],
    "QWEN2": [split(lines(r"\p{N}")), byte_level(False)],
    "QWEN35": [split(lines(r"\p{N}", r"[\p{L}\p{M}]+", r"[^\s\p{L}\p{M}\p{N}]+")), byte_level(False)],
    "O200K": [split(cased(r"\p{N}{1,3}", ANY_CASE + "?")), byte_level(False)],
    "TEKKEN": [split(cased(r"\p{N}", "")), byte_level(False)],
    "STARCODER": [pre.Digits(individual_digits=True), byte_level(True)],
    "FALCON": [pre.Punctuation("contiguous"), byte_level(True),
               pre.Digits(individual_digits=False), split("[0-9][0-9][0-9]")],
    "DEEPSEEK": [split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
                 split(DEEPSEEK), byte_level(False)],
}
ATOMS = list("aZbzAE019 '\n\r\t!/.-_$+<,\u20ac\u00bd\u00b2\u00f2\u00d2\u00e9") + [
    "'s", "'S", "'re", "'LL", "'\u017f", "'ve", "'d", "'M", "'T", "  ", "   ", "\r\n", "\n\n",
    "\u00a0", "\u3000", "\u0301", "\u200d", "\U0001f600", "\u4e2d\u6587", "\u306e", "\u30ab",
    "\u30fc", "\u30fb", "\u3099", "\u2028", "\x00", "\x7f", "\u01c5", "\u02b0", "\u00aa", "\u00df",
    "\u0663", "\u2167", "\u2460", "\u0449", "\u0429", "\ud55c", "\u0627", "\u0e01\u0e34", "\u0903",
    "\u0964", "\ufeff", "hello", "World", "HTML", "don't", "I'll", "1234", "\x85", "\U00010400",
    "\U0001d7d8", "\ue000", "\u9fa5", "\u9fa6"]


def ends(pattern, text):
    if isinstance(pattern, list):
        # The pieces are in GPT-2's printable form: a character for each byte.
        sizes = [len(piece) for piece, _ in pre.Sequence(pattern).pre_tokenize_str(text)]
    else:
        sizes = [len(match.group().encode()) for match in pattern.finditer(text)]
    return [sum(sizes[:i + 1]) for i in range(len(sizes))]


def quoted(data):
    return "".join(chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}" for b in data)


def main():
    draw = random.Random(7)
    texts = ["".join(draw.choices(ATOMS, k=draw.randint(1, 12))) for _ in range(150)]
    print("/*\n * split_ends.h - where patterns cut hard texts, made by tools/make_split_reference.py "
          f"with\n * Hugging Face's tokenizers {tokenizers.__version__} and the package regex "
          f"{regex.__version__}. Do not edit.\n */")
    print("// clang-format off\nstatic const char *const split_texts[] = {")
    for text in texts:
        print(f'    "{quoted(text.encode())}",')
    print("};\nstatic const unsigned short split_sizes[] = {")
    print("    " + " ".join(f"{len(text.encode())}," for text in texts) + "\n};")
    print("static const struct {\n  limn_pattern pattern;\n  const unsigned char *ends; /* of all "
          "texts; each text's last end is its size */\n} split_ends[] = {")
    for name, pattern in PATTERNS.items():
        numbers = [end for text in texts for end in ends(pattern, text)]
        print(f"    {{LIMN_PATTERN_{name}, (const unsigned char[]){{")
        for i in range(0, len(numbers), 24):
            print("      " + " ".join(f"{n}," for n in numbers[i:i + 24]))
        print("    }},")
    print("};\n// clang-format on")


main()
