#!/usr/bin/env python3
"""Makes src/tokenizer/gpt2_merges.bin from GPT-2's published tables, and those tables from it.

    tools/make_gpt2_table.py pack vocab.bpe encoder.json src/tokenizer/gpt2_merges.bin
    tools/make_gpt2_table.py unpack src/tokenizer/gpt2_merges.bin FOLDER

`pack` checks the SHA-256 of both files, and that the packed form gives them back byte for byte.
`unpack` writes FOLDER/merges.txt and FOLDER/vocab.json.

The packed form is one pair of 16-bit little-endian ids for each of the 50000 merges in order of
rank. An id below 256 is a byte symbol in GPT-2's order, 256 + r the result of merge r, and 50256
is <|endoftext|>: so the vocabulary follows from the merges.
"""
import hashlib
import json
import os
import struct
import sys

N_MERGES = 50000
SHA256 = {
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
}


def byte_symbols():
    """GPT-2's printable character for each byte symbol, in the order of their ids."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]


def tables(pairs):
    """The texts of vocab.bpe and encoder.json."""
    words = byte_symbols()
    lines = ["#version: 0.2"]
    for left, right in pairs:
        lines.append(f"{words[left]} {words[right]}")
        words.append(words[left] + words[right])
    words.append("<|endoftext|>")
    vocab = json.dumps({word: i for i, word in enumerate(words)})
    return "\n".join(lines) + "\n", vocab


def read_checked(path, name):
    with open(path, "rb") as file:
        data = file.read()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256[name]:
        sys.exit(f"{path}: SHA-256 is {found}, expected {SHA256[name]}")
    return data.decode()


def pack(bpe_path, json_path, out_path):
    bpe, vocab = read_checked(bpe_path, "vocab.bpe"), read_checked(json_path, "encoder.json")
    ids = {word: i for i, word in enumerate(byte_symbols())}
    pairs = []
    for rank, line in enumerate(bpe.split("\n")[1:-1]):
        left, right = line.split(" ")
        pairs.append((ids[left], ids[right]))
        ids[left + right] = 256 + rank
    assert len(pairs) == N_MERGES and tables(pairs) == (bpe, vocab)
    with open(out_path, "wb") as file:
        file.write(b"".join(struct.pack("<HH", *pair) for pair in pairs))


def unpack(in_path, folder):
    with open(in_path, "rb") as file:
        data = file.read()
    assert len(data) == 4 * N_MERGES
    merges, vocab = tables(list(struct.iter_unpack("<HH", data)))
    for name, text in (("merges.txt", merges), ("vocab.json", vocab)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "pack":
        pack(*sys.argv[2:])
    elif len(sys.argv) == 4 and sys.argv[1] == "unpack":
        unpack(*sys.argv[2:])
    else:
        sys.exit(__doc__)


main()
