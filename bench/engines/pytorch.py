"""PyTorch: GPT-2 as a plain module with scaled_dot_product_attention and a cache of its own size.

Written for speed, so that PyTorch is seen at its best: linear layers hold transposed weights, the
cache is in place, only the last position goes through the unembedding. Compiled, the graph is
frozen (weights are packed as constants) and has static shapes: one for the prefill, one for a
decoding step, whose position is a tensor. "max-autotune" is torch.compile's mode of that name: it
times its own C++ kernels for each product of matrices beside the library's, and takes the fastest.
"""

NAME = "pytorch"
INSTALL = "pip install torch"
VARIANTS = {
    "f32": "float32",
    "f32-compiled": "float32",
    "f32-max-autotune": "float32",
    "bf16": "16-bit",
    "bf16-compiled": "16-bit",
    "bf16-max-autotune": "16-bit",
    "int8-dynamic": "8-bit",
}


def missing():
    import importlib.util

    return None if importlib.util.find_spec("torch") else "torch"


def load():
    import torch

    return torch


def version():
    from importlib.metadata import version as of

    return of("torch")


def prepare(variant, model, work):
    pass


def build(model, n_ctx):
    """The module, in float32."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    from engines import weights

    config, w = weights.read(model)
    d, n_head, eps = config["n_embd"], config["n_head"], config["layer_norm_epsilon"]

    def linear(name):
        weight = torch.from_numpy(w.pop(name + ".weight")).t().contiguous()
        layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
        layer.weight = nn.Parameter(weight, requires_grad=False)
        layer.bias = nn.Parameter(torch.from_numpy(w.pop(name + ".bias")), requires_grad=False)
        return layer

    def norm(name):
        layer = nn.LayerNorm(d, eps)
        layer.weight.data = torch.from_numpy(w.pop(name + ".weight"))
        layer.bias.data = torch.from_numpy(w.pop(name + ".bias"))
        return layer

    class Block(nn.Module):
        def __init__(self, i):
            super().__init__()
            h = f"h.{i}"
            self.ln1, self.ln2 = norm(h + ".ln_1"), norm(h + ".ln_2")
            self.qkv, self.out = linear(h + ".attn.c_attn"), linear(h + ".attn.c_proj")
            self.mlp_in, self.mlp_out = linear(h + ".mlp.c_fc"), linear(h + ".mlp.c_proj")
            for name in ("k", "v"):
                self.register_buffer(name, torch.zeros(1, n_head, n_ctx, d // n_head))

        def forward(self, x, at, seen, mask):
            q, k, v = self.qkv(self.ln1(x)).split(d, -1)
            q, k, v = (t.view(1, -1, n_head, d // n_head).transpose(1, 2) for t in (q, k, v))
            self.k.index_copy_(2, at, k)
            self.v.index_copy_(2, at, v)
            if mask is None and seen == q.shape[2]:  # the whole text: its own keys and values
                z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                keys, values = self.k[:, :, :seen], self.v[:, :, :seen]
                z = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
            x = x + self.out(z.transpose(1, 2).reshape(1, -1, d))
            return x + self.mlp_out(F.gelu(self.mlp_in(self.ln2(x)), approximate="tanh"))

    class GPT2(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte = nn.Parameter(torch.from_numpy(w["wte.weight"]), requires_grad=False)
            self.wpe = nn.Parameter(torch.from_numpy(w["wpe.weight"]), requires_grad=False)
            self.blocks = nn.ModuleList(Block(i) for i in range(config["n_layer"]))
            self.ln_f = norm("ln_f")
            self.head = nn.Linear(d, len(w["wte.weight"]), bias=False, device="meta")
            self.head.weight = self.wte

        def forward(self, ids, at, seen, mask=None):
            x = self.wte[ids] + self.wpe[at]
            for block in self.blocks:
                x = block(x, at, seen, mask)
            return self.head(self.ln_f(x[:, -1]))

    return GPT2().eval()


class Engine:
    can_decode = True

    def __init__(self, variant, model, work, threads, n_ctx):
        import torch

        self.torch = torch
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.n_decode = 128
        self.is_compiled = variant.endswith(("compiled", "max-autotune"))
        self.model = build(model, n_ctx)
        if variant.startswith("bf16"):
            self.model = self.model.to(torch.bfloat16)
        if variant == "int8-dynamic":
            from torch.ao.quantization import quantize_dynamic

            self.model = quantize_dynamic(self.model, {torch.nn.Linear}, dtype=torch.qint8)
        self.run = self.model
        if self.is_compiled:
            self.compile(torch, "max-autotune" if variant.endswith("autotune") else "default")

    def compile(self, torch, mode):
        import torch._inductor.config as inductor

        inductor.freezing = True
        self.run = torch.compile(self.model, mode=mode, dynamic=False)

    def prefill(self, ids):
        torch = self.torch
        at = torch.arange(len(ids))
        return self.run(torch.tensor([ids]), at, len(ids))[0].float().numpy()

    def decode(self, ids, each=None):
        torch = self.torch
        limit = max(self.n_decode, len(ids))
        positions = torch.arange(limit)
        for i, token in enumerate(ids):
            at = torch.tensor([i])
            if self.is_compiled:  # one graph for every step: it attends to the whole cache, masked
                mask = (positions <= i)[None, None, None]
                logits = self.run(torch.tensor([[token]]), at, limit, mask)
            else:
                logits = self.run(torch.tensor([[token]]), at, i + 1)
            if each:
                each(logits[0].float().numpy())
        return logits[0].float().numpy()
