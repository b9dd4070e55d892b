"""ik_llama.cpp, a fork of llama.cpp with kernels of its own; GGUF files made by tools/make_gguf.py
with the unembedding as a tensor of its own, which it wants.

The rows that end in "-rtr" rearrange the weights as they are loaded (its --run-time-repack 1), so
that rows of a matrix lie interleaved. It comes as source; LIMN_BENCH_IK_LLAMA names its folder
(build/ik_llama.cpp when not given), built as INSTALL says.
"""

import ctypes
import os
import pathlib
import shutil
import subprocess
import sys

from engines import llama_cpp

NAME = "ik_llama.cpp"
INSTALL = (
    "pip install gguf; git clone ik_llama.cpp into build/ik_llama.cpp, and there: "
    "cmake -B build -DGGML_NATIVE=ON && cmake --build build --target llama   (half an hour)"
)
VARIANTS = {
    "f32": "float32",
    "bf16": "16-bit",
    "bf16-rtr": "16-bit",
    "q8_0": "8-bit",
    "q8_0-rtr": "8-bit",
    "q4_0": "4-bit",
    "q4_0-rtr": "4-bit",
}
TOLERANCE = llama_cpp.TOLERANCE
BENCH = pathlib.Path(__file__).resolve().parent.parent


def folder():
    return pathlib.Path(
        os.environ.get("LIMN_BENCH_IK_LLAMA", BENCH.parent / "build/ik_llama.cpp")
    ).resolve()


def libraries():
    return [folder() / "build/ggml/src/libggml.so", folder() / "build/src/libllama.so"]


def missing():
    import importlib.util

    gone = [str(path) for path in libraries() if not path.exists()]
    gone += [name for name in ("gguf",) if not importlib.util.find_spec(name)]
    return ", ".join(gone) or None


def version():
    """The commit where git knows it, else the day of the newest source file."""
    words = ["git", "-C", folder(), "log", "-1", "--format=%h"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    top = subprocess.run(
        ["git", "-C", folder(), "rev-parse", "--show-toplevel"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    if done.returncode == 0 and pathlib.Path(top or "/").resolve() == folder():
        return done.stdout.strip()
    note = folder() / "COMMIT"
    return note.read_text(encoding="utf-8").strip() if note.exists() else "(of an unknown commit)"


def shim(work):
    return pathlib.Path(work) / "ik_llama.so"


def path(variant, model, work):
    dtype = variant.removesuffix("-rtr")
    return pathlib.Path(work) / f"{pathlib.Path(model).name}-{dtype}-untied.gguf"


def run(*words):
    subprocess.run([str(word) for word in words], check=True)


def prepare(variant, model, work):
    out = path(variant, model, work)
    if not out.exists():
        dtype = variant.removesuffix("-rtr")
        tool = BENCH.parent / "tools/make_gguf.py"
        run(sys.executable, "-B", tool, model, "-o", out, "--dtype", dtype, "--untied")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        raise RuntimeError("no C compiler is here")
    words = [compiler, "-O2", "-std=gnu11", "-shared", "-fPIC", "-o", shim(work)]
    words += ["-I", folder() / "include", "-I", folder() / "ggml/include", BENCH / "ik_llama.c"]
    for library in libraries():
        words += [library, f"-Wl,-rpath,{library.parent}"]
    run(*words)


def load():
    for path in libraries():
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


class Engine:
    can_decode = True

    def __init__(self, variant, model, work, threads, n_ctx):
        import json

        import numpy as np

        self.np = np
        self.lib = ctypes.CDLL(str(shim(work)))
        self.lib.ik_open.restype = ctypes.c_void_p
        self.lib.ik_evaluate.restype = ctypes.POINTER(ctypes.c_float)
        repacks = variant.endswith("-rtr")
        file = path(variant, model, work)
        self.engine = ctypes.c_void_p(
            self.lib.ik_open(str(file).encode(), n_ctx, threads, repacks)
        )
        if not self.engine:
            raise RuntimeError(f"ik_llama.cpp cannot open {file}")
        config = json.loads((pathlib.Path(model) / "config.json").read_text(encoding="utf-8"))
        self.vocab_size = config["vocab_size"]

    def evaluate(self, ids, position):
        at = self.lib.ik_evaluate(
            self.engine, (ctypes.c_int * len(ids))(*ids), len(ids), ctypes.c_int(position)
        )
        if not at:
            raise RuntimeError("llama_decode failed")
        return self.np.ctypeslib.as_array(at, (self.vocab_size,))

    def prefill(self, ids):
        self.lib.ik_clear(self.engine)
        return self.evaluate(ids, 0)

    def decode(self, ids, each=None):
        self.lib.ik_clear(self.engine)
        for i, token in enumerate(ids):
            logits = self.evaluate([token], i)
            if each:
                each(logits)
        return logits
