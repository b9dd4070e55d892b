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
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

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


def changed_texts():
    """Texts of marks, of what decomposes and of Hangul, and what each becomes.

    The forms are those of unicodedata2, and so are the marks; lower case is that of Hugging Face's library.
    """
    rng = random.Random(5)
    marks = [c for c in check.ALL if unicodedata2.combining(chr(c))]
    parts = [c for c in check.ALL if unicodedata2.decomposition(chr(c))[:1].isalnum()]
    alike = [c for c in check.ALL if unicodedata2.decomposition(chr(c))]
    cased = [c for c in check.ALL if unicodedata2.category(chr(c)) in ("Lu", "Lt")]
    hangul = [*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A8, 0x11C3), 0xAC00, 0xAC01, 0xD7A3]
    fixed = ["\u0130\u03a3\u03a3.", "\ufb03\ufdfa\uff76\uff9e", "\u0f71\u0f72\u0f73\u0f74"]
    for i in range(700):
        text = fixed[i] if i < len(fixed) else ""
        for _ in range(rng.randint(1, 6) if i >= len(fixed) else 0):
            base = rng.choice([marks, parts, alike, cased, hangul, range(0x41, 0x250)])
            text += rng.choice([chr, lambda c: unicodedata2.normalize("NFD", chr(c))])(rng.choice(base))
        yield [text, *(unicodedata2.normalize(form, text) for form in ["NFC", "NFD", "NFKC", "NFKD"]),
               normalizers.Lowercase().normalize_str(text),
               "".join(c for c in text if unicodedata2.category(c)[0] != "M")]


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
        '"normal":[\n' + ",\n".join(json.dumps(row, ensure_ascii=False) for row in changed_texts()) + "]",
        f'"models":{json.dumps(result["models"], ensure_ascii=False, separators=(",", ":"))}',
        f'"texts":{json.dumps(TEXTS)}',
        '"cases":[\n' + ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":"))
                                   for case in result["cases"]) + "]}"]))
    print(len(result["cases"]), "cases", file=sys.stderr)


main()
