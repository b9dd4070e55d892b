#!/usr/bin/env python3
"""Makes src/tokenizer/gpt2_merges.bin from GPT-2's published tables, and those tables from it.

    tools/make_gpt2_table.py pack vocab.bpe encoder.json src/tokenizer/gpt2_merges.bin
    tools/make_gpt2_table.py unpack src/tokenizer/gpt2_merges.bin FOLDER
    tools/make_gpt2_table.py displace src/tokenizer/gpt2_merges.bin

`pack` checks the SHA-256 of both files, and that the packed form gives them back byte for byte.
`unpack` writes FOLDER/merges.txt and FOLDER/vocab.json.
`displace` makes the second part of the table anew, when the hash of pairs (symbols.h) has changed.

The packed form is one pair of 16-bit little-endian ids for each of the 50000 merges in order of
rank. An id below 256 is a byte symbol in GPT-2's order, 256 + r the result of merge r, and 50256
is <|endoftext|>: so the vocabulary follows from the merges. Behind them are the 16384 numbers by
which the pairs of a bucket are displaced in the library's table of pairs, 16 bits each.
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


def displacements(pairs):
    """What symbols.c finds, a few hundred times slower: for each bucket of pairs the first number
    under which all its places are free, the largest buckets first."""
    mask, bucket_bits, place_bits = (1 << 64) - 1, 14, 16
    of_ids = [ord(c) if ord(c) < 256 else None for c in byte_symbols()]
    others = iter(b for b in range(256) if b not in of_ids)
    of_ids = [b if b is not None else next(others) for b in of_ids]
    keys = [(of_ids[a] if a < 256 else a) << 21 | (of_ids[b] if b < 256 else b) for a, b in pairs]
    factor = 0
    for key in keys:
        factor = (factor ^ key) * 0x9e3779b97f4a7c15 & mask
        factor ^= factor >> 32
    factor = factor * 0xd6e8feb86659fd93 & mask | 1
    buckets = [[] for _ in range(1 << bucket_bits)]
    for key in keys:
        product = key * factor & mask
        buckets[product >> (64 - bucket_bits)].append(product >> 32)
    taken, found = set(), [1] * len(buckets)
    for i in sorted(range(len(buckets)), key=lambda i: -len(buckets[i])):
        for number in range(1, 1 << 16):
            places = {(high * number & 0xffffffff) >> (32 - place_bits) for high in buckets[i]}
            if len(places) == len(buckets[i]) and not places & taken:
                break
        else:
            sys.exit(f"bucket {i}: no number keeps its {len(buckets[i])} pairs apart")
        taken |= places
        found[i] = number
    return found


def write(path, pairs):
    numbers = displacements(pairs)
    with open(path, "wb") as file:
        file.write(b"".join(struct.pack("<HH", *pair) for pair in pairs))
        file.write(struct.pack(f"<{len(numbers)}H", *numbers))


def read_pairs(path):
    with open(path, "rb") as file:
        return list(struct.iter_unpack("<HH", file.read(4 * N_MERGES)))


def pack(bpe_path, json_path, out_path):
    bpe, vocab = read_checked(bpe_path, "vocab.bpe"), read_checked(json_path, "encoder.json")
    ids = {word: i for i, word in enumerate(byte_symbols())}
    pairs = []
    for rank, line in enumerate(bpe.split("\n")[1:-1]):
        left, right = line.split(" ")
        pairs.append((ids[left], ids[right]))
        ids[left + right] = 256 + rank
    assert len(pairs) == N_MERGES and tables(pairs) == (bpe, vocab)
    write(out_path, pairs)


def unpack(in_path, folder):
    merges, vocab = tables(read_pairs(in_path))
    for name, text in (("merges.txt", merges), ("vocab.json", vocab)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "pack":
        pack(*sys.argv[2:])
    elif len(sys.argv) == 4 and sys.argv[1] == "unpack":
        unpack(*sys.argv[2:])
    elif len(sys.argv) == 3 and sys.argv[1] == "displace":
        write(sys.argv[2], read_pairs(sys.argv[2]))
    else:
        sys.exit(__doc__)


main()
