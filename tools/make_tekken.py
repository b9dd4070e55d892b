#!/usr/bin/env python3
"""Writes a tokenizer that `limn tokenizer train` made as Mistral's tekken.json.

    limn tokenizer train --pattern tekken --vocab-size 8000 -o mine book.txt
    tools/make_tekken.py mine > tekken.json

Ranks are the bytes in their order, then the merges' tokens in theirs.
"""
import argparse
import base64
import json
import pathlib

PATTERN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
           r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
           r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
VISIBLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTES = {chr(b): b for b in VISIBLE}
BYTES |= {chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in VISIBLE)}


def ranked(folder):
    """The bytes of all tokens by rank."""
    tokens = [bytes([b]) for b in range(256)]
    known = set(tokens)
    for line in pathlib.Path(folder, "merges.txt").read_text(encoding="utf-8").split("\n"):
        if line and not line.startswith("#version"):
            token = bytes(BYTES[c] for c in line.replace(" ", ""))
            if token not in known:  # a merge may make a token that is there
                known.add(token)
                tokens.append(token)
    return tokens


def text_of(token):
    try:
        return token.decode()
    except UnicodeDecodeError:
        return None


def tekken(tokens, n_special=1000, specials=(), version="v11", pattern=PATTERN, n_used=None, texts=True):
    """The file as a value. `specials` None leaves the key out, `n_used` of the tokens count."""
    vocab = [{"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": text_of(t) if texts else None}
             for i, t in enumerate(tokens)]
    config = {"pattern": pattern, "num_vocab_tokens": len(tokens), "version": version,
              "default_vocab_size": (len(tokens) if n_used is None else n_used) + n_special,
              "default_num_special_tokens": n_special}
    made = {"config": config, "vocab": vocab}
    if specials is not None:
        made["special_tokens"] = [{"rank": i, "token_str": t, "is_control": True} for i, t in enumerate(specials)]
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--specials", nargs="*", default=["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    parser.add_argument("--n-special", type=int, default=1000)
    parser.add_argument("--version", default="v11")
    options = parser.parse_args()
    print(json.dumps(tekken(ranked(options.folder), options.n_special, options.specials, options.version),
                     ensure_ascii=False))


if __name__ == "__main__":
    main()
