#!/usr/bin/env python3
"""Makes tests/data/tokenizers.json: small tokenizers of every kind, and what Hugging Face makes of texts.

    pip install tokenizers unicodedata2==16.0.0
    tools/make_tokenizer_cases.py > tests/data/tokenizers.json

Each case is a tokenizer.json in which "model" is the name of one of "models", and its added tokens follow
those of that name in "added"; "ids" and "starts" (the
byte of the character where each token begins, left out where the library's own differ for a reason) are
those of "texts", with special tokens as text, and then, where there are added tokens, with them.
"""
import importlib.util
import json
import pathlib
import random
import sys
import tempfile

import unicodedata2
from tokenizers import Regex, Tokenizer, pre_tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPEC = importlib.util.spec_from_file_location("check", ROOT / "tests/peers/check_tokenizer_readers.py")
check = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check)

TEXTS = ["Hello  World's 123 the <s> <mask> </s>\t[DAY]\r\n\n don'\u017f x:\n  y",
         "e\u0301\u212b\u1100\u1161\u11a8 \u6587\u3053\ud55c \U0001f469\u200d \u2581a \u0e04\u0e33 1\u0661\u00bd a.b,,c!? yesno\u0301 <|end\u00a0 \u2003x"]


REGEXES = [check.GPT2, check.LLAMA3, check.O200K, check.TIKTOKEN, check.DEEPSEEK, check.EAST_ASIAN,
           r"\w+|[^\w\s]+", r"\w+$|^\s+", r"a{2}+b|[0-9]{2,}?|x{,2}y|{a", r"(?<=a)b|(?<!\d)\d(?=\s|$)", r"(?>a+b?)\s",
           r"(?i)the|[a-c]+?|\.|\?", r"\x41|\x{3042}|\u00e9+|\t", r"x*", r"(a|b)*c|[\d\-_]+",
           r"[\p{Han}]+|[\p{L}\p{M}&&[^\p{Han}]]+", r"\s+$|^$|\Z|\A", r"[a\]\-z]|[^\]x]",
           r"\d{1,3}(?=(?:\d{3})*(?!\d))", r"[^\S\r\n]+|\p{^L}|\P{N}\z", r"a+*b|(?:ab?)+?c", r"[^\p{Lu}\h]|\H\D",
           r"(?i:[sdmt]|ll|k)|.", r"\p{Uppercase_Letter}\p{punctuation}?"]
REGEX_TEXTS = ["it's aaab x{y foo-bar 12345 THE DON'T\n\n  $^ Ab \u00e9\u3042_a2 caab", "\u4e2d\u6587 \u3053\u3093\u00b2\u00bd \u1c89\U00010d70 "
               "K\u212a\u017f \u0661\u216b\u0301\u2028\u180e\u00a0x\r\n y\n", "", "\n", "1234567 xy\u200d\U0001f469 aab bc c"]


def matches(pattern, text):
    """Ends of all pieces, in bytes."""
    pieces = pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text)
    return check.starts_in_bytes(text, [(end, end) for _, (_, end) in pieces])


def compositions():
    """Texts of marks, of what decomposes and of Hangul, and each in NFC."""
    rng = random.Random(5)
    marks = [c for c in check.ALL if unicodedata2.combining(chr(c))]
    parts = [c for c in check.ALL if unicodedata2.decomposition(chr(c))[:1].isalnum()]
    hangul = [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3), 0xAC00, 0xAC01, 0xD7A3]
    for _ in range(600):
        text = ""
        for _ in range(rng.randint(1, 6)):
            base = rng.choice([marks, parts, hangul, range(0x41, 0x250)])
            text += rng.choice([chr, lambda c: unicodedata2.normalize("NFD", chr(c))])(rng.choice(base))
        yield text, unicodedata2.normalize("NFC", text)


def main():
    if unicodedata2.unidata_version != "16.0.0":
        sys.exit("unicodedata2 has another version of Unicode than limn")
    models = check.make_models(check.PIECES * 3 + TEXTS * 3, 6)
    result = {"models": {name: value["model"] for name, value in models.items()},
              "added": {name: value["added_tokens"] for name, value in models.items()}, "texts": TEXTS, "cases": []}
    for name, value, offsets in check.variants(models):
        if name.startswith("bytes ") and name.removeprefix("bytes ") in check.PRE:
            continue  # the one with merges across words says more
        base = next((n for n, m in models.items() if all(
            m["model"][key] == value["model"][key] for key in ["vocab", "merges"])), None)
        if not base:
            continue  # the table of merges would stand here twice
        with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False)
            file.flush()
            theirs = Tokenizer.from_file(file.name)
        theirs.post_processor = None
        case = {"name": name, "tokenizer": {**value, "model": base}, "ids": []}
        known = models[base]["added_tokens"]
        case["tokenizer"]["added_tokens"] = value["added_tokens"][len(known):]
        changes = {k: v for k, v in value["model"].items() if v != models[base]["model"][k]}
        if changes:
            case["changes"] = changes
        if offsets:
            case["starts"] = []
        for special in [False, True] if value["added_tokens"] else [False]:
            theirs.encode_special_tokens = not special
            for text in TEXTS:
                encoded = theirs.encode(text, add_special_tokens=False)
                case["ids"].append(encoded.ids)
                if offsets:
                    case["starts"].append(check.starts_in_bytes(text, encoded.offsets))
        for key in ["version", "truncation", "padding", "post_processor"]:
            del case["tokenizer"][key]
        result["cases"].append(case)
    print("{" + ",\n".join([
        f'"added":{json.dumps(result["added"], separators=(",", ":"))}',
        f'"regex_texts":{json.dumps(REGEX_TEXTS)}',
        '"regexes":[\n' + ",\n".join(json.dumps({"pattern": p, "ends": [matches(p, t) for t in REGEX_TEXTS]})
                                     for p in REGEXES) + "]",
        '"compositions":[\n' + ",\n".join(json.dumps(pair) for pair in compositions()) + "]",
        f'"models":{json.dumps(result["models"], ensure_ascii=False, separators=(",", ":"))}',
        f'"texts":{json.dumps(TEXTS)}',
        '"cases":[\n' + ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":"))
                                   for case in result["cases"]) + "]}"]))
    print(len(result["cases"]), "cases", file=sys.stderr)


main()
