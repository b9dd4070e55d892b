#!/usr/bin/env python3
"""Compares limn's tokenizers with tiktoken and Hugging Face's tokenizers, id for id.

    pip install tiktoken tokenizers numpy
    tests/peers/check_tokenizer.py --lib build/release/liblimn.so --model models/tales \\
        [--ranks r50k=FILE]... [--strings N] [--family NAME]... [--vectors FILE.inp] [--book FILE]...

`gpt2` is the bundled table, by both references. `--ranks NAME=FILE` adds an encoding of tiktoken's
with its published ranks (r50k, p50k, cl100k, o200k). Families whose vocabulary is nobody's to give
away (llama3, qwen2, qwen3.5, tekken, starcoder, falcon, deepseek, olmo, and o200k as a tokenizer.json
says it) are tried on a vocabulary that limn learns here, which the reference loads with the family's own
normalizer and pre-tokenizer. NAME.ranks, for families whose pattern is one expression, is the same
vocabulary merged by rank, in the file tekken.json, with tiktoken's engine as the reference.

For each: every Unicode scalar value alone and between letters, digits, spaces and line feeds; N random
texts, weighted to what splitting turns on (default 100000); damaged UTF-8; translations in many
languages and source code from this system; long runs; every id decoded. Characters that a reference
with another version of Unicode puts into another class are listed, by reason, and left out of the
random texts. Code points and random texts are spread over processes; which texts are drawn does not
depend on their number. Exit status 1 when anything else differs.
"""
import argparse
import base64
import functools
import glob
import itertools
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import numpy as np  # noqa: E402
import regex  # noqa: E402
import tiktoken  # noqa: E402
from tokenizers import Tokenizer, models, normalizers  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
import check_tokenizer_readers  # noqa: E402
import families  # noqa: E402
import limn_tokenizer  # noqa: E402
import make_tekken  # noqa: E402
import tokenizer_texts  # noqa: E402

DRAW = 500_000  # parts of random texts at once: some 50,000 texts
SHOWN = 5


def byte_symbols():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + i): b for i, b in enumerate(rest)}


def bytes_of_symbols(word, symbols=byte_symbols()):
    return bytes(symbols[c] for c in word)


class Tiktoken:
    name = "tiktoken " + tiktoken.__version__

    def __init__(self, encoding, pattern):
        self.encoding, self.pattern = encoding, pattern
        self._encode = encoding._core_bpe.encode_ordinary

    def encode_many(self, texts):
        return list(map(self._encode, texts))

    def encode_piece(self, piece):
        return self.encoding._encode_single_piece(piece)

    def tokens(self):
        for token in range(self.encoding.n_vocab):
            try:
                yield token, self.encoding.decode_single_token_bytes(token)
            except KeyError:
                yield token, None


class HuggingFace:
    name = "tokenizers"

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def encode_many(self, texts):
        encoded = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [e.ids for e in encoded]

    def tokens(self):
        for token in range(self.tokenizer.get_vocab_size()):
            word = self.tokenizer.id_to_token(token)
            is_text = word is None or "<|" in word
            yield token, None if is_text else bytes_of_symbols(word)


# ---- what is compared ------------------------------------------------------------------------------


def from_ranks(name, path):
    with open(path, "rb") as file:
        ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in file if line.strip())}
    pattern = families.TIKTOKEN[name]
    encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    return limn_tokenizer.Tokenizer(path), [Tiktoken(encoding, pattern)]


def bundled(folder):
    with open(os.path.join(folder, "vocab.json"), encoding="utf-8") as file:
        vocab = json.load(file)
    ranks = {bytes_of_symbols(w): i for w, i in vocab.items() if w != "<|endoftext|>"}
    encoding = tiktoken.Encoding(
        "gpt2", pat_str=families.GPT2, mergeable_ranks=ranks, special_tokens={}
    )
    return limn_tokenizer.Tokenizer(folder), [
        Tiktoken(encoding, families.GPT2),
        HuggingFace(load(folder, "gpt2")),
    ]


def load(folder, family):
    files = (os.path.join(folder, name) for name in ("vocab.json", "merges.txt"))
    tokenizer = Tokenizer(models.BPE.from_file(*files))
    tokenizer.pre_tokenizer = families.pre_tokenizer(family)
    if family in families.COMPOSED:
        tokenizer.normalizer = normalizers.NFC()
    return tokenizer


