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
PAGE = 64
NO_PAGE = 255
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


def of_one(page):
    """The class of a page that has one, else None."""
    return page[0] if len(set(page)) == 1 else None


def bits(flags):
    """Eight to a byte, the first in the low bit."""
    return bytes(sum(flags[i + k] << k for k in range(8)) for i in range(0, len(flags), 8))


def pages():
    """What the bytes of characters of two and three bytes say: see unicode.h."""
    all_pages = [bytes(map(class_of, range(i, i + PAGE))) for i in range(0, 0x10000, PAGE)]
    kept, page_of = {}, []
    for i, page in enumerate(all_pages):
        is_surrogates = 0xD800 <= i * PAGE < 0xE000
        page_of.append(NO_PAGE if is_surrogates else kept.setdefault(page, len(kept)))
    assert len(kept) < NO_PAGE
    two = [bits([class_of(c) >> k & 1 for c in range(0x800)]) for k in range(4)]
    # Below 0x800 three bytes are an overlong form.
    ones = [None if i < 32 or page_of[i] == NO_PAGE else of_one(p) for i, p in enumerate(all_pages)]
    three = [bits([(c or 0) >> k & 1 for c in ones]) for k in range(4)]
    three.append(bits([c is None for c in ones]))
    return page_of, list(kept), two, three


def print_table(declaration, table):
    print(f"\nconst uint8_t {declaration} = {{")
    for row in table:
        print("  {")
        print("\n".join(rows(row)))
        print("  },")
    print("};")


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
    print("};")
    print_table(f"limn_unicode_blocks[][{BLOCK // 2}]", blocks)
    page_of, kept, two, three = pages()
    print("\nconst uint8_t limn_unicode_page_of[1024] = {")
    print("\n".join(rows(page_of)))
    print("};")
    print_table(f"limn_unicode_pages[][{PAGE}]", kept)
    print_table("limn_unicode_two[4][256]", two)
    print_table("limn_unicode_three[5][128]", three)
    print("// clang-format on")


main()
