#!/usr/bin/env python3
"""Compares limn's reading of tekken.json with Mistral's package, mistral-common.

    pip install mistral-common
    tests/peers/check_tekken.py --limn build/release/limn --lib build/release/liblimn.so [--strings N]

A vocabulary is learned by `limn tokenizer train` from this tree and from random characters, and written as
tekken.json in several ways (tools/make_tekken.py): with and without special tokens, cut short, of every
version. On N random texts (default 100000 in all) ids must be equal, and every id must be decoded to the
same bytes; files that the package refuses, limn must refuse. With --golden, the unit test's file is written
to standard output: a small tokenizer, texts, and the package's ids.
"""
import argparse
import ctypes
import json
import logging
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import check_tokenizer_readers as readers
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

sys.path.insert(0, str(readers.ROOT / "tools"))
import make_tekken  # noqa: E402

NAMED = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]"]


def train(limn, folder, n, texts):
    file = pathlib.Path(folder, "text")
    file.write_text("\n\n".join(texts), encoding="utf-8")
    subprocess.run([limn, "tokenizer", "train", "--pattern", "tekken", "--vocab-size", str(n), "-o",
                    f"{folder}/trained", str(file)], check=True, capture_output=True)
    return make_tekken.ranked(f"{folder}/trained")


def variants(tokens):
    for version in ["v3", "v7"]:
        yield f"{version} without special tokens", make_tekken.tekken(tokens, 1000, None, version)
    for version in ["v3", "v7", "v11", "v13", "v15"]:
        yield f"{version} with", make_tekken.tekken(tokens, 100, NAMED, version)
    yield "no filler", make_tekken.tekken(tokens, len(NAMED), NAMED)
    yield "no special tokens at all", make_tekken.tekken(tokens, 0, [])
    yield "cut short", make_tekken.tekken(tokens, 1000, NAMED, n_used=len(tokens) // 2)
    yield "single bytes", make_tekken.tekken(tokens, 1000, NAMED, n_used=256)
    made = make_tekken.tekken(tokens, 40, NAMED)
    made |= {"type": "Tekken", "version": 1, "image": None, "audio": None}
    yield "further keys", made
    shuffled = tokens[:256] + random.Random(3).sample(tokens[256:], len(tokens) - 256)
    yield "ranks in any order", make_tekken.tekken(shuffled, 40, NAMED)


def bad(tokens):
    yield "an unknown version", make_tekken.tekken(tokens, 100, NAMED, "v99")
    yield "late without special tokens", make_tekken.tekken(tokens, 100, None, "v13")
    yield "too many special tokens", make_tekken.tekken(tokens, 3, NAMED)
    yield "one twice", make_tekken.tekken(tokens, 100, NAMED + ["<s>"])
    yield "a filler's name", make_tekken.tekken(tokens, 100, NAMED + ["<SPECIAL_20>"])
    yield "more than there are", make_tekken.tekken(tokens, 100, NAMED, n_used=len(tokens) + 1)
    yield "a token twice", make_tekken.tekken(tokens + [tokens[-1]], 100, NAMED)
    yield "bytes out of order", make_tekken.tekken([*tokens[255::-1], *tokens[256:]], 100, NAMED)
    made = make_tekken.tekken(tokens, 100, NAMED)
    made["vocab"][300]["rank"] = 301
    yield "a rank out of order", made


def write(path, made):
    path.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")


def compare(found, name, path, n, rng):
    limn, theirs = readers.Limn(path), Tekkenizer.from_file(path)
    specials = [theirs.id_to_piece(i) for i in range(theirs.num_special_tokens)]
    for id_ in range(theirs.n_words):
        expected = theirs.id_to_byte_piece(id_, SpecialTokenPolicy.KEEP)
        found.texts += 1
        if limn.decode([id_]) != expected:
            found.note(name, id_, limn.decode([id_]), expected, "bytes")
    for i, special in enumerate(specials):
        if limn.encode(special.encode(), readers.ALLOW)[0] != [i]:
            found.note(name, special, limn.encode(special.encode(), readers.ALLOW)[0], i, "special")
    for _ in range(n):
        text = readers.random_text(rng, specials[:30])
        found.texts += 1
        ours, expected = limn.encode(text.encode())[0], theirs.encode(text, False, False)
        if ours != expected:
            found.note(name, text, ours, expected, "ids")
    limn.close()


def refuses(open_, path):
    try:
        open_(path)
    except Exception as error:
        return str(error) or "yes"
    return None


def golden(limn, folder):
    texts = [readers.random_text(random.Random(i), NAMED).replace("\0", "") for i in range(40)]
    texts += ["Hello World's 123 the <s> [INST]\r\n\n don't x:\n  y", "", " ", "HTTPRequest  camelCase / //\n/"]
    tokens = train(limn, folder, 420, [p * 9 for p in readers.PIECES if "\0" not in p] + texts)
    file = make_tekken.tekken(tokens, 12, NAMED, texts=False)
    path = pathlib.Path(folder, "tekken.json")
    write(path, file)
    theirs = Tekkenizer.from_file(path)
    ids = [theirs.encode(text, False, False) for text in texts]
    vocab = ",\n".join(json.dumps(token, separators=(",", ":")) for token in file.pop("vocab"))
    print('{"file":' + json.dumps(file)[:-1] + ',"vocab":[\n' + vocab + "]},\n"
          + '"texts":' + json.dumps(texts) + ',\n"ids":' + json.dumps(ids, separators=(",", ":")) + "}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--limn", required=True)
    parser.add_argument("--lib", help="liblimn.so")
    parser.add_argument("--strings", type=int, default=100000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--golden", action="store_true")
    options = parser.parse_args()
    logging.disable()
    found, rng = readers.Differences(), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        if options.golden:
            return golden(options.limn, folder)
        readers.Limn.library = ctypes.CDLL(os.path.abspath(options.lib))
        tokens, path = train(options.limn, folder, 3000, readers.corpus()), pathlib.Path(folder, "tekken.json")
        made = list(variants(tokens))
        for name, value in made:
            write(path, value)
            compare(found, name, path, options.strings // len(made), rng)
        for name, value in bad(tokens):
            write(path, value)
            ours, theirs = refuses(readers.Limn, path), refuses(Tekkenizer.from_file, path)
            print(f"{name}: {ours}")
            if not ours or not theirs:
                found.note(name, path, ours, theirs, "refusal")
    print(f"{len(made)} files, {found.texts} texts and tokens, {found.differ} differ")
    return 1 if found.differ else 0


if __name__ == "__main__":
    sys.exit(main())