@functools.cache
def learning_text():
    rng = random.Random(7)
    texts = list(itertools.islice(tokenizer_texts.source_code(1_000_000), 200))
    texts += [text[:20_000] for text in tokenizer_texts.translations().values()]
    texts.append("".join(chr(rng.choice(tokenizer_texts.SCALARS)) for _ in range(50_000)))
    return "\n".join(texts).encode("utf-8")


def learn(family, folder):
    trainer = limn_tokenizer.Trainer(6000, 2, pattern=families.PATTERN.get(family, family))
    trainer.feed(learning_text())
    trainer.learn()
    trainer.write(folder)
    trainer.close()


def learned(family, folder):
    learn(family, folder)
    if family in families.COMPOSED:
        path = os.path.join(folder, "tokenizer.json")
        with open(path, encoding="utf-8") as file:
            made = json.load(file)
        made["normalizer"] = {"type": "NFC"}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(made, file, ensure_ascii=False)
    return limn_tokenizer.Tokenizer(folder), [HuggingFace(load(folder, family))]


def learned_ranks(family, folder):
    learn(family, folder)
    tokens, pattern = make_tekken.ranked(folder), families.EXPRESSION[family]
    path = os.path.join(folder, "tekken.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(make_tekken.tekken(tokens, 0, [], pattern=pattern), file)
    encoding = tiktoken.Encoding(
        family, pat_str=pattern, mergeable_ranks={t: i for i, t in enumerate(tokens)}, special_tokens={}
    )
    return limn_tokenizer.Tokenizer(path), [Tiktoken(encoding, pattern)]


# ---- comparing -------------------------------------------------------------------------------------


def call(name, item):
    """A method of the check that was there when this process began."""
    return getattr(Check.current, name)(item)


class Check:
    current = None

    def __init__(self, family, limn, references, processes):
        self.family, self.limn, self.references = family, limn, references
        self.n_differences, self.processes = 0, processes

    def spread(self, name, items):
        """What a method gives for each item, in their order, from as many processes."""
        if self.processes == 1:
            yield from map(getattr(self, name), items)
            return
        Check.current = self
        with multiprocessing.get_context("fork").Pool(self.processes) as pool:
            yield from pool.imap(functools.partial(call, name), items)

    def say(self, text):
        print(f"{self.family}: {text}", flush=True)

    def differ(self, texts):
        """The numbers of texts with other ids than a reference, [(number, reference, ids, ids)]."""
        ids, counts = self.limn.encode_many([t.encode("utf-8") for t in texts])
        starts = np.concatenate(([0], np.cumsum(counts)))
        for reference in self.references:
            theirs = reference.encode_many(texts)
            flat = np.fromiter(itertools.chain.from_iterable(theirs), np.int32)
            sizes = np.fromiter(map(len, theirs), np.int64, len(theirs))
            if np.array_equal(sizes, counts) and np.array_equal(flat, ids):
                continue
            for i, wanted in enumerate(theirs):
                found = ids[starts[i] : starts[i + 1]].tolist()
                if found != wanted:
                    yield i, reference.name, found, wanted

    def show(self, differences):
        """Counts and shows [(text, reference, ids, ids)]."""
        for text, name, found, wanted in differences:
            self.n_differences += 1
            if self.n_differences <= SHOWN:
                self.say(f"{text[:200]!r}: limn {found[:40]}, {name} {wanted[:40]}")

    def hold(self, texts):
        self.show((texts[i], *rest) for i, *rest in self.differ(texts))

    def odd_code_points(self, at):
        """[(character, reference)] of those that it treats otherwise, from 20,000 of them."""
        part = [chr(c) for c in tokenizer_texts.SCALARS[at : at + 20_000]]
        texts = part + [f"{c} a{c}b 1{c}2  {c} {c}{c}\n{c} A{c}c.{c}'s{c}\n\n" for c in part]
        return [(part[i % len(part)], name) for i, name, _, _ in self.differ(texts)]

    def code_points(self):
        """Those that a reference treats otherwise."""
        odd = {}
        starts = range(0, len(tokenizer_texts.SCALARS), 20_000)
        for character, name in itertools.chain.from_iterable(self.spread("odd_code_points", starts)):
            odd.setdefault(name, set()).add(character)
        self.say(f"{len(tokenizer_texts.SCALARS)} code points alone and between others")
        for name, found in odd.items():
            explained = self.explain(name, found)
            self.n_differences += len(found) - explained
        return set().union(*odd.values())

    def explain(self, name, found):
        """Lists code points by the reason for which a reference may differ; how many have one."""
        reasons = {}
        for c in sorted(found):
            old = unicodedata.category(c)
            older = unicodedata.ucd_3_2_0.category(c)
            if old == "Cn":
                why = f"unassigned in Unicode {unicodedata.unidata_version}"
            elif old != older:
                why = f"{old}, was {older} in Unicode 3.2"
            else:
                why = ""
            reasons.setdefault(why, []).append(c)
        for why, members in reasons.items():
            shown = " ".join(f"U+{ord(c):04X}" for c in members[:12])
            more = f" and {len(members) - 12} more" if len(members) > 12 else ""
            self.say(f"{name} differs for {len(members)} characters ({why or 'no reason'}): {shown}{more}")
        return len(found) - len(reasons.get("", []))

    def drawn(self, seed):
        """How many texts of a draw there are, how many characters, and the differences."""
        texts = self.source.draw(DRAW, seed)
        differences = [(texts[i], *rest) for i, *rest in self.differ(texts)]
        return len(texts), sum(map(len, texts)), differences

    def random_texts(self, wanted, seed, without):
        self.source, done, start, size = tokenizer_texts.RandomTexts(seed, without), 0, time.time(), 0
        said = start
        # A draw has a tenth as many texts as parts, a little more or less.
        seeds = ((seed, i) for i in range(wanted // (DRAW // 10) + 1))
        for n, n_characters, differences in self.spread("drawn", seeds):
            self.show(differences)
            done += n
            size += n_characters
            if time.time() - said > 300:
                said = time.time()
                self.say(f"... {done} random texts, {self.n_differences} differences")
        took = time.time() - start
        self.say(f"{done} random texts, {size} characters, {done / max(took, 1e-9):.0f} a second")

    def broken_bytes(self, wanted, seed, without):
        """Each byte that is no part of a character counts as a character of category C: the places
        where a text with such characters in their stead is cut, and the bytes merged between."""
        reference = self.references[0]
        if not isinstance(reference, Tiktoken):
            return
        without = without | changed()
        rng, source = random.Random(seed), tokenizer_texts.RandomTexts(seed + 1, without)
        # This module's \s has four controls more than Unicode's White_Space.
        white = reference.pattern.replace(r"\s", r"\p{White_Space}").replace(r"\S", r"\P{White_Space}")
        pattern = regex.compile(white)
        texts = [t for t in source.draw(wanted * 10) if t][:wanted]
        data = [tokenizer_texts.damaged(rng, text) for text in texts]
        data = [d for d in data if without.isdisjoint(decode(d))]
        ids, counts = self.limn.encode_many(data)
        starts = np.concatenate(([0], np.cumsum(counts)))
        for i, bytes_ in enumerate(data):
            wanted_ids = []
            stand_in = "".join(
                "\ue000" if 0xDC80 <= ord(c) < 0xDD00 else c for c in decode(bytes_)
            )
            at = 0
            for match in pattern.finditer(stand_in):
                size = encoded_size(decode(bytes_), match.start(), match.end())
                wanted_ids += reference.encode_piece(bytes_[at : at + size])
                at += size
            if ids[starts[i] : starts[i + 1]].tolist() != wanted_ids:
                self.n_differences += 1
                if self.n_differences <= SHOWN:
                    self.say(f"{bytes_!r} is cut otherwise")
        self.say(f"{len(data)} texts with damaged UTF-8")

    def real_texts(self, books):
        languages = tokenizer_texts.translations()
        for text in languages.values():
            self.hold([text, *text.split("\n")])
        size = sum(map(len, languages.values()))
        self.say(f"translations in {len(languages)} languages, {size} characters")
        code = list(tokenizer_texts.source_code())
        self.hold(code)
        self.say(f"{len(code)} sources of programs, {sum(map(len, code))} characters")
        if books:
            texts = [open(book, encoding="utf-8", newline="").read() for book in books]
            self.hold(texts)
            self.say(f"{len(texts)} books, {sum(map(len, texts))} characters")

    def runs(self, n):
        done = []
        for what, text in tokenizer_texts.long_runs(n).items():
            try:
                self.hold([text])
                done.append(what)
            except BaseException as error:  # a panic of the reference is none of Exception's
                if isinstance(error, KeyboardInterrupt):
                    raise
                self.say(f"a run of {n} bytes, {what}: the reference gives up ({error})")
        self.say(f"runs of {n} bytes: {', '.join(done)}")

    def ids(self):
        n = 0
        for reference in self.references:
            for token, wanted in reference.tokens():
                if wanted is None:
                    continue
                n += 1
                if self.limn.bytes_of(token) != wanted:
                    self.n_differences += 1
                    self.say(f"token {token} is {self.limn.bytes_of(token)}, expected {wanted}")
        self.say(f"{n} ids decoded")


@functools.cache
def changed():
    """The characters that Python and its module regex, with a later Unicode, see differently."""
    patterns = {}
    for c in map(chr, tokenizer_texts.SCALARS):
        patterns.setdefault(unicodedata.category(c), []).append(c)
    return {
        c
        for category, members in patterns.items()
        for c in regex.findall(rf"\P{{{category}}}", "".join(members))
    }


def decode(data):
    """Python's decoder, which takes the bytes of a surrogate or a cut character one by one."""
    return data.decode("utf-8", "surrogateescape")


def encoded_size(text, start, end):
    return len(text[start:end].encode("utf-8", "surrogateescape"))


def vectors(limn, path):
    with open(path, encoding="utf-8", newline="") as file:
        texts = file.read().split("\n__ggml_vocab_test__\n")
    with open(path[:-3] + "out", encoding="utf-8") as file:
        lines = file.read().split("\n")
    n = 0
    for text, line in zip(texts, lines):
        if limn.encode(text) != [int(i) for i in line.split()]:
            sys.exit(f"differs from the vector of {text!r}")
        n += 1
    print(f"gpt2: {n} vectors of llama.cpp")


def compare(name, limn, references, options):
    check = Check(name, limn, references, options.processes)
    without = check.code_points()
    if name in families.COMPOSED:
        without |= check_tokenizer_readers.unlike({"normalizer": {"type": "NFC"}})
    check.ids()
    check.real_texts(options.book)
    check.runs(options.run)
    check.broken_bytes(min(options.strings, 100_000), options.seed, without)
    check.random_texts(options.strings, options.seed, without)
    check.say(f"{check.n_differences or 'no'} differences from {', '.join(r.name for r in references)}")
    return check.n_differences == 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lib", required=True, help="liblimn.so")
    parser.add_argument("--model", required=True, help="folder with vocab.json and merges.txt")
    parser.add_argument("--ranks", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--family", action="append", help="only these; all when none is given")
    parser.add_argument("--strings", type=int, default=100_000)
    parser.add_argument("--run", type=int, default=1_000_000, help="bytes of a long run")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--book", action="append", default=[], metavar="FILE")
    parser.add_argument("--vectors", help="a .inp file with its .out beside it, of llama.cpp")
    options = parser.parse_args()
    os.environ["LIMN_LIB"] = os.path.abspath(options.lib)
    ranks = dict(word.split("=", 1) for word in options.ranks)
    good = True
    with tempfile.TemporaryDirectory() as folder:
        makers = {"gpt2": lambda: bundled(options.model)}
        for name, path in ranks.items():
            makers[name] = functools.partial(from_ranks, name, path)
        for name in (*families.FAMILIES[1:], *families.PATTERN):
            made = os.path.join(folder, name)
            key = f"{name}.json" if name in ranks else name
            makers[key] = functools.partial(learned, name, made)
            if name in families.EXPRESSION:
                makers[f"{name}.ranks"] = functools.partial(learned_ranks, name, f"{made}.ranks")
        for name in options.family or makers:
            limn, references = makers[name]()
            if name == "gpt2" and options.vectors:
                vectors(limn, options.vectors)
            good = compare(name, limn, references, options) and good
    sys.exit(not good)


main()
