#!/usr/bin/env python3
"""Compares limn with Hugging Face's tokenizers, tiktoken and SentencePiece on tokenizer files.

    pip install tokenizers tiktoken sentencepiece unicodedata2==16.0.0
    tests/peers/check_tokenizer_readers.py --lib build/release/liblimn.so [--strings N] [FILE...]

Without files, tokenizers are made here, small ones trained on the texts of this tree: each kind of
normalizer, pre-tokenizer, added token and model that limn reads, alone and together. A FILE is a
tokenizer.json, a .tiktoken (NAME=FILE names its encoding) or a SentencePiece .model. Each is tried on
N random texts (default 20000 in all, of files 20000 each); ids must be equal, and so must the places
where tokens begin. Exit status 1 when anything differs.
"""
import argparse
import ctypes
import itertools
import json
import os
import pathlib
import random
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
AS_TEXT, ALLOW, REFUSE = range(3)


# ---- limn -----------------------------------------------------------------------------------------

class Tokens(ctypes.Structure):
    _fields_ = [("ids", ctypes.POINTER(ctypes.c_int32)), ("offsets", ctypes.POINTER(ctypes.c_size_t)),
                ("n", ctypes.c_size_t), ("capacity", ctypes.c_size_t)]


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("offset", ctypes.c_uint64), ("text", ctypes.c_char * 512)]


class Limn:
    library = None

    def __init__(self, path, encoding=None):
        self.handle, self.tokens, error = ctypes.c_void_p(), Tokens(), Error()
        status = self.library.limn_tokenizer_open_encoding(
            os.fsencode(path), encoding and encoding.encode(), ctypes.byref(self.handle),
            ctypes.byref(error))
        if status:
            raise ValueError(error.text.decode())

    def encode(self, data, special=AS_TEXT):
        """Ids, and the byte where each begins."""
        error = Error()
        status = self.library.limn_tokenizer_encode(
            self.handle, data, ctypes.c_size_t(len(data)), special, ctypes.byref(self.tokens),
            ctypes.byref(error))
        if status:
            raise ValueError(error.text.decode())
        n = self.tokens.n
        return self.tokens.ids[:n], self.tokens.offsets[:n]

    def decode(self, ids):
        error, text, n = Error(), ctypes.POINTER(ctypes.c_char)(), ctypes.c_size_t()
        status = self.library.limn_tokenizer_decode(
            self.handle, (ctypes.c_int32 * len(ids))(*ids), ctypes.c_size_t(len(ids)),
            ctypes.byref(text), ctypes.byref(n), ctypes.byref(error))
        if status:
            raise ValueError(error.text.decode())
        result = text[:n.value]
        self.library.limn_free(text)
        return result

    def close(self):
        self.library.limn_tokens_deinit(ctypes.byref(self.tokens))
        self.library.limn_tokenizer_close(self.handle)


# ---- texts ----------------------------------------------------------------------------------------

ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
PIECES = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'RE", "\u2019s", "'\u017f", " ", "  ", "   ",
          "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u2003", "\u3000", "\u0085", "\x00", "\x1b", "\x7f",
          "\ufeff", "\u180e", "\u200d", "\u0301", "\u0327", "\u0345", "e\u0301", "\u0041\u030a", "\u212b",
          "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0958", "\U0001f469\u200d\U0001f469\u200d\U0001f467",
          "\U0001f1e9\U0001f1ea", "1", "23", "456", "78901", "\u0661", "\u216b", "\u00bd", "\u00b2", ".",
          "...", "!?", "--", "_", "$", "^", "\u2581", "\u2581\u2581", "<0x41>", "<unk>", "<s>", "</s>",
          "<mask>", "[DAY]", "yes", "<|endoftext|>", "<|end", "the", " The", "hello", "Hello World",
          "camelCase", "W\u00f6rter", "\u0441\u043b\u043e\u0432\u043e", "\u6587\u5b57",
          "\u3053\u3093\u306b\u3061\u306f", "\u0e04\u0e33", "\ud55c\uad6d\uc5b4",
          "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0639\u0631\u0628\u064a", "def f(x):\n    return x\n"]
