#!/usr/bin/env python3
"""Trains a small GPT-2, such as the bundled model, from folders of text.

    pip install torch safetensors numpy
    tools/train_tales.py prepare DATA FOLDER...     texts -> tokens in the folder DATA
    tools/train_tales.py train DATA --steps 8000    tokens -> DATA/checkpoint.pt, or go on with it
    tools/train_tales.py export DATA MODEL          checkpoint -> a Hugging Face folder, BF16
    tools/train_tales.py evaluate MODEL FILE...     the loss of a model on texts it has not seen

How it trains. The matrices inside the blocks move by Muon (Jordan et al. 2024): the step is the
orthogonal polar factor of the momentum, found by five Newton-Schulz iterations. Everything else
moves by AdamW (Loshchilov & Hutter 2019). Products are BF16, the weights they change are float32.
The vocabulary is far larger than the rest of such a model, so the softmax is sampled (Bengio &
Senecal 2008; Jean et al. 2015): the true token against S tokens drawn from q, every logit less
log(S q); q mixes count^0.75 with a uniform part. One row in ten says a span of its text twice, and
one in twenty-five is nothing but random tokens that repeat; induction heads learn from those.

Training is a function of the options and the tokens alone: one seed, deterministic algorithms, and
a checkpoint that holds the weights, both optimizers, both generators and the step. On the same
machine with the same number of threads, an interrupted run that goes on gives the bits of one that
was never interrupted. Ctrl-C and SIGTERM finish the step, write the checkpoint and end.
"""

import argparse
import json
import math
import os
import pathlib
import re
import shutil
import signal
import sys
import time

import clean_book
import limn_tokenizer

try:
    import numpy as np
    import torch
    from safetensors.torch import load_file, save_file
    from torch import nn
    from torch.nn import functional
except ImportError as missing:
    sys.exit(f"train_tales: {missing}; try: pip install torch safetensors numpy")

ROOT = pathlib.Path(__file__).resolve().parent.parent
END_OF_TEXT = "<|endoftext|>"
SUFFIXES = (".txt", ".md")
HELD_OUT = ["looking-glass", "looking glass", "marvelous-land-of-oz", "marvelous land of oz"]
OFTEN = (
    r"fairy|grimm|andersen|alice|\boz\b|peter.pan|secret.garden|wind.in|jungle|just.so|anne|"
    r"sawyer|women|tale|nesbit|macdonald|aesop|potter|lofting|pinocchio|heidi|spyri|swiss|"
    r"burnett|carroll|baum|montgomery|alcott|pyle|warner"
)


class Refusal(Exception):
    """What the user can mend; printed without a traceback."""


# ---- tokens ------------------------------------------------


def find_books(folders, held_out, often):
    """(path, part) of each book once, in a fixed order; part is "held", "often" or "rest"."""
    seen, books = set(), []
    files = [
        p for folder in folders for p in pathlib.Path(folder).rglob("*") if p.suffix in SUFFIXES
    ]
    for path in sorted(files):
        stem = path.stem.lower()
        title = re.sub(r"^(the|a|an) ", "", re.sub(r"[^a-z]+", " ", stem).strip()) or stem
        if title in seen:
            continue
        seen.add(title)
        if any(word.lower() in stem for word in held_out):
            books.append((path, "held"))
        else:
            books.append((path, "often" if re.search(often, str(path), re.IGNORECASE) else "rest"))
    return books


def vocabulary_of(folder):
    """(size, id of the end of text) of the tokenizer in a folder."""
    with open(pathlib.Path(folder) / "vocab.json", encoding="utf-8") as file:
        vocabulary = json.load(file)
    if END_OF_TEXT not in vocabulary:
        raise Refusal(f"{folder}/vocab.json has no {END_OF_TEXT}")
    return max(vocabulary.values()) + 1, vocabulary[END_OF_TEXT]


def read_clean(path):
    return clean_book.clean(clean_book.decoded(pathlib.Path(path).read_bytes()))


