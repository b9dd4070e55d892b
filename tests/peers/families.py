"""How the families of tokenizers cut texts, as the reference implementations are told."""

import functools

from tokenizers import Regex
from tokenizers.pre_tokenizers import ByteLevel, Digits, Punctuation, Sequence, Split

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def lines(digits, letters=r"\p{L}", others=r"[^\s\p{L}\p{N}]", end=""):
    return (
        CONTRACTIONS + rf"|[^\r\n\p{{L}}\p{{N}}]?{letters}+|{digits}| ?{others}+[\r\n]*"
        rf"{end}|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


def cased(digits, contractions):
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    lead = r"[^\r\n\p{L}\p{N}]?"
    return "|".join(
        [
            f"{lead}{upper}*{lower}+{contractions}",
            f"{lead}{upper}+{lower}*{contractions}",
            digits,
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    )


# As tiktoken has them (and fancy-regex reads them: $ is the end of the text).
TIKTOKEN = {
    "r50k": GPT2,
    "p50k": GPT2,
    "cl100k": lines(r"\p{N}{1,3}", end=r"|\s+$"),
    "o200k": cased(r"\p{N}{1,3}", f"{CONTRACTIONS}?"),
}

# Families whose pattern is one expression, as tiktoken's engine takes it.
EXPRESSION = {
    "llama3": lines(r"\p{N}{1,3}"),
    "qwen2": lines(r"\p{N}"),
    "qwen3.5": lines(r"\p{N}", r"[\p{L}\p{M}]", r"[^\s\p{L}\p{M}\p{N}]"),
    "o200k": cased(r"\p{N}{1,3}", f"{CONTRACTIONS}?"),
    "tekken": cased(r"\p{N}", ""),
}

# Families that bring texts into NFC first, and those that have another's pattern.
COMPOSED = ("qwen2", "qwen3.5", "olmo")
PATTERN = {"olmo": "gpt2"}

DEEPSEEK = (
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
    r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def split(regex):
    return Split(Regex(regex), "isolated")


@functools.cache
def pre_tokenizer(family):
    """Hugging Face's pre-tokenizer of a family."""
    to_bytes = ByteLevel(add_prefix_space=False, use_regex=False)
    gpt2 = ByteLevel(add_prefix_space=False)
    family = PATTERN.get(family, family)
    passes = {
        "gpt2": [gpt2],
        **{name: [split(expression), to_bytes] for name, expression in EXPRESSION.items()},
        "starcoder": [Digits(individual_digits=True), gpt2],
        "falcon": [
            Punctuation("contiguous"),
            gpt2,
            Digits(individual_digits=False),
            split("[0-9][0-9][0-9]"),
        ],
        "deepseek": [
            split(r"\p{N}{1,3}"),
            split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
            split(DEEPSEEK),
            to_bytes,
        ],
    }[family]
    return passes[0] if len(passes) == 1 else Sequence(passes)


FAMILIES = (
    "gpt2",
    "llama3",
    "qwen2",
    "qwen3.5",
    "o200k",
    "tekken",
    "starcoder",
    "falcon",
    "deepseek",
)