RANGES = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00),
          (0x1100, 0x1200), (0x2000, 0x2070), (0x3040, 0x3100), (0x4E00, 0x4F00), (0xAC00, 0xAD00),
          (0x1F300, 0x1F700)]


def random_text(rng, extra=()):
    parts = []
    for _ in range(rng.randint(0, 12)):
        kind = rng.random()
        if extra and kind < 0.15:
            parts.append(rng.choice(extra))
        elif kind < 0.55:
            parts.append(rng.choice(PIECES))
        elif kind < 0.9:
            low, high = rng.choice(RANGES)
            parts.append("".join(chr(rng.randrange(low, high)) for _ in range(rng.randint(1, 5))))
        else:
            parts.append(chr(rng.choice(ALL)))
    return "".join(parts)


def corpus():
    for path in sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("src/tokenizer/*.c")]):
        if "table" not in path.name:
            yield from path.read_text(encoding="utf-8").split("\n\n")
    rng = random.Random(7)
    for _ in range(3000):
        yield random_text(rng)


# Code points of which the library's parts know an older or a newer Unicode than limn's 16.0.0; the table is
# in docs/tokenizer_families.md.
UNLIKE = {
    "Punctuation": "061D 09FD 0A76 0C77 0C84 1B4E-1B4F 1B7D-1B7F 2E43-2E4F 2E52-2E5D 10D6E 10EAD 10F55-10F59 "
                   "10F86-10F89 113D4-113D5 113D7-113D8 1144B-1144F 1145A-1145B 1145D 11660-1166C 116B9 1183B "
                   "11944-11946 119E2 11A3F-11A46 11A9A-11A9C 11A9E-11AA2 11B00-11B09 11BE1 11C41-11C45 "
                   "11C70-11C71 11EF7-11EF8 11F43-11F4F 11FFF 12FF1-12FF2 16D6D-16D6F 16E97-16E9A 16FE2 1E5FF "
                   "1E95E-1E95F 166D 111C9",
    "Digits": "11DE0-11DE9 16FF4-16FF6",
    "NFC": "105C9 105E4 11383 11385 1138E 11391 113C5 113C7-113C8 11938 16121-16128 16D68-16D6A 07FD 0897-089F "
           "08CA-08D3 09FE 0C3C 0D3B-0D3C 0EBA 1715 1ABF-1ACE 1DF6-1DFA A82C 10D24-10D27 10D69-10D6D "
           "10EAB-10EAC 10EFD-10EFF 10F46-10F50 10F82-10F85 11070 1133B 113CE-113D0 1145E 11839-1183A "
           "1193D-1193E 11943 119E0 11A34 11A47 11A99 11D42 11D44-11D45 11D97 11F41-11F42 1611E-16129 1612F "
           "16D63 16D67 16FF0-16FF1 1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF 1E5EE-1E5EF",
    "NFKC": "32FF A7F2-A7F4 AB69 10781-10785 10787-107B0 107B2-107BA 1CCD6-1CCF9 1E030-1E06D 1F16C "
           "1FBF0-1FBF9",
    "Lowercase": "A7CE A7D2 A7D4 16EA0-16EB8",
    "StripAccents": "07FD 0897-089F 08CA-08D3 09FE 0AFA-0AFF 0B55 0C04 0C3C 0CF3 0D00 0D3B-0D3C 0D81 0EBA 0ECE "
           "1715 180F 1ABF-1ACE 1CF2-1CF3 1CF7 1DF6-1DFA A82C A8FF 10D24-10D27 10D69-10D6D 10EAB-10EAC "
           "10EFC-10EFF 10F46-10F50 10F82-10F85 11070 11073-11074 110C2 11145-11146 111C9 111CE-111CF "
           "11241 1133B 113B8-113C0 113C2 113C5 113C7-113CA 113CC-113D0 113D2 113E1-113E2 1145E "
           "1182C-1183A 11930-11935 11937-11938 1193B-1193E 11940 11942-11943 119D1-119D7 119DA-119E0 "
           "119E4 11A01-11A0A 11A33-11A39 11A3B-11A3E 11A47 11A51-11A5B 11A8A-11A99 11D31-11D36 11D3A "
           "11D3C-11D3D 11D3F-11D45 11D47 11D8A-11D8E 11D90-11D91 11D93-11D97 11EF3-11EF6 11F00-11F01 "
           "11F03 11F34-11F3A 11F3E-11F42 11F5A 13440 13447-13455 1611E-1612F 16F4F 16F7F-16F87 16FE4 "
           "16FF0-16FF1 1CF00-1CF2D 1CF30-1CF46 1E08F 1E130-1E136 1E2AE 1E2EC-1E2EF 1E4EC-1E4EF "
           "1E5EE-1E5EF",
}
# Parts that have the tables of others.
ALSO = {"NFD": ["NFC"], "NFKC": ["NFC"], "NFKD": ["NFC", "NFKC"]}


