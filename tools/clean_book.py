#!/usr/bin/env python3
"""Turns a book as Project Gutenberg or a markdown collection has it into plain paragraphs.

    tools/clean_book.py BOOK.txt > clean.txt
    limn eval clean.txt

This is what the bundled model was trained and measured on: straight quotes, no markdown, notes or
pictures, one line a paragraph, a blank line between two, paragraphs that are mostly not ASCII left
out. Needs nothing but Python.
"""

import argparse
import pathlib
import re
import sys

# What typesetting has and a keyboard has not.
PLAIN = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "--",
        "\u2015": "--",
        "\u2026": "...",
        "\u00a0": " ",
        "\t": " ",
        "\ufeff": "",
        "\r": "",
    }
)
LONGEST_HEAD = 2000  # characters that a collection may put before its rule, with title and author
HEADING = re.compile(r"^#+ *", re.MULTILINE)
NOTE = re.compile(r"\[(?:Illustration|Footnote|Sidenote)[^\]]*\]")
EMPHASIS = re.compile(r"(?<![A-Za-z0-9])[_*]+|[_*]+(?![A-Za-z0-9])")
BLANK = re.compile(r"\n\s*\n")
SPACES = re.compile(" +")
LETTER = re.compile("[a-zA-Z]")


def decoded(data):
    """UTF-8 with any line ends; bytes that are not UTF-8 become replacement characters."""
    return data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


def without_head(text):
    head, rule, body = text.partition("\n-------")
    return body if rule and len(head) < LONGEST_HEAD else text


def without_markup(text):
    for pattern in (HEADING, NOTE, EMPHASIS):
        text = pattern.sub("", text)
    return text


def is_prose(paragraph):
    plain = sum(character.isascii() for character in paragraph)
    return LETTER.search(paragraph) is not None and plain > 0.9 * len(paragraph)


def paragraphs(text):
    """The paragraphs of a book, one line each."""
    text = without_markup(without_head(text.translate(PLAIN)))
    for block in BLANK.split(text):
        line = SPACES.sub(" ", " ".join(part.strip() for part in block.split("\n"))).strip()
        if is_prose(line):
            yield line


def clean(text):
    return "\n\n".join(paragraphs(text))


def main():
    parser = argparse.ArgumentParser(
        description="Turn a book into plain paragraphs, as the bundled model was trained on."
    )
    parser.add_argument("book", help="a text file; - is standard input")
    options = parser.parse_args()
    try:
        path = pathlib.Path(options.book)
        data = sys.stdin.buffer.read() if options.book == "-" else path.read_bytes()
    except OSError as error:
        sys.exit(f"clean_book: {options.book}: {error.strerror}")
    sys.stdout.buffer.write(clean(decoded(data)).encode())


if __name__ == "__main__":
    main()
