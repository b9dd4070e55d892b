#!/usr/bin/env python3
"""Makes a Hugging Face GPT-2 folder of the gpt-nano-sort model, with its reference activations.

    convert_gpt_nano_sort.py FROM TO

FROM holds gpt-nano-sort-model.json and gpt-nano-sort-t0-partials.json as bbycroft/llm-viz (MIT)
publishes them: a minGPT that sorts three letters, and what PyTorch computed on the way, in float32,
for a batch of three inputs. TO gets config.json, model.safetensors, and for each input i
reference-i.safetensors (each tensor under the name of its hook point, no batch axis) and
reference-i.json (the ids).

minGPT is GPT-2 with three differences in form: its Linear layers keep a weight as [out,in] where
GPT-2's Conv1D keeps [in,out]; its GELU is the tanh form; it has its own unembedding.
Needs nothing but Python.
"""
import array
import base64
import json
import os
import struct
import sys

LINEAR = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


class Tensor:
    """Numbers of float32 in row-major order, and their shape."""

    def __init__(self, shape, numbers):
        self.shape = list(shape)
        self.numbers = numbers
        count = 1
        for size in self.shape:
            count *= size
        if count != len(numbers):
            raise ValueError(f"{len(numbers)} numbers for shape {self.shape}")

    def __getitem__(self, i):
        """Entry i of the first axis."""
        n = len(self.numbers) // self.shape[0]
        return Tensor(self.shape[1:], self.numbers[i * n : (i + 1) * n])

    def reshape(self, *shape):
        return Tensor(shape, self.numbers)

    def swap(self):
        """The first two axes exchanged."""
        a, b = self.shape[:2]
        n = len(self.numbers) // (a * b)
        out = array.array("f")
        for j in range(b):
            for i in range(a):
                out += self.numbers[(i * b + j) * n : (i * b + j + 1) * n]
        return Tensor([b, a] + self.shape[2:], out)


def read_json(path):
    """The file's config and its tensors by name."""
    with open(path, encoding="utf-8") as file:
        entries = json.load(file)
    tensors = {}
    for name, entry in entries.items():
        if name == "config":
            continue
        if entry["dtype"] != "torch.float32":
            sys.exit(f'{path}: tensor "{name}" is {entry["dtype"]}, expected torch.float32')
        numbers = array.array("f")
        numbers.frombytes(base64.b64decode(entry["data"]))
        if sys.byteorder == "big":
            numbers.byteswap()
        tensors[name] = Tensor(entry["shape"], numbers)
    return entries["config"], tensors


def write_safetensors(path, tensors, metadata):
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in tensors.items():
        numbers = array.array("f", tensor.numbers)
        if sys.byteorder == "big":
            numbers.byteswap()
        begin = len(data)
        data += numbers.tobytes()
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def gpt2_config(config):
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "n_layer": config["n_layer"],
        "n_head": config["n_head"],
        "n_embd": config["n_embd"],
        "n_positions": config["block_size"],
        "vocab_size": config["vocab_size"],
        "layer_norm_epsilon": 1e-05,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }


def same(a, b):
    return a.numbers == b.numbers


def block_of(partials, n_layer):
    """The layer that the single activations belong to: the one whose input is x."""
    for layer in range(n_layer):
        if same(partials["mlpResid"], partials[f"block{layer}"]):
            return layer
    sys.exit("the activations belong to no layer: mlpResid is the output of none")


def references(partials, config, i):
    """The activations of input i under their hook points' names."""
    n_layer, n_head = config["n_layer"], config["n_head"]
    d_head = config["n_embd"] // n_head
    n = config["block_size"]
    at = f"blocks.{block_of(partials, n_layer)}."
    out = {
        "hook_embed": partials["tok_emb"][i],
        "hook_pos_embed": partials["pos_emb"][0],
        at + "hook_resid_pre": partials["x"][i],
        at + "ln1.hook_normalized": partials["ln1"][i],
        at + "attn.hook_q": partials["q"][i].swap(),
        at + "attn.hook_k": partials["k"][i].swap(),
        at + "attn.hook_v": partials["v"][i].swap(),
        at + "attn.hook_attn_scores": partials["att"][i],
        at + "attn.hook_pattern": partials["attSm"][i],
        at + "attn.hook_z": partials["y"][i].reshape(n, n_head, d_head),
        at + "hook_attn_out": partials["yProj"][i],
        at + "hook_resid_mid": partials["attnResid"][i],
        at + "ln2.hook_normalized": partials["ln2"][i],
        at + "mlp.hook_pre": partials["fc"][i],
        at + "mlp.hook_post": partials["gelu"][i],
        at + "hook_mlp_out": partials["mlp"][i],
    }
    for layer in range(n_layer):
        out[f"blocks.{layer}.hook_resid_post"] = partials[f"block{layer}"][i]
    out["ln_final.hook_normalized"] = partials["ln_f"][i]
    out["logits"] = partials["lm_head"][i]
    return out


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    config, weights = read_json(os.path.join(source, "gpt-nano-sort-model.json"))
    _, partials = read_json(os.path.join(source, "gpt-nano-sort-t0-partials.json"))
    for name, tensor in weights.items():
        if name.endswith(LINEAR):
            weights[name] = tensor.swap()
    os.makedirs(target, exist_ok=True)
    write_json(os.path.join(target, "config.json"), gpt2_config(config))
    made = {"made by": "convert_gpt_nano_sort.py", "from": "bbycroft/llm-viz, MIT"}
    write_safetensors(os.path.join(target, "model.safetensors"), weights, made)
    for i in range(partials["idx"].shape[0]):
        stem = os.path.join(target, f"reference-{i}")
        write_safetensors(stem + ".safetensors", references(partials, config, i), made)
        write_json(stem + ".json", {"input_ids": [int(id) for id in partials["idx"][i].numbers]})
    n = partials["idx"].shape[0]
    print(f"{target}: model.safetensors with {len(weights)} tensors, {n} references")


if __name__ == "__main__":
    main()