def unlike(config):
    """The code points that a tokenizer.json may cut or compose otherwise in that library."""
    found, text = set(), json.dumps(config.get("normalizer")) + json.dumps(config.get("pre_tokenizer"))
    kinds = [kind for kind in {*UNLIKE, *ALSO} if f'"{kind}"' in text]
    for kind in {*kinds, *(other for kind in kinds for other in ALSO.get(kind, []))}:
        for part in UNLIKE.get(kind, "").split():
            first, _, last = part.partition("-")
            found.update(map(chr, range(int(first, 16), int(last or first, 16) + 1)))
    return found


# ---- comparing ------------------------------------------------------------------------------------

class Differences:
    def __init__(self):
        self.texts = self.differ = self.panics = 0

    def note(self, name, text, ours, theirs, what):
        self.differ += 1
        if self.differ <= 10:
            print(f"{name}: {what} of {text!r}\n  limn  {ours}\n  other {theirs}")


def starts_in_bytes(text, offsets):
    """Code point offsets as bytes."""
    places = list(itertools.accumulate((len(c.encode()) for c in text), initial=0))
    return [places[start] for start, _ in offsets]


def whole_characters(data, starts):
    """Starts inside a character as the character's own."""
    result = []
    for start in starts:
        while start < len(data) and data[start] & 0xC0 == 0x80:
            start -= 1
        result.append(start)
    return result


def compare_hugging_face(found, name, path, n, rng, offsets=True):
    from tokenizers import Tokenizer
    theirs, limn = Tokenizer.from_file(str(path)), Limn(path)
    config = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    theirs.post_processor, theirs.no_truncation, theirs.no_padding = None, None, None
    others = unlike(config)
    extra = [token["content"] for token in config.get("added_tokens", [])][:200]
    for i in range(n):
        special = AS_TEXT if i % 2 else ALLOW
        theirs.encode_special_tokens = special == AS_TEXT
        text = random_text(rng, extra)
        if not others.isdisjoint(text):
            continue
        try:
            data, expected = text.encode(), theirs.encode(text, add_special_tokens=False)
        except BaseException as error:  # a panic: two tokens that take the same white space
            if isinstance(error, KeyboardInterrupt):
                raise
            found.panics += 1
            continue
        ids, starts = limn.encode(data, special)
        found.texts += 1
        if ids != expected.ids:
            found.note(name, text, ids, expected.ids, "ids")
        elif offsets:
            ours, other = whole_characters(data, starts), starts_in_bytes(text, expected.offsets)
            if ours != other:
                found.note(name, text, ours, other, "starts")
    limn.close()


