#!/usr/bin/env python3
"""Compares `limn eval` with Hugging Face Transformers on the bundled model.

The text is tokenized by both; each window's log-probabilities are computed by Transformers in
float64 from the same weights, and compared token by token, with windows that each start from an
empty context and with overlapping ones. The default text is the project's own documents.
"""

import json
import pathlib
import tempfile

import peers  # first: it sets what the packages below read
import numpy as np
import torch
import transformers
from transformers import AutoTokenizer, GPT2LMHeadModel

# A log-probability is a difference of numbers of the size of 20 in float32: 20 * 2^-24 = 1e-6, with
# six layers of rounding before it; relative to the largest of the text, of the size of 30. The worst
# of 9000 depends on the text; PyTorch's own float32 is at 1.5e-6.
TOLERANCE = 4e-6


def own_text():
    files = sorted((peers.ROOT / "docs").glob("*.md")) + [peers.TALES / "README.md"]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@torch.no_grad()
def log_probabilities(model, ids, window, stride):
    """Of every token but the first; a window that overlaps the last scores its new part."""
    found, done = [], 1  # tokens scored so far, with the first, which nothing predicts
    for start in range(0, len(ids) - 1, stride):
        part = ids[start : start + window + 1]
        logits = model(torch.tensor([part[:window]])).logits[0].log_softmax(-1)
        for i in range(done - start, len(part)):
            found.append(logits[i - 1, part[i]].item())
        done = start + len(part)
        if done >= len(ids):
            break
    return found


def main():
    parser = peers.arguments(__doc__)
    parser.add_argument("--text", type=pathlib.Path, help="another text")
    parser.add_argument("--limit", type=int, default=3000, help="tokens of it (default 3000)")
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help=f"(default {TOLERANCE:g})"
    )
    options = parser.parse_args()
    print(f"Transformers {transformers.__version__}, PyTorch {torch.__version__}")
    text = options.text.read_text(encoding="utf-8") if options.text else own_text()
    model = GPT2LMHeadModel.from_pretrained(peers.TALES, dtype=torch.float64).eval()
    tokenizer = AutoTokenizer.from_pretrained(peers.TALES)
    ids = tokenizer.encode(text, add_special_tokens=False)[: options.limit]
    verdict = peers.Verdict()
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        for window, stride in ((256, 256), (100, 100), (256, 64)):
            words = ["eval", file.name, "-m", peers.TALES, "--window", window, "--stride", stride]
            told = json.loads(peers.limn(options, *words, "--limit", options.limit, "-l", "--json"))
            name = f"window {window}, stride {stride}"
            ours = told["tokens"]
            if [token["id"] for token in ours] != ids[1:]:
                verdict.bad.append(f"{name}: the tokens are not those of Transformers")
                continue
            theirs = np.array(log_probabilities(model, ids, window, stride))
            found = np.array([token["log_probability"] for token in ours])
            verdict.hold(
                "log-probabilities", name, peers.deviation(found, theirs), options.tolerance
            )
            verdict.hold("losses", name, abs(told["loss"] + theirs.mean()), 1e-6)
            print(
                f"{name}: {len(theirs)} tokens, loss {told['loss']:.6f}, Transformers in float64 "
                f"{-theirs.mean():.6f}"
            )
    verdict.finish()


if __name__ == "__main__":
    main()