def prepare(options):
    """Writes PART.u32 (one id after another) for the three parts, and data.json about them."""
    size, end = vocabulary_of(options.tokenizer)
    tokenizer = limn_tokenizer.Tokenizer(options.tokenizer)
    books = find_books(options.folders, options.held_out or HELD_OUT, options.often)
    if not any(part != "held" for _, part in books):
        raise Refusal(
            f"no {' or '.join(SUFFIXES)} file to train on in {', '.join(options.folders)}"
        )
    out = pathlib.Path(options.data)
    out.mkdir(parents=True, exist_ok=True)
    parts, told = {"often": [], "rest": [], "held": []}, []
    for path, part in books:
        ids = tokenizer.encode(read_clean(path)) + [end]
        parts[part].append(np.array(ids, np.uint32))
        told.append({"book": path.name, "part": part, "tokens": len(ids)})
    for part, tokens in parts.items():
        np.concatenate(tokens or [np.empty(0, np.uint32)]).tofile(out / f"{part}.u32")
        print(f"{part:6} {len(tokens):5} books {sum(map(len, tokens)):12,} tokens")
    about = {
        "vocab_size": size,
        "end_of_text": end,
        "tokenizer": str(options.tokenizer),
        "books": told,
    }
    (out / "data.json").write_text(json.dumps(about, indent=1), encoding="utf-8")


class Data:
    """The tokens that `prepare` wrote."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        if not (folder / "data.json").exists():
            raise Refusal(
                f"{folder} holds no tokens: run `train_tales.py prepare {folder} FOLDER...`"
            )
        self.about = json.loads((folder / "data.json").read_text(encoding="utf-8"))
        self.vocab_size = self.about["vocab_size"]
        self.often, self.rest, self.held = (
            torch.from_numpy(np.fromfile(folder / f"{part}.u32", np.uint32).astype(np.int64))
            for part in ("often", "rest", "held")
        )
        # Where one part is empty the other serves for both.
        self.often, self.rest = (
            self.often if len(self.often) else self.rest,
            self.rest if len(self.rest) else self.often,
        )
        both = torch.cat([self.often, self.rest])
        self.counts = torch.bincount(both, minlength=self.vocab_size).double()

    def require(self, length):
        shortest = min(len(self.often), len(self.rest))
        if shortest <= length + 1:
            raise Refusal(f"{shortest} tokens to train on are too few for a context of {length}")


def sample_rows(data, rng, share, batch, length):
    """Rows of text, some with repeats (see above), and the weight of each target."""
    used = torch.nonzero(data.counts >= data.counts.max().clamp(max=20))[:, 0]
    rows, weight = [], torch.ones(batch, length)
    for r in range(batch):
        text = data.often if rng.random() < share else data.rest
        start = int(rng.integers(0, len(text) - length - 1))
        row, kind = text[start : start + length + 1].clone(), rng.random()
        if kind < 0.04:
            n = int(rng.integers(length // 20 + 1, length // 2))
            row = used[rng.integers(0, len(used), n)].repeat(length // n + 2)[: length + 1]
            weight[r, : n - 1] = 0  # nothing could predict the first time
        elif kind < 0.14:
            n = int(rng.integers(length // 32 + 1, length * 2 // 5))
            a = int(rng.integers(0, length - 2 * n))
            b = int(rng.integers(a + n, length + 1 - n))
            row[b : b + n] = row[a : a + n].clone()
        rows.append(row)
    rows = torch.stack(rows)
    return rows[:, :-1], rows[:, 1:].reshape(-1), weight.reshape(-1)


# ---- the model ------------------------------------------------


class Block(nn.Module):
    """One layer of GPT-2: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.attn_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.mlp_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def attention(self, x):
        batch, length, width = x.shape
        packed = self.c_attn(x).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4)
        scores = (query @ key.transpose(-1, -2)).float() * (width // self.heads) ** -0.5
        future = torch.ones(length, length, dtype=torch.bool).triu(1)
        pattern = scores.masked_fill(future, -math.inf).softmax(-1).to(value.dtype)
        mixed = (pattern @ value).transpose(1, 2).reshape(batch, length, width)
        return self.attn_proj(mixed)

    def forward(self, x):
        x = x + self.attention(self.ln_1(x))
        return x + self.mlp_proj(functional.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, vocab_size, width, layers, heads, context):
        super().__init__()
        self.wte = nn.Parameter(0.02 * torch.randn(vocab_size, width))
        self.wpe = nn.Parameter(0.01 * torch.randn(context, width))
        self.h = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        for name, p in self.h.named_parameters():
            if p.dim() == 2:  # those that write to the residual stream start smaller
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * layers) if "proj" in name else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, ids):
        """The final norm's output; its product with wte transposed is the logits."""
        x = functional.embedding(ids, self.wte) + self.wpe[: ids.shape[-1]]
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