def compare_tiktoken(found, name, path, encoding, n, rng):
    import base64
    import tiktoken
    import tiktoken_ext.openai_public as public
    lines = pathlib.Path(path).read_bytes().split(b"\n")
    ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in lines if line)}
    llama3 = (LLAMA3, {"<|begin_of_text|>": 128000, "<|eot_id|>": 128009})
    if encoding in ("llama3", "llama3.1"):
        pattern, special = llama3
    elif encoding == "qwen":
        pattern = LLAMA3.replace("{1,3}", "")
        special = {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}
    else:
        public.load_tiktoken_bpe = lambda *_, **__: ranks
        public.data_gym_to_mergeable_bpe_ranks = lambda *_, **__: ranks
        made = public.ENCODING_CONSTRUCTORS[encoding]()
        pattern, special = made["pat_str"], made["special_tokens"]
    theirs = tiktoken.Encoding(encoding, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
    limn = Limn(path, encoding)
    for token, id_ in itertools.chain(ranks.items(), ((k.encode(), v) for k, v in special.items())):
        if token.decode("utf-8", "ignore") not in ("<|endofprompt|>", "<|reserved_200018|>"):
            assert limn.decode([id_]) == token, (token, id_)
    if encoding != "qwen":
        for token in ranks:  # among them those that merging does not give
            text = token.decode("utf-8", "ignore")
            found.texts += 1
            ours, other = limn.encode(text.encode())[0], theirs.encode_ordinary(text)
            if ours != other:
                found.note(name, text, ours, other, "ids")
    for i in range(n):
        text = random_text(rng, list(special)[:50])
        if encoding == "qwen":
            import unicodedata2
            text = unicodedata2.normalize("NFC", text)
        found.texts += 1
        ours = limn.encode(text.encode(), ALLOW if i % 2 else AS_TEXT)[0]
        other = theirs.encode(text, allowed_special="all") if i % 2 else theirs.encode_ordinary(text)
        if ours != other:
            found.note(name, text, ours, other, "ids")
        elif limn.decode(ours) != theirs.decode_bytes(other):
            found.note(name, text, limn.decode(ours), theirs.decode_bytes(other), "text")
    limn.close()


def compare_sentencepiece(found, name, path, n, rng):
    import sentencepiece
    theirs, limn = sentencepiece.SentencePieceProcessor(model_file=str(path)), Limn(path)
    pieces = [theirs.id_to_piece(i) for i in range(theirs.vocab_size())]
    extra = [rng.choice(pieces).replace("\u2581", " ") for _ in range(500)] + pieces[:30]
    for _ in range(n):
        text = random_text(rng, extra)
        data, expected = text.encode(), theirs.encode(text, return_type="offset_mapping")
        other = theirs.encode(text)
        ids, starts = limn.encode(data)
        found.texts += 1
        if ids != other:
            found.note(name, text, ids, other, "ids")
            continue
        # A space in front of the first word, where one is put, comes from the first character kept.
        begins = starts_in_bytes(text, expected["offsets"])
        if whole_characters(data, starts) != begins:
            found.note(name, text, whole_characters(data, starts), begins, "starts")
        unknown = theirs.unk_id() in ids
        if not unknown and limn.decode(ids).decode("utf-8", "replace") != theirs.decode(ids):
            found.note(name, text, limn.decode(ids), theirs.decode(ids), "text")
    limn.close()


# ---- tokenizers of every kind -----------------------------------------------------------------------

def make_models(texts, size):
    """Tokenizers of some hundred tokens more or less, by `size`."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    texts = [text.replace("\0", "") for text in texts]  # which jansson has not in keys
    bytes_ = Tokenizer(models.BPE())
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=257 + 9 * size, show_progress=False, special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    spaces = Tokenizer(models.BPE())  # merges across words too
    spaces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    spaces.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=257 + 6 * size, show_progress=False, max_token_length=12,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    few = Tokenizer(models.BPE(unk_token="<unk>"))  # not all bytes
    few.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    few.train_from_iterator(["the cat sat on the mat, 12 times"] * 3, trainers.BpeTrainer(
        vocab_size=60, show_progress=False, special_tokens=["<unk>"]))
    pieces = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    pieces.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    pieces.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(),
                                        decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    pieces.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    pieces.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=450 + 10 * size, show_progress=False, max_token_length=16,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))]))
    pieces.pre_tokenizer = None
    chars = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    chars.pre_tokenizer = pre_tokenizers.Metaspace()
    chars.train_from_iterator(texts[:200], trainers.BpeTrainer(
        vocab_size=4 * size, show_progress=False, special_tokens=["<unk>", "<s>"]))
    return {name: json.loads(t.to_str()) for name, t in
            {"bytes": bytes_, "spaces": spaces, "few": few, "pieces": pieces, "chars": chars}.items()}


def regex_split(pattern, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def byte_level(prefix=False, regex=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": False, "use_regex": regex}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
          r"\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
TIKTOKEN = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|"
            r"\s*[\r\n]|\s+(?!\S)|\s")
DEEPSEEK = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
            " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
EAST_ASIAN = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
PRE = {
    "none": byte_level(),
    "gpt2": byte_level(regex=True),
    "prefix": byte_level(prefix=True, regex=True),
    "prefix-whole": byte_level(prefix=True),
    "gpt2-split": sequence(regex_split(GPT2), byte_level()),
    "llama3": sequence(regex_split(LLAMA3), byte_level()),
    "llama3-removed": sequence(regex_split(LLAMA3, "Removed", True), byte_level()),
    "qwen2": sequence(regex_split(LLAMA3.replace("{1,3}", "")), byte_level()),
    "o200k": sequence(regex_split(O200K), byte_level()),
    "tekken": sequence(regex_split(O200K.replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)?", "").replace("{1,3}", "")),
                       byte_level()),
    "tiktoken": sequence(regex_split(TIKTOKEN), byte_level()),
    "deepseek": sequence(regex_split(r"\p{N}{1,3}"), regex_split(EAST_ASIAN), regex_split(DEEPSEEK),
                         byte_level()),
    "starcoder": sequence({"type": "Digits", "individual_digits": True}, byte_level(regex=True)),
    "falcon": sequence({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(regex=True),
                       {"type": "Digits", "individual_digits": False}, regex_split("[0-9][0-9][0-9]")),
    "visible-then-split": sequence(byte_level(regex=True), regex_split("\u0120+", "MergedWithPrevious")),
    "digits": sequence({"type": "Digits", "individual_digits": False}, byte_level()),
    "digits-prefix": sequence({"type": "Digits", "individual_digits": True}, byte_level(prefix=True)),
    **{f"punctuation-{b}": sequence({"type": "Punctuation", "behavior": b}, byte_level())
       for b in ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]},
    **{f"split-{b}{'-inverted' if i else ''}": sequence(regex_split(r"\s+|\d", b, i), byte_level())
       for b in ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
       for i in [False, True]},
    "split-string": sequence({"type": "Split", "pattern": {"String": "."}, "behavior": "MergedWithPrevious",
                              "invert": False}, byte_level()),
    "han": sequence(regex_split(r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^\p{Han}]]+|\p{N}{1,3}"), byte_level()),
    "empty": sequence(regex_split(r"x*|(?<=a)b|^\s+$|\w$"), byte_level()),
}
NORMALIZERS = {
    "none": None,
    "nfc": {"type": "NFC"},
    "replace": {"type": "Replace", "pattern": {"String": "  "}, "content": "\u2588"},
    "sequence": {"type": "Sequence", "normalizers": [
        {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"[\r\n]+"}, "content": "\n"},
        {"type": "Prepend", "prepend": "_"}]},
}


MORE_NORMALIZERS = {
    **{name: {"type": name} for name in ["NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"]},
    "bare": {"type": "Sequence", "normalizers": [
        {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "NFC"}]},
}


def added(content, id_, **flags):
    return {"id": id_, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": False, **flags}


def added_tokens(vocab):
    """Tokens of every kind; those in the vocabulary with their ids there, others behind it."""
    ids = itertools.count(max(vocab.values()) + 1)

    def token(content, **flags):
        return added(content, vocab[content] if content in vocab else next(ids), **flags)
    return [token("<s>", special=True),
            token("<mask>", special=True, lstrip=True),
            token("</s>", special=True, rstrip=True),
            token("yes", single_word=True),
            token("[DAY]", normalized=True),
            token("  ", normalized=True),
            token("the", single_word=True, lstrip=True, rstrip=True, normalized=True),
            token("<|end"),
            token("\u212b", normalized=True),
            token("\n ", lstrip=True)]


def variants(models):
    """(name, tokenizer.json as a value, whether starts can be compared)."""
    def made(model, **parts):
        return {**models[model], "added_tokens": models[model]["added_tokens"], **parts}
    vocab = models["bytes"]["model"]["vocab"]
    for name, pre in PRE.items():
        yield f"bytes {name}", made("bytes", pre_tokenizer=pre, post_processor=None), True
        yield f"spaces {name}", made("spaces", pre_tokenizer=pre, post_processor=None), True
    for (n1, norm), (n2, pre) in itertools.product(
            NORMALIZERS.items(), [(k, PRE[k]) for k in ["gpt2", "prefix", "llama3", "split-Removed", "none"]]):
        for tokens in [False, True]:
            parts = {"normalizer": norm, "pre_tokenizer": pre}
            if tokens:
                parts["added_tokens"] = models["bytes"]["added_tokens"] + added_tokens(vocab)
            yield (f"bytes {n1} {n2}{' added' if tokens else ''}", made("bytes", **parts),
                   n1 == "none" and not tokens)
    for (name, norm), tokens in itertools.product(MORE_NORMALIZERS.items(), [False, True]):
        parts = {"normalizer": norm, "pre_tokenizer": PRE["gpt2"]}
        if tokens:
            parts["added_tokens"] = models["bytes"]["added_tokens"] + added_tokens(vocab)
        yield f"bytes {name} gpt2{' added' if tokens else ''}", made("bytes", **parts), False
    whole = made("spaces", pre_tokenizer=PRE["gpt2"])
    whole["model"] = {**whole["model"], "ignore_merges": True}
    yield "ignore_merges", whole, True
    shuffled = made("spaces", pre_tokenizer=PRE["gpt2"])
    shuffled["model"] = {**shuffled["model"], "merges": random.Random(3).sample(
        shuffled["model"]["merges"], len(shuffled["model"]["merges"]))}
    yield "merges in another order", shuffled, True
    doubled = made("spaces", pre_tokenizer=PRE["gpt2"])
    doubled["model"] = {**doubled["model"], "merges": doubled["model"]["merges"] + random.Random(4).sample(
        doubled["model"]["merges"], len(doubled["model"]["merges"]) // 3)}
    yield "merges twice", doubled, True
    lines = made("bytes", pre_tokenizer=PRE["gpt2"])
    lines["model"] = {**lines["model"], "merges": [" ".join(m) for m in lines["model"]["merges"]]}
    yield "merges as lines", lines, True
    for name in ["gpt2", "prefix", "digits-prefix"]:
        yield f"few {name}", made("few", pre_tokenizer=PRE[name]), True
    dropped = made("few", pre_tokenizer=PRE["gpt2"])
    dropped["model"] = {**dropped["model"], "unk_token": None}
    # The library counts characters that it leaves out as if they were not there.
    yield "few without unknown", dropped, False
    fused = made("few", pre_tokenizer=PRE["gpt2"])
    fused["model"] = {**fused["model"], "fuse_unk": True}
    yield "few fused", fused, True
    yield "pieces", made("pieces"), True
    yield "pieces added", made("pieces", added_tokens=models["pieces"]["added_tokens"] + added_tokens(
        models["pieces"]["model"]["vocab"])), False
    for scheme, split in itertools.product(["always", "first", "never"], [True, False]):
        meta = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}
        yield (f"pieces metaspace {scheme} {split}", made("pieces", normalizer=None, pre_tokenizer=meta), True)
        yield (f"chars metaspace {scheme} {split}", made("chars", pre_tokenizer=meta), True)
    gemma = made("pieces", normalizer={"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
                 pre_tokenizer={"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                                "invert": False})
    yield "pieces as Gemma", gemma, True


def check_made(found, strings, rng, only):
    made = list(variants(make_models(corpus(), 100)))
    made = [m for m in made if not only or only in m[0]]
    with tempfile.TemporaryDirectory() as folder:
        for name, value, offsets in made:
            path = pathlib.Path(folder, "tokenizer.json")
            path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
            before = found.differ
            compare_hugging_face(found, name, path, max(1, strings // len(made)), rng, offsets)
            if found.differ > before:
                print(f"{name}: {found.differ - before} texts differ")
    print(f"{len(made)} tokenizer.json made here")


def check_made_models(found, strings, rng, only):
    import io
    import sentencepiece
    kinds = {
        "llama": {"byte_fallback": True, "normalization_rule_name": "identity",
                  "remove_extra_whitespaces": False},
        "nfkc": {}, "nfkc bytes": {"byte_fallback": True}, "casefold": {"normalization_rule_name": "nmt_nfkc_cf"},
        "plain": {"add_dummy_prefix": False, "byte_fallback": True, "normalization_rule_name": "identity"},
        "symbols": {"byte_fallback": True, "user_defined_symbols": ["<mask>", "  ", "yes", "\u2581the", "12"],
                    "control_symbols": ["[DAY]"], "normalization_rule_name": "identity",
                    "remove_extra_whitespaces": False},
        "across words": {"split_by_whitespace": False, "byte_fallback": True, "remove_extra_whitespaces": False,
                         "normalization_rule_name": "identity"},
        "coarse": {"allow_whitespace_only_pieces": True, "split_digits": True},
    }
    kinds = {k: v for k, v in kinds.items() if not only or only in f"model {k}"}
    texts = [text.replace("\0", " ") for text in corpus()]
    with tempfile.TemporaryDirectory() as folder:
        for name, flags in kinds.items():
            model = io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(texts), model_writer=model, model_type="bpe", vocab_size=2500,
                hard_vocab_limit=False, minloglevel=2, num_threads=1, **{"character_coverage": 0.98, **flags})
            path = pathlib.Path(folder, "tokenizer.model")
            path.write_bytes(model.getvalue())
            compare_sentencepiece(found, f"model {name}", path, max(1, strings // len(kinds)), rng)
    print(f"{len(kinds)} SentencePiece models made here")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lib", required=True, help="liblimn.so")
    parser.add_argument("--strings", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="of those made here, the ones whose name has this")
    parser.add_argument("files", nargs="*", metavar="FILE")
    options = parser.parse_args()
    Limn.library = ctypes.CDLL(os.path.abspath(options.lib))
    found, rng = Differences(), random.Random(options.seed)
    if not options.files:
        check_made(found, options.strings, rng, options.only)
        check_made_models(found, options.strings // 4, rng, options.only)
    for path in options.files:
        before, name = found.texts, os.path.basename(path)
        encoding, _, file = path.rpartition("=")
        if encoding or name.endswith(".tiktoken"):
            compare_tiktoken(found, name, file, encoding or name[:-9], options.strings, rng)
        elif name.endswith(".json"):
            compare_hugging_face(found, name, path, options.strings, rng, False)
        else:
            compare_sentencepiece(found, name, path, options.strings, rng)
        print(f"{path}: {found.texts - before} texts")
    if found.panics:
        print(f"{found.panics} texts ended the other program's call")
    print(f"{found.texts} texts, {found.differ} differ")
    sys.exit(1 if found.differ or not found.texts else 0)


if __name__ == "__main__":
    main()
