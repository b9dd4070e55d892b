#!/usr/bin/env python3
"""Makes src/tokenizer/unicode_table.c: what kind of character every code point is.

Needs the package unicodedata2 in the version of the Unicode Character Database that is wanted:

    pip install unicodedata2==16.0.0
    tools/make_unicode_table.py > src/tokenizer/unicode_table.c
"""
import sys

import unicodedata2

from c_table import rows

VERSION = "16.0.0"
BLOCK = 256
OTHER, UPPER, LOWER, LETTER, MARK, NUMBER, SPACE, PUNCTUATION, SYMBOL = range(9)
CLASSES = {"Lu": UPPER, "Lt": UPPER, "Ll": LOWER, "Lm": LETTER, "Lo": LETTER, "M": MARK,
           "N": NUMBER, "P": PUNCTUATION, "S": SYMBOL}
# The property White_Space of PropList.txt; it has not changed since Unicode 6.3.
SPACES = {*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
          0x2028, 0x2029, 0x202F, 0x205F, 0x3000}


def class_of(code):
    if code in SPACES:
        return SPACE
    category = unicodedata2.category(chr(code))
    return CLASSES.get(category, CLASSES.get(category[0], OTHER))


def packed(codes):
    """Two classes to a byte, the first in the low bits."""
    classes = [class_of(c) for c in codes]
    return bytes(classes[i] | classes[i + 1] << 4 for i in range(0, len(classes), 2))


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
    print(f"const uint8_t limn_unicode_blocks[][{BLOCK // 2}] = {{")
    for block in blocks:
        print("  {")
        print("\n".join(rows(block)))
        print("  },")
    print("};\n// clang-format on")


main()
