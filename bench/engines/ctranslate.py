"""CTranslate2: a folder made by its own converter of Transformers models.

Its generator takes a prompt and goes on by itself, so the tokens of decoding are its own greedy
ones; the work is the same. Logits are checked over all positions at once.
"""

import pathlib

NAME = "ctranslate2"
INSTALL = "pip install ctranslate2 torch transformers"
VARIANTS = {"f32": "float32", "int8": "8-bit"}


def missing():
    import importlib.util

    names = ("ctranslate2", "torch", "transformers")
    return ", ".join(name for name in names if not importlib.util.find_spec(name)) or None


def version():
    from importlib.metadata import version as of

    return of("ctranslate2")


def path(variant, model, work):
    return pathlib.Path(work) / f"{pathlib.Path(model).name}-ct2-{variant}"


def prepare(variant, model, work):
    out = path(variant, model, work)
    if (out / "model.bin").exists():
        return
    from ctranslate2.converters import TransformersConverter

    quantization = None if variant == "f32" else variant
    TransformersConverter(str(model)).convert(str(out), quantization=quantization, force=True)


def load():
    import ctranslate2

    return ctranslate2


class Engine:
    can_decode = True

    def __init__(self, variant, model, work, threads, n_ctx):
        import json

        import numpy as np

        self.np = np
        out = path(variant, model, work)
        compute = "float32" if variant == "f32" else variant
        self.generator = load().Generator(
            str(out), device="cpu", compute_type=compute, inter_threads=1, intra_threads=threads
        )
        self.words = json.loads((out / "vocabulary.json").read_text(encoding="utf-8"))

    def generate(self, ids, n, each=None):
        """n tokens behind the prompt; the logits before the first, or before each."""
        prompt = [self.words[i] for i in ids]
        found = self.generator.generate_batch(
            [prompt],
            max_length=n,
            min_length=n,
            include_prompt_in_result=False,
            beam_size=1,
            return_logits_vocab=each is not None or n == 1,
            end_token=[],
        )[0]
        assert len(found.sequences_ids[0]) == n, "ended early"
        return found

    def prefill(self, ids):
        logits = self.generate(ids, 1).logits[0][0]
        return self.np.array(logits, dtype=self.np.float32)

    def decode(self, ids, each=None):
        if each is None:
            return self.generate(ids[:1], len(ids)).sequences_ids[0]
        prompt = [[self.words[i] for i in ids]]
        rows = self.np.array(self.generator.forward_batch(prompt), dtype=self.np.float32)[0]
        for row in rows:
            each(row)
        return rows[-1]
