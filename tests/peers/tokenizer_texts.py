"""Texts that tokenizers are compared on: random ones, weighted to what splitting turns on, real ones
in many languages from what a system has installed, and long runs."""

import gettext
import glob
import os
import random
import sysconfig

import numpy as np

SCALARS = [*range(0xD800), *range(0xE000, 0x110000)]
SEPARATOR = "\U0010fffe"  # between random texts; itself tried among the code points

CONTRACTIONS = [q + word for q in "'\u2019" for word in ("s", "t", "re", "ve", "m", "ll", "d")]
CONTRACTIONS += [c.upper() for c in CONTRACTIONS] + ["'", "''", "'\u017f", "'\u017fx", "'lL", "'rE"]
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\r\n", "\r", "\t", " \n", "\n ", "\u00a0", "\u2003"]
SPACES += ["\u3000", "\u0085", "\u2028", "\u1680", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f"]
DIGITS = [*"0123456789", "12", "345", "6789", "12345678", "\u0661", "\u0967", "\u216b", "\u00bd"]
DIGITS += ["\u00b2", "\u2460", "\u3007", "\U0001d7d8"]
MARKS = ["\u0301", "\u0308", "\u0345", "\u20dd", "\u093c", "\u0e31", "\u05b0", "\ufe0f", "e\u0301"]
EMOJI = ["\U0001f642", "\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f"]
EMOJI += ["\U0001f44b\U0001f3fd", "\u200d", "\u200b", "\ufeff"]
CONTROLS = ["\x00", "\x01", "\x1b", "\x7f", "\x80", "\u2060", "\ue000", "\U0010fffd", "\uffff"]
SIGNS = [*"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~", "...", "--", "!?", "//", "==", "\u2014", "\u3002"]
SIGNS += ["\uff0c", "\u00a7", "\u20ac", "\u00ac", "\u221e", "<|endoftext|>"]
WORDS = [*"abcdexyzABCZ", "the", " The", "hello", "HELLO", "camelCase", "W\u00f6rter", "\u00df"]
WORDS += ["\u0441\u043b\u043e\u0432\u043e", "\u0421", "\u6587\u5b57", "\u3042\u30a2\u30fc", "\u1e9e"]
WORDS += ["\u0e04\u0e33", "\ud55c\uad6d", "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0639\u0631"]
WORDS += ["\u01c5", "\u02b0", "\u00aa", "\u1f88", "\U00010400", "\U0001d4d0", "\u0130", "\u212a"]
GROUPS = (
    (CONTRACTIONS, 0.15),
    (SPACES, 0.2),
    (DIGITS, 0.1),
    (MARKS, 0.06),
    (EMOJI, 0.05),
    (CONTROLS, 0.03),
    (SIGNS, 0.1),
    (WORDS, 0.16),
)


class RandomTexts:
    """Many short texts at once. Characters that a peer's Unicode does not know stay out."""

    def __init__(self, seed, without=()):
        without = set(without)
        self._rng = np.random.default_rng(seed)
        self._atoms, weights = [SEPARATOR], [0.12]
        for atoms, weight in GROUPS:
            atoms = [a for a in atoms if without.isdisjoint(a)]
            self._atoms += atoms
            weights += [weight / len(atoms)] * len(atoms)
        others = random.Random(seed).sample(SCALARS, 60_000)
        others += range(0x20, 0x3000)
        others = [chr(c) for c in others if chr(c) not in without and chr(c) != SEPARATOR]
        self._atoms += others
        weights += [0.15 / len(others)] * len(others)
        self._bounds = np.cumsum(weights) / sum(weights)

    def draw(self, n_atoms, seed=None):
        """Texts of so many parts in all; with a seed, always the same ones."""
        rng = self._rng if seed is None else np.random.default_rng(seed)
        at = np.searchsorted(self._bounds, rng.random(n_atoms)).tolist()
        return "".join(map(self._atoms.__getitem__, at)).split(SEPARATOR)


def damaged(rng, text):
    """Bytes of a text with some broken: cut short, overlong, surrogates, stray ones."""
    data = bytearray(text.encode("utf-8"))
    wrong = (b"\xff", b"\x80", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80")
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(data))
        if rng.random() < 0.5 and at < len(data):
            del data[at]
        else:
            data[at:at] = rng.choice(wrong)
    return bytes(data)


def translations(most=100_000):
    """{language: text} from the catalogues of installed programs."""
    found = {}
    for path in sorted(glob.glob("/usr/share/locale/*/LC_MESSAGES/*.mo")):
        language = path.split("/")[4]
        size, parts = found.setdefault(language, [0, []])
        if size > most:
            continue
        try:
            with open(path, "rb") as file:
                messages = gettext.GNUTranslations(file)._catalog.values()
        except (OSError, UnicodeError, ValueError, IndexError):
            continue
        text = "\n".join(m for m in messages if isinstance(m, str))
        found[language][0] += len(text)
        parts.append(text)
    return {k: "\n".join(parts) for k, (size, parts) in found.items() if size > 20_000}


def source_code(most=3_000_000):
    """Texts of programs: Python, C headers, and what else lies about."""
    paths = sorted(glob.glob(os.path.join(sysconfig.get_paths()["stdlib"], "*.py")))
    paths += sorted(glob.glob("/usr/include/**/*.h", recursive=True))[:400]
    paths += sorted(glob.glob("/usr/share/perl/**/*.p[lm]", recursive=True))[:100]
    size = 0
    for path in paths:
        try:
            with open(path, encoding="utf-8", newline="") as file:
                text = file.read()
        except (OSError, UnicodeError):
            continue
        size += len(text)
        yield text
        if size > most:
            return


def long_runs(n):
    """{what: a text of about n bytes that is one piece, or nearly}."""
    rng = random.Random(3)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return {
        "one letter": "a" * n,
        "spaces": " " * n,
        "line feeds": "\n" * n,
        "spaces and a letter": " " * n + "a",
        "random letters": "".join(rng.choice(letters) for _ in range(n)),
        "random capitals and small letters": "".join(
            rng.choice(letters + letters.upper()) for _ in range(n)
        ),
        "digits": "".join(rng.choice("0123456789") for _ in range(n)),
        "signs": "".join(rng.choice("!?.,-=*/") for _ in range(n)),
        "Chinese": "".join(chr(rng.randrange(0x4E00, 0x9FA0)) for _ in range(n // 3)),
        "Thai": "".join(chr(rng.randrange(0xE01, 0xE2F)) for _ in range(n // 3)),
        "combining marks": "e" + "\u0301" * (n // 2),
        "emoji": "\U0001f642" * (n // 4),
    }
