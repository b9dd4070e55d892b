#!/usr/bin/env python3
"""Writes a GPT-2 folder as a GGUF file, for llama.cpp and what builds on it.

    tools/make_gguf.py FOLDER -o FILE                  as float32
    tools/make_gguf.py FOLDER -o FILE --dtype q8_0     bf16, f16, q8_0, q4_0

Every matrix takes the one number format that is asked for, the token embedding too, which is also
the unembedding (--untied writes it a second time for that, for readers that want a tensor of that
name); vectors and the position embedding stay float32, as llama.cpp wants them. A matrix
whose rows are no multiple of a block of 32 stays float32 as well. The tokenizer comes from
vocab.json and merges.txt where the folder has them. Needs the packages numpy and gguf.
"""

import argparse
import json
import pathlib
import struct
import sys

try:
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFEndian, GGUFWriter, LlamaFileType, TokenType
    from gguf.quants import quantize
except ImportError as error:
    sys.exit(f"make_gguf: the package {error.name} is missing; try: pip install numpy gguf")

DTYPES = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "bf16": (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    "q4_0": (GGMLQuantizationType.Q4_0, LlamaFileType.MOSTLY_Q4_0),
}
BLOCK = 32
PARTS = {
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


class Folder:
    """The tensors of model.safetensors, read one at a time."""

    def __init__(self, path):
        self.config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        self.data = np.memmap(path / "model.safetensors", np.uint8, "r")
        (size,) = struct.unpack("<Q", bytes(self.data[:8]))
        header = json.loads(bytes(self.data[8 : 8 + size]))
        header.pop("__metadata__", None)
        self.start = 8 + size
        self.entries = {name.removeprefix("transformer."): e for name, e in header.items()}

    def read(self, name):
        entry = self.entries[name]
        begin, end = entry["data_offsets"]
        raw = self.data[self.start + begin : self.start + end]
        if entry["dtype"] == "BF16":
            found = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            found = raw.view({"F32": "<f4", "F16": "<f2"}[entry["dtype"]]).astype(np.float32)
        return found.reshape(entry["shape"])


def listed(folder, is_untied):
    """(name in GGUF, name in the folder, to be transposed) of each tensor."""
    yield "token_embd.weight", "wte.weight", False
    yield "position_embd.weight", "wpe.weight", False
    for i in range(folder.config["n_layer"]):
        for source, target in PARTS.items():
            for part in ("weight", "bias"):
                is_matrix = part == "weight" and not source.startswith("ln_")
                yield f"blk.{i}.{target}.{part}", f"h.{i}.{source}.{part}", is_matrix
    for part in ("weight", "bias"):
        yield f"output_norm.{part}", f"ln_f.{part}", False
    if "lm_head.weight" in folder.entries:
        yield "output.weight", "lm_head.weight", False
    elif is_untied:
        yield "output.weight", "wte.weight", False


def stored_as(name, array, dtype):
    """The number format of one tensor."""
    is_matrix = array.ndim == 2 and name != "position_embd.weight"
    is_blocked = dtype in (GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_0)
    if not is_matrix or (is_blocked and array.shape[1] % BLOCK):
        return GGMLQuantizationType.F32
    return dtype


def encoded(folder, name, source, is_transposed, dtype):
    """Its bytes, the shape of the array that holds them, and their format."""
    array = folder.read(source)
    array = np.ascontiguousarray(array.T if is_transposed else array)
    kind = stored_as(name, array, dtype)
    if kind == GGMLQuantizationType.F32:
        return array, array.shape, kind
    if kind == GGMLQuantizationType.F16:
        return array.astype(np.float16), array.shape, kind
    return quantize(array, kind), array.shape, kind


def add_configuration(writer, folder, name, file_type):
    c = folder.config
    writer.add_name(name)
    writer.add_block_count(c["n_layer"])
    writer.add_context_length(c["n_positions"])
    writer.add_embedding_length(c["n_embd"])
    writer.add_feed_forward_length(c.get("n_inner") or 4 * c["n_embd"])
    writer.add_head_count(c["n_head"])
    writer.add_layer_norm_eps(c["layer_norm_epsilon"])
    writer.add_file_type(file_type)


def add_tokenizer(writer, path, config):
    """From the folder's files; where they are missing a placeholder of the same size."""
    size = config["vocab_size"]
    words, merges = [f"[{i}]" for i in range(size)], []
    if (path / "vocab.json").exists() and (path / "merges.txt").exists():
        for word, i in json.loads((path / "vocab.json").read_text(encoding="utf-8")).items():
            words[i] = word
        lines = (path / "merges.txt").read_text(encoding="utf-8").splitlines()
        merges = [line for line in lines if line and not line.startswith("#version")]
    end = config.get("eos_token_id", size - 1)
    end = (end or [size - 1])[0] if isinstance(end, list) else end
    kinds = [TokenType.CONTROL if i == end else TokenType.NORMAL for i in range(size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges or ["[ 0"])
    writer.add_bos_token_id(config.get("bos_token_id", end))
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)


def write(path, out, dtype="f32", is_untied=False):
    """Two passes over the tensors, so that memory holds one only: sizes, then bytes."""
    folder = Folder(path)
    kind, file_type = DTYPES[dtype]
    writer = GGUFWriter(out, "gpt2", endianess=GGUFEndian.LITTLE)
    add_configuration(writer, folder, path.name, file_type)
    add_tokenizer(writer, path, folder.config)
    for name, source, is_transposed in listed(folder, is_untied):
        data, shape, stored = encoded(folder, name, source, is_transposed, kind)
        writer.add_tensor_info(name, data.shape, data.dtype, data.nbytes, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, source, is_transposed in listed(folder, is_untied):
        writer.write_tensor_data(encoded(folder, name, source, is_transposed, kind)[0])
    writer.close()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path, help="with config.json, model.safetensors")
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True, help="file to write")
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="(default f32)")
    parser.add_argument("--untied", action="store_true", help="the unembedding as well")
    options = parser.parse_args()
    try:
        write(options.folder, options.output, options.dtype, options.untied)
    except (OSError, KeyError) as error:
        options.output.unlink(missing_ok=True)
        sys.exit(f"make_gguf: {error}")
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