# Ours, and the published files' name of the same; their matrices are stored [in, out].
NAMES = {
    "ln_1": "ln_1",
    "ln_2": "ln_2",
    "c_attn": "attn.c_attn",
    "attn_proj": "attn.c_proj",
    "c_fc": "mlp.c_fc",
    "mlp_proj": "mlp.c_proj",
}


def published_names(layers):
    """(our name, theirs, transposed) of every tensor."""
    yield "wte", "transformer.wte.weight", False
    yield "wpe", "transformer.wpe.weight", False
    for kind in ("weight", "bias"):
        yield f"ln_f.{kind}", f"transformer.ln_f.{kind}", False
        for i in range(layers):
            for ours, theirs in NAMES.items():
                matrix = kind == "weight" and not ours.startswith("ln")
                yield f"h.{i}.{ours}.{kind}", f"transformer.h.{i}.{theirs}.{kind}", matrix


# ---- losses ------------------------------------------------


class SampledSoftmax:
    """Cross entropy against a draw of the vocabulary; with no negatives, against all of it."""

    def __init__(self, counts):
        smooth = counts**0.75
        q = 0.8 * smooth / smooth.sum() + 0.2 / len(counts)
        self.log_q, self.cumulative = (q / q.sum()).log().float(), (q / q.sum()).cumsum(0)

    def __call__(self, features, table, target, weight, negatives):
        if not negatives:
            losses = functional.cross_entropy(
                (features @ table.t()).float(), target, reduction="none"
            )
            return (losses * weight).sum() / weight.sum()
        draws = torch.rand(negatives, dtype=torch.float64)
        drawn = torch.searchsorted(self.cumulative, draws).clamp_(max=len(self.log_q) - 1)
        scale = math.log(negatives)
        others = (features @ table[drawn].t()).float() - (self.log_q[drawn] + scale)
        others = others.masked_fill(target[:, None] == drawn[None, :], -math.inf)
        right = (features * table[target]).sum(-1).float() - (self.log_q[target] + scale)
        losses = torch.logaddexp(torch.logsumexp(others, -1), right) - right
        return (losses * weight).sum() / weight.sum()


@torch.no_grad()
def window_losses(model, ids, window):
    """The loss of each token that follows one of a whole window, windows from an empty context."""
    losses = []
    for start in range(0, len(ids) - window, window):
        logits = model(ids[None, start : start + window])[0] @ model.wte.t()
        target = ids[start + 1 : start + window + 1]
        losses.append(functional.cross_entropy(logits, target, reduction="none").double())
    return torch.cat(losses) if losses else torch.empty(0, dtype=torch.float64)


# ---- optimizers ------------------------------------------------


