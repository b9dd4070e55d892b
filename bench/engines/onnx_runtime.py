"""ONNX Runtime: GPT-2 as a graph of its fastest operators for the processor.

GroupQueryAttention takes the packed queries, keys and values and writes into a cache that is bound
once for input and output; the last position alone goes through the unembedding. int8 is its dynamic
quantization (MatMulInteger, weights per channel), 4-bit its MatMulNBits with blocks of 32 and 8-bit
arithmetic.
"""

import pathlib

NAME = "onnxruntime"
INSTALL = "pip install onnx onnx_ir onnxruntime"
VARIANTS = {"f32": "float32", "int8": "8-bit", "w8": "8-bit", "w4": "4-bit"}


def missing():
    import importlib.util

    names = ("onnx", "onnx_ir", "onnxruntime")
    return ", ".join(name for name in names if not importlib.util.find_spec(name)) or None


def version():
    from importlib.metadata import version as of

    return of("onnxruntime")


def load():
    import onnxruntime

    return onnxruntime


# ---- the graph -----------------------------------------------------------------------------------


class Graph:
    def __init__(self):
        import onnx
        from onnx import helper, numpy_helper

        self.onnx, self.helper, self.numpy_helper = onnx, helper, numpy_helper
        self.nodes, self.weights = [], []

    def add(self, kind, inputs, n_outputs=1, domain="", **attributes):
        """A node; the names of its outputs."""
        outputs = [f"{kind}_{len(self.nodes)}_{i}" for i in range(n_outputs)]
        self.nodes.append(self.helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0] if n_outputs == 1 else outputs

    def weight(self, name, array):
        import numpy as np

        self.weights.append(self.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def build(model):
    import numpy as np

    from engines import weights

    config, w = weights.read(model)
    d, n_head, eps = config["n_embd"], config["n_head"], config["layer_norm_epsilon"]
    g = Graph()
    types = g.onnx.TensorProto
    inputs = [
        g.helper.make_tensor_value_info("ids", types.INT64, [1, "n"]),
        g.helper.make_tensor_value_info("positions", types.INT64, [1, "n"]),
        g.helper.make_tensor_value_info("last", types.INT32, [1]),
        g.helper.make_tensor_value_info("total", types.INT32, []),
    ]
    outputs = [g.helper.make_tensor_value_info("logits", types.FLOAT, [1, config["vocab_size"]])]

    def linear(x, name):
        y = g.add("MatMul", [x, g.weight(name + ".weight", w[name + ".weight"])])
        return g.add("Add", [y, g.weight(name + ".bias", w[name + ".bias"])])

    def norm(x, name):
        names = [g.weight(name + part, w[name + part]) for part in (".weight", ".bias")]
        return g.add("LayerNormalization", [x, *names], axis=-1, epsilon=eps)

    def attend(i, qkv):
        shape = [1, n_head, "room", d // n_head]
        past = []
        for part in ("key", "value"):
            past.append(f"past_{part}_{i}")
            inputs.append(g.helper.make_tensor_value_info(past[-1], types.FLOAT, shape))
            outputs.append(g.helper.make_tensor_value_info(f"new_{part}_{i}", types.FLOAT, shape))
        g.nodes.append(
            g.helper.make_node(
                "GroupQueryAttention",
                [qkv, "", "", *past, "last", "total"],
                [f"z_{i}", f"new_key_{i}", f"new_value_{i}"],
                domain="com.microsoft",
                num_heads=n_head,
                kv_num_heads=n_head,
            )
        )
        return f"z_{i}"

    wte = g.weight("wte.weight", w["wte.weight"])
    x = g.add("Gather", [wte, "ids"])
    x = g.add("Add", [x, g.add("Gather", [g.weight("wpe.weight", w["wpe.weight"]), "positions"])])
    for i in range(config["n_layer"]):
        h = f"h.{i}"
        z = attend(i, linear(norm(x, h + ".ln_1"), h + ".attn.c_attn"))
        x = g.add("Add", [x, linear(z, h + ".attn.c_proj")])
        y = linear(norm(x, h + ".ln_2"), h + ".mlp.c_fc")
        y = g.add("Gelu", [y], approximate="tanh")
        x = g.add("Add", [x, linear(y, h + ".mlp.c_proj")])
    x = g.add("Gather", [x, g.weight("last_row", np.array([-1], np.int64))], axis=1)
    x = g.add("Squeeze", [x, g.weight("axis", np.array([1], np.int64))])
    head = g.weight("head.weight", w["wte.weight"].T)
    g.nodes.append(g.helper.make_node("MatMul", [norm(x, "ln_f"), head], ["logits"]))
    graph = g.helper.make_graph(g.nodes, "gpt2", inputs, outputs, g.weights)
    opsets = [g.helper.make_opsetid("", 21), g.helper.make_opsetid("com.microsoft", 1)]
    return g.helper.make_model(graph, opset_imports=opsets, ir_version=10)


# ---- its files -----------------------------------------------------------------------------------


def path(variant, model, work):
    return pathlib.Path(work) / f"{pathlib.Path(model).name}-onnx-{variant}" / "model.onnx"


def save(model, out):
    import onnx

    out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(
        model, out, save_as_external_data=True, location="model.data", convert_attribute=False
    )


def prepare(variant, model, work):
    out = path(variant, model, work)
    if out.exists():
        return
    if variant == "f32":
        save(build(model), out)
        return
    prepare("f32", model, work)
    source = path("f32", model, work)
    if variant == "int8":
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        out.parent.mkdir(parents=True, exist_ok=True)
        quantize_dynamic(
            source,
            out,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        return
    from onnxruntime.quantization import matmul_nbits_quantizer as nbits

    import onnx

    quantizer = nbits.MatMulNBitsQuantizer(
        onnx.load(source), bits=int(variant[1:]), block_size=32, is_symmetric=True, accuracy_level=4
    )
    quantizer.process()
    save(quantizer.model.model, out)


class Engine:
    can_decode = True

    def __init__(self, variant, model, work, threads, n_ctx):
        import numpy as np

        ort = load()
        self.np, self.ort = np, ort
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(
            str(path(variant, model, work)), options, providers=["CPUExecutionProvider"]
        )
        self.binding = self.session.io_binding()
        self.kept = []
        for value in self.session.get_inputs():
            if value.name.startswith("past_"):
                shape = [n_ctx if size == "room" else size for size in value.shape]
                cache = ort.OrtValue.ortvalue_from_numpy(np.zeros(shape, np.float32))
                self.kept.append(cache)
                self.binding.bind_ortvalue_input(value.name, cache)
                self.binding.bind_ortvalue_output(value.name.replace("past", "new"), cache)
        vocab_size = self.session.get_outputs()[0].shape[1]
        self.logits = np.zeros((1, vocab_size), np.float32)
        self.bound = ort.OrtValue.ortvalue_from_numpy(self.logits)
        self.binding.bind_ortvalue_output("logits", self.bound)

    def evaluate(self, ids, position):
        np, total = self.np, position + len(ids)
        for name, value in (
            ("ids", np.array([ids], np.int64)),
            ("positions", np.arange(position, total, dtype=np.int64)[None]),
            ("last", np.array([total - 1], np.int32)),
            ("total", np.array(total, np.int32)),
        ):
            self.binding.bind_cpu_input(name, value)
        self.session.run_with_iobinding(self.binding)
        return self.bound.numpy()[0]

    def prefill(self, ids):
        return self.evaluate(ids, 0)

    def decode(self, ids, each=None):
        for i, token in enumerate(ids):
            logits = self.evaluate([token], i)
            if each:
                each(logits)
        return logits
