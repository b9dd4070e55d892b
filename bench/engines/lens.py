"""TransformerLens 4: logits of every position, as it always gives them.

Plain, with all hooks cached, and (for bench/watch) with one.
"""

import warnings

NAME = "transformer_lens"
INSTALL = "pip install 'transformer-lens>=4'"
VARIANTS = {"f32": "float32", "f32-cached": "float32"}
PATTERN = "blocks.5.attn.hook_pattern"


def missing():
    import importlib.util

    return None if importlib.util.find_spec("transformer_lens") else "transformer-lens"


def version():
    from importlib.metadata import version as of

    return of("transformer-lens")


def prepare(variant, model, work):
    pass


def load():
    import torch
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import GPT2LMHeadModel, GPT2TokenizerFast

    return torch, TransformerBridge, GPT2LMHeadModel, GPT2TokenizerFast


class Engine:
    can_decode = False  # it has a cache for generating, but not one that is stepped from outside

    def __init__(self, variant, model, work, threads, n_ctx):
        warnings.filterwarnings("ignore")
        torch, bridge, hugging_face, tokenizer = load()
        self.torch = torch
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        hf = hugging_face.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")
        self.model = bridge.boot_transformers(
            "gpt2",
            hf_model=hf.eval(),
            tokenizer=tokenizer.from_pretrained(model),
            dtype=torch.float32,
        )
        self.variant = variant

    def prefill(self, ids):
        ids = self.torch.tensor([ids])
        if self.variant == "f32":
            logits = self.model(ids)
        else:
            only = PATTERN if self.variant == "f32-pattern" else None
            logits, self.kept = self.model.run_with_cache(ids, names_filter=only)
        return logits[0, -1].numpy()