def polar_factor(matrix):
    """U V' of the singular value decomposition, roughly: five steps of Newton-Schulz."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.t() if tall else x
    for _ in range(5):
        gram = x @ x.t()
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.t() if tall else x


class Muon:
    """Steps along the polar factor of a Nesterov momentum; packed q, k, v are three."""

    def __init__(self, named, rate=0.02, momentum=0.95, decay=0.001):
        self.named, self.rate, self.momentum, self.decay = named, rate, momentum, decay
        self.buffers = [torch.zeros_like(p) for _, p in named]

    @torch.no_grad()
    def step(self, factor):
        for (name, p), buffer in zip(self.named, self.buffers):
            buffer.lerp_(p.grad, 1 - self.momentum)
            update = p.grad.lerp(buffer, self.momentum)
            parts = update.chunk(3) if "c_attn" in name else [update]
            tallness = max(1, parts[0].shape[0] / parts[0].shape[1]) ** 0.5
            p.mul_(1 - self.decay * factor)
            p.add_(
                torch.cat([polar_factor(x) for x in parts]), alpha=-self.rate * factor * tallness
            )


class Optimizers:
    def __init__(self, model):
        self.muon = Muon([(n, p) for n, p in model.h.named_parameters() if p.dim() == 2])
        vectors = [p for p in model.h.parameters() if p.dim() < 2] + list(model.ln_f.parameters())
        groups = [([model.wte], 4e-3), ([model.wpe], 2e-3), (vectors, 2e-3)]
        self.rates = [rate for _, rate in groups]
        self.adam = torch.optim.AdamW(
            [{"params": p, "lr": r} for p, r in groups],
            betas=(0.9, 0.98),
            eps=1e-10,
            weight_decay=0.0,
        )

    def step(self, factor):
        for group, rate in zip(self.adam.param_groups, self.rates):
            group["lr"] = rate * factor
        self.adam.step()
        self.muon.step(factor)

    def state(self):
        return {"adam": self.adam.state_dict(), "muon": self.muon.buffers}

    def restore(self, state):
        self.adam.load_state_dict(state["adam"])
        for buffer, saved in zip(self.muon.buffers, state["muon"]):
            buffer.copy_(saved)


# ---- training ------------------------------------------------


def schedule(step, options):
    """(factor of the rates, batches, negatives, share of `often`) at a step."""
    done = step / options.steps
    late = (done - 0.35) / 0.65
    factor = 1.0 if late < 0 else 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * late))
    factor *= min(1.0, step / options.warmup) if options.warmup else 1.0
    batches = 2 if done < 0.3 else 4
    negatives = options.negatives if done < 0.85 else options.negatives * 8 // 3
    return factor, batches, negatives, 0.15 + 0.40 * max(0.0, done - 0.6) / 0.4


# What the numbers of a run depend on; a checkpoint goes on only under the same.
SETTINGS = (
    "seed",
    "steps",
    "warmup",
    "width",
    "layers",
    "heads",
    "context",
    "batch",
    "negatives",
    "precision",
    "threads",
)


class Run:
    """A training run that can be put down and taken up."""

    def __init__(self, options):
        torch.set_num_threads(options.threads)
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.manual_seed(options.seed)
        self.options, self.rng = options, np.random.default_rng(options.seed)
        self.path = pathlib.Path(options.data) / "checkpoint.pt"
        self.data = Data(options.data)
        self.data.require(options.context)
        self.model = Gpt2(
            self.data.vocab_size, options.width, options.layers, options.heads, options.context
        )
        self.forward = torch.compile(self.model) if options.compile else self.model
        self.optimizers, self.softmax = Optimizers(self.model), SampledSoftmax(self.data.counts)
        self.step, self.tokens, self.mean = 0, 0, None
        self.settings = {name: getattr(options, name) for name in SETTINGS}
        self.settings["data"] = [len(self.data.often), len(self.data.rest), self.data.vocab_size]

    def save(self):
        """Beside the old checkpoint, then in its place: there is always a whole one."""
        state = {
            "settings": self.settings,
            "step": self.step,
            "tokens": self.tokens,
            "mean": self.mean,
            "model": self.model.state_dict(),
            "optimizers": self.optimizers.state(),
            "torch": torch.get_rng_state(),
            "numpy": json.dumps(self.rng.bit_generator.state),
        }
        beside = self.path.with_suffix(".new")
        torch.save(state, beside)
        os.replace(beside, self.path)

    def restore(self):
        state = torch.load(self.path, weights_only=True)
        for name, value in self.settings.items():
            if state["settings"].get(name) != value:
                raise Refusal(
                    f"{self.path} was made with {name} {state['settings'].get(name)}, not "
                    f"{value}: give the same, or --fresh to begin again"
                )
        self.model.load_state_dict(state["model"])
        self.optimizers.restore(state["optimizers"])
        self.step, self.tokens, self.mean = state["step"], state["tokens"], state["mean"]
        torch.set_rng_state(state["torch"])
        self.rng.bit_generator.state = json.loads(state["numpy"])

    def loss(self, share, negatives):
        options, half = self.options, self.options.precision == "bf16"
        ids, target, weight = sample_rows(
            self.data, self.rng, share, options.batch, options.context
        )
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            kind = torch.bfloat16 if half else torch.float32
            features = self.forward(ids).reshape(-1, options.width).to(kind)
            return self.softmax(features, self.model.wte.to(kind), target, weight, negatives)

    def advance(self):
        factor, batches, negatives, share = schedule(self.step, self.options)
        total = 0.0
        for _ in range(batches):
            loss = self.loss(share, negatives) / batches
            loss.backward()
            total += loss.item()
        if not math.isfinite(total):
            raise Refusal(f"the loss of step {self.step} is {total}; nothing of it was kept")
        self.optimizers.step(factor)
        self.model.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += batches * self.options.batch * self.options.context
        self.mean = total if self.mean is None else 0.98 * self.mean + 0.02 * total

    def held_out(self, windows):
        """The mean loss over windows spread over the held-out books; None without them."""
        n = self.options.context
        every = max(1, (len(self.data.held) - 1) // n // windows) * n
        starts = range(0, len(self.data.held) - n, every)
        losses = [window_losses(self.model, self.data.held[i : i + n + 1], n) for i in starts]
        return torch.cat(losses).mean().item() if losses else None

    def report(self, began, windows=0):
        text = f"step {self.step}  {self.tokens / 1e6:.1f} M tokens  loss {self.mean:.3f}"
        held = self.held_out(windows) if windows else None
        text += f"  held out {held:.4f}" if held is not None else ""
        print(f"{text}  {time.monotonic() - began:.0f} s", flush=True)


def watch_signals():
    """A list that is empty until somebody asks the program to end."""
    asked = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda got, _: asked.append(got))
    return asked


def train(options):
    if options.context < 8:
        raise Refusal("a context of fewer than 8 tokens is too short to learn from")
    if options.width % options.heads:
        raise Refusal(f"a width of {options.width} cannot be shared by {options.heads} heads")
    run, asked, began = Run(options), watch_signals(), time.monotonic()
    if run.path.exists() and not options.fresh:
        run.restore()
        print(f"going on from step {run.step} of {run.path}", flush=True)
    last = min(options.steps, options.until or options.steps)
    while run.step < last and not asked:
        run.advance()
        if run.step % options.report_every == 0:
            run.report(began)
        if run.step % options.save_every == 0 and run.step < last:
            run.report(began, 24)
            run.save()
    run.save()
    if run.mean is not None:
        run.report(began, 96)
    if asked:
        sys.exit(128 + asked[0])


# ---- the model's folder ------------------------------------------------


def export(options):
    path, out = pathlib.Path(options.data) / "checkpoint.pt", pathlib.Path(options.model)
    if not path.exists():
        raise Refusal(f"{path} is not there: run `train_tales.py train {options.data}`")
    state, about = torch.load(path, weights_only=True), Data(options.data).about
    settings, kind = (
        state["settings"],
        {"bf16": torch.bfloat16, "f32": torch.float32}[options.dtype],
    )
    tensors = {}
    for ours, theirs, matrix in published_names(settings["layers"]):
        value = state["model"][ours]
        tensors[theirs] = (value.t() if matrix else value).to(kind).contiguous()
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "n_layer": settings["layers"],
        "n_head": settings["heads"],
        "n_embd": settings["width"],
        "n_inner": None,
        "n_ctx": settings["context"],
        "n_positions": settings["context"],
        "vocab_size": about["vocab_size"],
        "layer_norm_epsilon": 1e-5,
        "bos_token_id": about["end_of_text"],
        "eos_token_id": about["end_of_text"],
        "tie_word_embeddings": True,
        "torch_dtype": {"bf16": "bfloat16", "f32": "float32"}[options.dtype],
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(pathlib.Path(about["tokenizer"]) / name, out / name)
    count = sum(t.numel() for t in tensors.values())
    print(f"{out}: {count:,} parameters after {state['step']} steps")


def open_model(folder):
    """The model of a Hugging Face GPT-2 folder with tied embeddings, in float32."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    stored = load_file(folder / "model.safetensors")
    model = Gpt2(
        config["vocab_size"],
        config["n_embd"],
        config["n_layer"],
        config["n_head"],
        config["n_positions"],
    )
    state = {}
    for ours, theirs, matrix in published_names(config["n_layer"]):
        value = stored.get(theirs, stored.get(theirs.removeprefix("transformer.")))
        if value is None:
            raise Refusal(f"{folder}/model.safetensors has no tensor {theirs}")
        state[ours] = (value.t() if matrix else value).float()
    model.load_state_dict(state)
    return model, config["n_positions"]


