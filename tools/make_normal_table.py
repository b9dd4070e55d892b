#!/usr/bin/env python3
"""Makes src/tokenizer/normal_table.c: general categories, and what normal forms and lower case need.

Needs the package unicodedata2 in the version of the Unicode Character Database that is wanted, and node,
for lower case, which the package does not have. Node's version of Unicode may be a later one: characters
that are a pair of cases stay one, and those that are none never become one (Unicode's stability policy),
so that of its mappings those between characters of the wanted version are the ones of that version.

    pip install unicodedata2==16.0.0
    tools/make_normal_table.py > src/tokenizer/normal_table.c
"""
import json
import subprocess
import sys

import unicodedata2 as ucd

from c_table import rows

VERSION = "16.0.0"
CATEGORIES = ("Cn Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps "
              "Sc Sk Sm So Zl Zp Zs").split()
HANGUL = range(0xAC00, 0xD7A4)
LOWER = """const found = [];
for (let code = 0; code < 0x110000; code++) {
  const lower = String.fromCodePoint(code).toLowerCase();
  if ((code < 0xd800 || code > 0xdfff) && lower !== String.fromCodePoint(code))
    found.push([code, [...lower].map(c => c.codePointAt(0))]);
}
console.log(JSON.stringify([process.versions.unicode, found]))"""


def decomposed(code, form="NFD"):
    """The full decomposition, or nothing where the character is its own, or a syllable of Hangul."""
    text = ucd.normalize(form, chr(code))
    return [] if text == chr(code) or code in HANGUL else [ord(c) for c in text]


def pairs():
    """Primary composites: a character whose one-step decomposition is two that compose to it."""
    for code in range(0x110000):
        steps = ucd.decomposition(chr(code)).split()
        if len(steps) != 2 or steps[0].startswith("<"):
            continue
        if ucd.normalize("NFC", chr(code)) == chr(code):
            yield int(steps[0], 16), int(steps[1], 16), code


def lowered():
    """(code, the one character that is its lower case); U+0130, which has two, is left to the code."""
    version, found = json.loads(subprocess.run(["node", "-e", LOWER], check=True, capture_output=True).stdout)
    if float(version) < float(VERSION.rpartition(".")[0]):
        sys.exit(f"node has Unicode {version}, expected {VERSION} or later")
    for code, lower in found:
        if all(ucd.category(chr(c)) != "Cn" for c in [code, *lower]) and code != 0x130:
            yield code, *lower


def runs(value):
    """(start, value) of every run of equal values."""
    found = []
    for code in range(0x110000):
        here = value(code)
        if not found or found[-1][1] != here:
            found.append((code, here))
    return found


def table(declaration, numbers):
    print(f"const {declaration} = {{")
    print("\n".join(rows(numbers)))
    print("};\n")


def decompositions(name, found):
    """Three tables: the characters, where each one's decomposition starts, and all of them."""
    starts, codes = [], []
    for _, parts in found:
        starts.append(len(codes))
        codes += parts
    starts.append(len(codes))
    print(f"const size_t limn_n_{name}_decomposed = {len(found)};")
    table(f"uint32_t limn_{name}_decomposed[]", [code for code, _ in found])
    table(f"uint16_t limn_{name}_starts[]", starts)
    table(f"uint32_t limn_{name}_decompositions[]", codes)


def properties(composites):
    """Of each character: the rank of its combining class, and what the normal forms do to it."""
    seconds = {second for _, second, _ in composites} | set(range(0x1161, 0x1176)) | set(
        range(0x11A8, 0x11C3))
    classes = sorted({ucd.combining(chr(code)) for code in range(0x110000)})
    assert len(classes) <= 64

    def joins(code):
        firsts = [(decomposed(code, form) or [code])[0] for form in ["NFD", "NFKD"]]
        return any(first in seconds or ucd.combining(chr(first)) for first in firsts)

    def changes(form, code):
        return code not in HANGUL and ucd.normalize(form, chr(code)) != chr(code)

    return lambda code: (classes.index(ucd.combining(chr(code))) + 64 * changes("NFC", code)
                         + 128 * changes("NFKC", code) + 256 * changes("NFKD", code) + 512 * joins(code))


def main():
    if ucd.unidata_version != VERSION:
        sys.exit(f"unicodedata2 has Unicode {ucd.unidata_version}, expected {VERSION}")
    composites = sorted(pairs())
    categories = runs(lambda code: CATEGORIES.index(ucd.category(chr(code))))
    orders = runs(properties(composites))
    canonical = [(code, decomposed(code)) for code in range(0x110000) if decomposed(code)]
    compatible = [(code, decomposed(code, "NFKD")) for code in range(0x110000)
                  if decomposed(code, "NFKD") != decomposed(code)]
    lower = list(lowered())
    print("/*\n * normal_table.c - made by tools/make_normal_table.py from the Unicode Character Database,"
          f"\n * version {VERSION} (Unicode licence v3). Do not edit.\n */")
    print('#include "tokenizer/normal.h"\n')
    print("// clang-format off")
    print("/* A run of one general category: its first code point times 32, and the category. */")
    print(f"const size_t limn_n_category_runs = {len(categories)};")
    table("uint32_t limn_category_runs[]", [start * 32 + value for start, value in categories])
    print("/* A run of the same properties (normal.c): first code point times 1024, and they. */")
    print(f"const size_t limn_n_order_runs = {len(orders)};")
    table("uint32_t limn_order_runs[]", [start * 1024 + value for start, value in orders])
    print("/* Characters that decompose, where each decomposition starts, and all of them. */")
    decompositions("canonical", canonical)
    print("/* The same for those whose compatibility decomposition is another. */")
    decompositions("compatible", compatible)
    print("/* Pairs that compose: the first times 2^21 and the second, in order; and to what. */")
    print(f"const size_t limn_n_composed = {len(composites)};")
    table("uint64_t limn_composed_pairs[]", [f"{a * 2**21 + b}u" for a, b, _ in composites])
    table("uint32_t limn_composed[]", [c for _, _, c in composites])
    print("/* Characters with a lower case of one character, and that. */")
    print(f"const size_t limn_n_lowered = {len(lower)};")
    table("uint32_t limn_lowered[]", [code for code, _ in lower])
    table("uint32_t limn_lower_cases[]", [other for _, other in lower])
    print("// clang-format on")


main()
