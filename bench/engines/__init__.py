"""The engines that bench/compare times: one module each, all with the same four things.

    NAME, INSTALL   what it is called, and how to get it
    VARIANTS        {variant: class}; the class is what it is compared within (see CLASSES)
    TOLERANCE       optional: of its float32 logits, where they cannot be what they should
    missing()       what is not installed, or None
    version()
    prepare(variant, model, work)       writes the files that the variant opens, once
    Engine(variant, model, work, threads, n_ctx)
        .prefill(ids)          the last position's logits, from an empty context
        .decode(ids, each)     token by token from an empty context; each(logits) after every one
                               when it is not None; the last logits
        .can_decode            False where an engine has no cache of keys and values

The heavy packages are imported inside missing(), prepare() and load(), so that a list of engines
costs nothing. `load` is called before the clock of "open to first logits" starts.
"""

import importlib

CLASSES = ("float32", "16-bit", "8-bit", "4-bit")
MODULES = (
    "limn",
    "pytorch",
    "llama_cpp",
    "ik_llama",
    "onnx_runtime",
    "openvino_",
    "ctranslate",
    "lens",
)


def engine(name):
    return importlib.import_module(f"engines.{name}")


def rows(wanted=()):
    """(module, variant) of the rows that `wanted` names (NAME or NAME/VARIANT); all if empty."""
    found, known = [], set()
    for module in MODULES:
        e = engine(module)
        for variant in e.VARIANTS:
            known |= {e.NAME, f"{e.NAME}/{variant}"}
            if not wanted or e.NAME in wanted or f"{e.NAME}/{variant}" in wanted:
                found.append((module, variant))
    unknown = [name for name in wanted if name not in known]
    return found, unknown