def evaluate(options):
    """As the card has it: cleaned, the end-of-text token behind it, whole windows only."""
    torch.set_num_threads(options.threads)
    model, context = open_model(options.model)
    tokenizer, (_, end) = limn_tokenizer.Tokenizer(options.model), vocabulary_of(options.model)
    window = options.window or context
    if window > context:
        raise Refusal(f"a window of {window} is beyond the model's {context} positions")
    for path in options.files:
        text = (
            clean_book.decoded(pathlib.Path(path).read_bytes())
            if options.as_is
            else read_clean(path)
        )
        losses = window_losses(model, torch.tensor(tokenizer.encode(text) + [end]), window)
        if not len(losses):
            raise Refusal(f"{path} is shorter than one window of {window} tokens")
        print(f"{path}: {len(losses)} tokens, loss {losses.mean().item():.4f}")


# ---- the command line ------------------------------------------------


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def add_prepare(commands):
    p = commands.add_parser("prepare", help="turn texts into tokens")
    p.add_argument("data", help="folder to write the tokens to")
    p.add_argument("folders", nargs="+", help="folders with .txt and .md files, searched whole")
    p.add_argument(
        "--tokenizer",
        default=ROOT / "models/tales",
        help="folder with vocab.json and merges.txt (default: the bundled model's)",
    )
    p.add_argument(
        "--held-out",
        action="append",
        metavar="WORDS",
        help="a file with this in its name is not trained on; may be repeated "
        "(default: the two books of the bundled model's card)",
    )
    p.add_argument(
        "--often",
        default=OFTEN,
        metavar="REGEX",
        help="files that are drawn more often, most of all late in the run "
        "(default: fairy tales and children's books)",
    )
    p.set_defaults(function=prepare)


