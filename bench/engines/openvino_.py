"""OpenVINO: GPT-2 as a stateful graph, as its own exporters make them.

Keys and values are variables that grow by concatenation, read through a beam index, so that the
plugin fuses them with ScaledDotProductAttention. Weights in 8 and 4 bits are compressed by NNCF
(4 bits: symmetric, groups of 64, every layer). Precision is the plugin's own choice except in the
float32 row, which is held to it.
"""

import pathlib

NAME = "openvino"
INSTALL = "pip install openvino nncf"
VARIANTS = {"f32": "float32", "bf16": "16-bit", "int8": "8-bit", "int4": "4-bit"}


def missing():
    import importlib.util

    names = ("openvino", "nncf")
    return ", ".join(name for name in names if not importlib.util.find_spec(name)) or None


def version():
    from importlib.metadata import version as of

    return of("openvino")


def load():
    import openvino

    return openvino


def build(model):
    import numpy as np
    import openvino as ov
    from openvino import opset13 as op

    from engines import weights

    config, w = weights.read(model)
    d, n_head, eps = config["n_embd"], config["n_head"], config["layer_norm_epsilon"]
    d_head = d // n_head

    def constant(value, kind=np.int64):
        return op.constant(np.array(value, kind))

    def linear(x, name):
        weight = np.ascontiguousarray(w[name + ".weight"].T)
        y = op.matmul(x, op.constant(weight), False, True)
        return op.add(y, op.constant(w[name + ".bias"].reshape(1, 1, -1)))

    def norm(x, name):
        y = op.mvn(x, constant([-1]), True, eps, "INSIDE_SQRT")
        y = op.multiply(y, op.constant(w[name + ".weight"].reshape(1, 1, -1)))
        return op.add(y, op.constant(w[name + ".bias"].reshape(1, 1, -1)))

    ids = op.parameter([-1, -1], np.int64, "ids")
    positions = op.parameter([-1, -1], np.int64, "positions")
    beam = op.parameter([-1], np.int32, "beam")
    ids.output(0).set_names({"ids"})
    positions.output(0).set_names({"positions"})
    beam.output(0).set_names({"beam"})
    batch = op.gather(op.shape_of(ids), constant([0]), constant(0))
    empty_shape = op.concat([batch, constant([n_head, 0, d_head])], 0)
    sinks = []

    def cached(name, new):
        """The variable with these rows behind it."""
        empty = op.broadcast(op.constant(np.float32(0)), empty_shape)
        shape = ov.PartialShape([-1, n_head, -1, d_head])
        past = op.read_value(empty, name, ov.Type.f32, shape)
        whole = op.concat([op.gather(past, beam, constant(0)), new], 2)
        sinks.append(op.assign(whole, name))
        return whole

    # Position q sees key k when k <= q; the number of keys is the last position plus one.
    last = op.reduce_max(positions, constant([0, 1]), False)
    keys = op.range(constant(0), op.add(last, constant(1)), constant(1), "i64")
    seen = op.less_equal(
        op.unsqueeze(keys, constant([0, 1, 2])), op.unsqueeze(positions, constant([1, 3]))
    )
    mask = op.select(seen, op.constant(np.float32(0)), op.constant(np.float32(-3.4e38)))

    x = op.add(
        op.gather(op.constant(w["wte.weight"]), ids, constant(0)),
        op.gather(op.constant(w["wpe.weight"]), positions, constant(0)),
    )
    for i in range(config["n_layer"]):
        h = f"h.{i}"
        qkv = linear(norm(x, h + ".ln_1"), h + ".attn.c_attn")
        heads = []
        for part in op.split(qkv, constant(2), 3).outputs():
            part = op.reshape(part, constant([0, 0, n_head, d_head]), True)
            heads.append(op.transpose(part, constant([0, 2, 1, 3])))
        q, k, v = heads[0], cached(f"key.{i}", heads[1]), cached(f"value.{i}", heads[2])
        z = op.scaled_dot_product_attention(q, k, v, mask)
        z = op.reshape(op.transpose(z, constant([0, 2, 1, 3])), constant([0, 0, d]), True)
        x = op.add(x, linear(z, h + ".attn.c_proj"))
        y = op.gelu(linear(norm(x, h + ".ln_2"), h + ".mlp.c_fc"), "tanh")
        x = op.add(x, linear(y, h + ".mlp.c_proj"))
    x = op.gather(norm(x, "ln_f"), constant([-1]), constant(1))
    logits = op.matmul(x, op.constant(w["wte.weight"]), False, True)
    logits.output(0).set_names({"logits"})
    made = ov.Model([op.result(logits)], sinks, [ids, positions, beam], "gpt2")
    return made


def path(variant, model, work):
    kind = "f32" if variant == "bf16" else variant
    return pathlib.Path(work) / f"{pathlib.Path(model).name}-openvino-{kind}.xml"


def prepare(variant, model, work):
    out = path(variant, model, work)
    if out.exists():
        return
    import openvino as ov

    made = build(model)
    if variant in ("int8", "int4"):
        import nncf

        if variant == "int8":
            made = nncf.compress_weights(made, mode=nncf.CompressWeightsMode.INT8_SYM)
        else:
            made = nncf.compress_weights(
                made,
                mode=nncf.CompressWeightsMode.INT4_SYM,
                group_size=64,
                ratio=1.0,
                all_layers=True,
            )
    ov.save_model(made, out, compress_to_fp16=False)


class Engine:
    can_decode = True

    def __init__(self, variant, model, work, threads, n_ctx):
        import numpy as np

        self.np, ov = np, load()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": "1",
            "PERFORMANCE_HINT": "LATENCY",
        }
        if variant == "f32":
            settings |= {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
        if variant == "bf16":
            settings |= {"INFERENCE_PRECISION_HINT": "bf16"}
        self.compiled = ov.Core().compile_model(path(variant, model, work), "CPU", settings)
        self.request = self.compiled.create_infer_request()
        self.beam = np.zeros(1, np.int32)

    def evaluate(self, ids, position):
        np = self.np
        self.request.infer(
            {
                "ids": np.array([ids], np.int64),
                "positions": np.arange(position, position + len(ids), dtype=np.int64)[None],
                "beam": self.beam,
            },
            share_inputs=True,
        )
        return self.request.get_output_tensor(0).data[0, 0]

    def prefill(self, ids):
        self.request.reset_state()
        return self.evaluate(ids, 0)

    def decode(self, ids, each=None):
        self.request.reset_state()
        for i, token in enumerate(ids):
            logits = self.evaluate([token], i)
            if each:
                each(logits)
        return logits
