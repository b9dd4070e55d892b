#!/usr/bin/env python3
"""Makes a Hugging Face GPT-2 folder of a makemore transformer.

    convert_makemore.py MODEL.pt TO [N_HEAD]

MODEL.pt is what karpathy/makemore (MIT) saves: a state dict of its GPT-2-like transformer, for
instance the induction model of its pull request 8 (2 layers of 1 head, which is what N_HEAD is when
not given). Token 0 is the start, 1 to 26 are the letters a to z. The weights of makemore's Linear
layers are [out,in] where GPT-2's Conv1D keeps [in,out]; its GELU is the tanh form.

A .pt file is a zip archive of a pickle and raw numbers. Only the few classes that a state dict
needs are unpickled; anything else is refused. Needs nothing but Python.
"""
import array
import collections
import os
import pickle
import sys
import zipfile

from convert_gpt_nano_sort import LINEAR, Tensor, gpt2_config, write_json, write_safetensors


def strides_of(shape):
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return strides


def rebuild(storage, offset, shape, stride, *_):
    """torch._utils._rebuild_tensor_v2 for tensors that lie in row-major order."""
    if list(stride) != strides_of(shape):
        sys.exit(f"a tensor of shape {list(shape)} has strides {list(stride)}")
    count = 1
    for size in shape:
        count *= size
    return Tensor(shape, storage[offset : offset + count])


class Reader(pickle.Unpickler):
    CLASSES = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): rebuild,
        ("torch", "FloatStorage"): "float32",
    }

    def __init__(self, archive, pickle_name):
        super().__init__(archive.open(pickle_name))
        self.archive = archive
        self.folder = os.path.dirname(pickle_name)

    def find_class(self, module, name):
        if (module, name) not in self.CLASSES:
            sys.exit(f"the pickle asks for {module}.{name}, which a state dict does not need")
        return self.CLASSES[module, name]

    def persistent_load(self, saved):
        _, kind, key, _, count = saved
        if kind != "float32":
            sys.exit(f"storage {key} is not of float32")
        numbers = array.array("f", self.archive.read(f"{self.folder}/data/{key}"))
        if sys.byteorder == "big":
            numbers.byteswap()
        if len(numbers) != count:
            sys.exit(f"storage {key} has {len(numbers)} numbers, expected {count}")
        return numbers


def read_state(path):
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        return Reader(archive, name).load()


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    source, target = sys.argv[1:3]
    state = read_state(source)
    n_layer = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("transformer.h."))
    vocab_size, d_model = state["transformer.wte.weight"].shape
    config = {
        "n_layer": n_layer,
        "n_head": int(sys.argv[3]) if len(sys.argv) == 4 else 1,
        "n_embd": d_model,
        "vocab_size": vocab_size,
        "block_size": state["transformer.wpe.weight"].shape[0],
    }
    weights = {}
    for name, tensor in state.items():
        if name.endswith(".attn.bias"):  # the causal mask, which is no weight
            continue
        weights[name] = tensor.swap() if name.endswith(LINEAR) else tensor
    os.makedirs(target, exist_ok=True)
    write_json(os.path.join(target, "config.json"), gpt2_config(config))
    made = {"made by": "convert_makemore.py", "from": "karpathy/makemore, MIT"}
    write_safetensors(os.path.join(target, "model.safetensors"), weights, made)
    print(f"{target}: {len(weights)} tensors, {config}")


if __name__ == "__main__":
    main()