def add_train(commands):
    p = commands.add_parser("train", help="train, or go on training")
    p.add_argument("data", help="folder of `prepare`; the checkpoint lies there too")
    for name, value, text in (
        ("steps", 8000, "steps of the whole schedule"),
        ("width", 128, "d_model"),
        ("layers", 6, "layers"),
        ("heads", 4, "heads"),
        ("context", 256, "context window"),
        ("batch", 16, "rows in a batch; a step takes 2 batches, later 4"),
        ("threads", 2, "threads"),
        ("save-every", 500, "steps between checkpoints"),
        ("report-every", 50, "steps between reports"),
    ):
        p.add_argument(f"--{name}", type=positive, default=value, help=f"{text} (default {value})")
    p.add_argument("--seed", type=int, default=1, help="seed of everything (default 1)")
    p.add_argument("--warmup", type=int, default=200, help="steps of rising rate (default 200)")
    p.add_argument(
        "--negatives",
        type=int,
        default=3072,
        help="tokens the softmax is sampled with; 0: the whole vocabulary (default 3072)",
    )
    p.add_argument(
        "--precision",
        choices=("bf16", "f32"),
        default="bf16",
        help="of the products (default bf16)",
    )
    p.add_argument("--compile", action="store_true", help="torch.compile; needs a C++ compiler")
    p.add_argument("--until", type=positive, help="put the run down at this step")
    p.add_argument("--fresh", action="store_true", help="begin again, whatever checkpoint is there")
    p.set_defaults(function=train)


def add_export(commands):
    p = commands.add_parser("export", help="write a model folder in the Hugging Face layout")
    p.add_argument("data", help="folder of `train`")
    p.add_argument("model", help="folder to write")
    p.add_argument("--dtype", choices=("bf16", "f32"), default="bf16", help="(default bf16)")
    p.set_defaults(function=export)


def add_evaluate(commands):
    p = commands.add_parser("evaluate", help="loss on texts, over windows from an empty context")
    p.add_argument("model", help="model folder with its tokenizer")
    p.add_argument("files", nargs="+", help="texts")
    p.add_argument("--window", type=positive, help="tokens in a window (default: the model's)")
    p.add_argument("--as-is", action="store_true", help="do not clean the texts first")
    p.add_argument("--threads", type=positive, default=2, help="(default 2)")
    p.set_defaults(function=evaluate)


def main():
    parser = argparse.ArgumentParser(
        prog="train_tales.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (add_prepare, add_train, add_export, add_evaluate):
        add(commands)
    options = parser.parse_args()
    try:
        options.function(options)
    except Refusal as refusal:
        sys.exit(f"train_tales: {refusal}")
    except (OSError, ValueError) as error:
        sys.exit(f"train_tales: {error}")


if __name__ == "__main__":
    main()
