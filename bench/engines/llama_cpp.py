"""llama.cpp through the C functions of llama-cpp-python; GGUF files made by tools/make_gguf.py.

The q4_K_M file is made by llama.cpp's own quantizer; the others hold one format throughout. Its
GELU comes from a table of 16-bit floats, so that its float32 is not float32 throughout.
"""

import os
import pathlib
import subprocess
import sys

NAME = "llama.cpp"
INSTALL = "pip install gguf llama-cpp-python   (compiles for some 20 minutes)"
VARIANTS = {"f32": "float32", "bf16": "16-bit", "q8_0": "8-bit", "q4_0": "4-bit", "q4_K_M": "4-bit"}
TOLERANCE = 5e-3  # of float32, instead of bench/compare's: the table of its GELU
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FTYPE_Q4_K_M = 15  # LLAMA_FTYPE_MOSTLY_Q4_K_M


def missing():
    import importlib.util

    gone = [name for name in ("gguf", "llama_cpp") if not importlib.util.find_spec(name)]
    return ", ".join(gone) or None


def version():
    from importlib.metadata import version as of

    return f"(llama-cpp-python {of('llama-cpp-python')})"


def path(variant, model, work):
    return pathlib.Path(work) / f"{pathlib.Path(model).name}-{variant}.gguf"


def prepare(variant, model, work):
    out = path(variant, model, work)
    if out.exists():
        return
    if variant == "q4_K_M":
        prepare("f32", model, work)
        quantize(path("f32", model, work), out)
        return
    tool = ROOT / "tools/make_gguf.py"
    words = [sys.executable, "-B", tool, model, "-o", out, "--dtype", variant]
    subprocess.run([str(word) for word in words], check=True)


def quantize(source, out):
    import ctypes

    import llama_cpp as c

    params = c.llama_model_quantize_default_params()
    params.ftype = FTYPE_Q4_K_M
    params.nthread = os.cpu_count()
    if c.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(params)):
        raise RuntimeError("llama_model_quantize failed")


def load():
    import llama_cpp

    return llama_cpp


class Engine:
    can_decode = True

    def __init__(self, variant, model, work, threads, n_ctx):
        import numpy as np

        self.np, self.c = np, load()
        c = self.c
        c.llama_backend_init()
        params = c.llama_model_default_params()
        self.model = c.llama_model_load_from_file(str(path(variant, model, work)).encode(), params)
        if not self.model:
            raise RuntimeError("llama.cpp cannot open the file")
        self.vocab_size = c.llama_vocab_n_tokens(c.llama_model_get_vocab(self.model))
        params = c.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = n_ctx
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = 0 if variant == "f32" else 1  # GGML_TYPE_F32, F16
        self.context = c.llama_init_from_model(self.model, params)
        if not self.context:
            raise RuntimeError("llama.cpp cannot make a context")
        self.batch = c.llama_batch_init(n_ctx, 0, 1)

    def evaluate(self, ids, position, every=False):
        """The logits behind the last of these tokens, or behind each."""
        batch = self.batch
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position + i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, every or i + 1 == len(ids)
        if self.c.llama_decode(self.context, batch):
            raise RuntimeError("llama_decode failed")
        if every:
            at = self.c.llama_get_logits(self.context)
            return self.np.ctypeslib.as_array(at, (len(ids), self.vocab_size))
        at = self.c.llama_get_logits_ith(self.context, -1)
        return self.np.ctypeslib.as_array(at, (self.vocab_size,))

    def clear(self):
        self.c.llama_memory_clear(self.c.llama_get_memory(self.context), True)

    def prefill(self, ids):
        self.clear()
        return self.evaluate(ids, 0)

    def every(self, ids):
        self.clear()
        return self.evaluate(ids, 0, every=True)

    def decode(self, ids, each=None):
        self.clear()
        for i, token in enumerate(ids):
            logits = self.evaluate([token], i)
            if each:
                each(logits)
        return logits
