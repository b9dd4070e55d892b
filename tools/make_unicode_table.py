#!/usr/bin/env python3
"""Makes src/tokenizer/unicode_table.c: letter, number, space or neither for every code point.

Needs the package unicodedata2 in the version of the Unicode Character Database that is wanted:

    pip install unicodedata2==16.0.0
    tools/make_unicode_table.py > src/tokenizer/unicode_table.c
"""
import sys

import unicodedata2

VERSION = "16.0.0"
BLOCK = 256
OTHER, LETTER, NUMBER, SPACE = range(4)
# The property White_Space of PropList.txt; it has not changed since Unicode 6.3.
SPACES = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
          0x2028, 0x2029, 0x202F, 0x205F, 0x3000}


def class_of(code):
    if code in SPACES:
        return SPACE
    return {"L": LETTER, "N": NUMBER}.get(unicodedata2.category(chr(code))[0], OTHER)


def packed(codes):
    """Four classes to a byte, the first in the low bits."""
    classes = [class_of(c) for c in codes]
    return bytes(sum(classes[i + k] << 2 * k for k in range(4)) for i in range(0, len(classes), 4))


def rows(numbers):
    line = "   "
    for number in numbers:
        word = f" {number},"
        if len(line) + len(word) > 100:
            yield line
            line = "   "
        line += word
    yield line


def main():
    if unicodedata2.unidata_version != VERSION:
        sys.exit(f"unicodedata2 has Unicode {unicodedata2.unidata_version}, expected {VERSION}")
    blocks, index = {}, []
    for start in range(0, 0x110000, BLOCK):
        index.append(blocks.setdefault(packed(range(start, start + BLOCK)), len(blocks)))
    assert len(blocks) < 256
    print("/*\n * unicode_table.c - made by tools/make_unicode_table.py from the Unicode Character Database,"
          f"\n * version {VERSION} (Unicode licence v3). Do not edit.\n */")
    print('#include "tokenizer/unicode.h"\n')
    print("// clang-format off")
    print(f"const uint8_t limn_unicode_index[{len(index)}] = {{")
    print("\n".join(rows(index)))
    print("};\n")
    print(f"const uint8_t limn_unicode_blocks[][{BLOCK // 4}] = {{")
    for block in blocks:
        print("  {")
        print("\n".join(rows(block)))
        print("  },")
    print("};\n// clang-format on")


main()
