#!/usr/bin/env python3
"""Makes src/tokenizer/normal_table.c: general categories, and what composing characters needs.

Needs the package unicodedata2 in the version of the Unicode Character Database that is wanted:

    pip install unicodedata2==16.0.0
    tools/make_normal_table.py > src/tokenizer/normal_table.c
"""
import sys

import unicodedata2 as ucd

VERSION = "16.0.0"
CATEGORIES = ("Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps "
              "Sc Sk Sm So Zl Zp Zs").split()
HANGUL = range(0xAC00, 0xD7A4)


def decomposed(code):
    """The full canonical decomposition, or nothing where the character is its own."""
    text = ucd.normalize("NFD", chr(code))
    return [] if text == chr(code) or code in HANGUL else [ord(c) for c in text]


def pairs():
    """Primary composites: a character whose one-step decomposition is two that compose to it."""
    for code in range(0x110000):
        steps = ucd.decomposition(chr(code)).split()
        if len(steps) != 2 or steps[0].startswith("<"):
            continue
        if ucd.normalize("NFC", chr(code)) == chr(code):
            yield int(steps[0], 16), int(steps[1], 16), code


def runs(value):
    """(start, value) of every run of equal values."""
    found = []
    for code in range(0x110000):
        here = value(code)
        if not found or found[-1][1] != here:
            found.append((code, here))
    return found


def rows(numbers):
    line = "   "
    for number in numbers:
        word = f" {number},"
        if len(line) + len(word) > 100:
            yield line
            line = "   "
        line += word
    yield line


def table(declaration, numbers):
    print(f"const {declaration} = {{")
    print("\n".join(rows(numbers)))
    print("};\n")


def main():
    if ucd.unidata_version != VERSION:
        sys.exit(f"unicodedata2 has Unicode {ucd.unidata_version}, expected {VERSION}")
    composites = sorted(pairs())
    seconds = {second for _, second, _ in composites} | set(range(0x1161, 0x1176)) | set(
        range(0x11A8, 0x11C3))
    changes = [code for code in range(0x110000) if decomposed(code)]
    recomposed = {code for code in changes if ucd.normalize("NFC", chr(code)) == chr(code)}

    def order_of(code):
        """Canonical combining class, and 256 where composing may change the character."""
        parts = decomposed(code) or [code]
        is_stable = parts[0] not in seconds and (parts == [code] or code in recomposed)
        return ucd.combining(chr(code)) + (0 if is_stable else 256)

    categories = runs(lambda code: CATEGORIES.index(ucd.category(chr(code))))
    orders = runs(order_of)
    starts, codes = [], []
    for code in changes:
        starts.append(len(codes))
        codes += decomposed(code)
    starts.append(len(codes))
    print("/*\n * normal_table.c - made by tools/make_normal_table.py from the Unicode Character Database,"
          f"\n * version {VERSION} (Unicode licence v3). Do not edit.\n */")
    print('#include "tokenizer/normal.h"\n')
    print("// clang-format off")
    print("/* A run of one general category: its first code point times 32, and the category. */")
    print(f"const size_t limn_n_category_runs = {len(categories)};")
    table("uint32_t limn_category_runs[]", [start * 32 + value for start, value in categories])
    print("/* A run of one combining class: first code point times 512, class (and 256: may change). */")
    print(f"const size_t limn_n_order_runs = {len(orders)};")
    table("uint32_t limn_order_runs[]", [start * 512 + value for start, value in orders])
    print("/* Characters that decompose, where each decomposition starts, and all of them. */")
    print(f"const size_t limn_n_decomposed = {len(changes)};")
    table("uint32_t limn_decomposed[]", changes)
    table("uint16_t limn_decomposition_starts[]", starts)
    table("uint32_t limn_decompositions[]", codes)
    print("/* Pairs that compose: the first times 2^21 and the second, in order; and to what. */")
    print(f"const size_t limn_n_composed = {len(composites)};")
    table("uint64_t limn_composed_pairs[]", [f"{a * 2**21 + b}u" for a, b, _ in composites])
    table("uint32_t limn_composed[]", [c for _, _, c in composites])
    print("// clang-format on")


main()
