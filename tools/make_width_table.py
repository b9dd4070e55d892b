#!/usr/bin/env python3
"""Writes cli/width_table.h: which characters take no column of a terminal, and which take two.

From Python's unicodedata: none for marks that do not space, enclosing marks and format characters
(Mn, Me, Cf, but not the soft hyphen); two for those whose East Asian width is wide or full (UAX 11).

    python3 tools/make_width_table.py > cli/width_table.h
"""
import sys
import unicodedata


def width(code):
    c = chr(code)
    if unicodedata.category(c) in ("Mn", "Me", "Cf") and code != 0xAD:
        return 0
    return 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1


def ranges(wanted):
    first = None
    for code in range(0xA0, sys.maxunicode + 2):
        fits = code <= sys.maxunicode and width(code) == wanted
        if fits and first is None:
            first = code
        elif not fits and first is not None:
            yield first, code - 1
            first = None


def table(name, wanted):
    items = [f"{{0x{a:x}, 0x{b:x}}}" for a, b in ranges(wanted)]
    lines, line = [], "   "
    for item in items:
        if len(line) + len(item) + 2 > 99:
            lines.append(line)
            line = "   "
        line += f" {item},"
    lines.append(line)
    return f"static const width_range {name}[] = {{\n" + "\n".join(lines) + "\n};\n"


print(f"""/*
 * width_table.h - made by tools/make_width_table.py from Unicode {unicodedata.unidata_version}.
 */
/* clang-format off */
{table("no_columns", 0)}
{table("two_columns", 2)}/* clang-format on */""")
