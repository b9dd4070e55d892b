#!/usr/bin/env python3
"""Writes tests/data/sampling.json: distributions that Hugging Face Transformers would draw from.

Needs torch and transformers. Each case has logits, the ids already there, the options, and the
probabilities after transformers' own processors and warpers in the order in which its generate()
applies them, in float32 as there.

    python3 tools/make_sampling_reference.py > tests/data/sampling.json
"""
import json

import torch
from transformers import (LogitsProcessorList, MinPLogitsWarper,
                          RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper,
                          TopKLogitsWarper, TopPLogitsWarper)

VOCAB = 48
OPTIONS = [
    {"temperature": 1.0},
    {"temperature": 0.7},
    {"temperature": 1.5, "top_k": 5},
    {"temperature": 1.0, "top_k": 48},
    {"temperature": 0.9, "top_p": 0.5},
    {"temperature": 1.0, "top_p": 0.95},
    {"temperature": 1.0, "top_p": 0.01},
    {"temperature": 0.8, "top_k": 20, "top_p": 0.8},
    {"temperature": 1.0, "min_p": 0.1},
    {"temperature": 2.0, "top_k": 30, "top_p": 0.9, "min_p": 0.05},
    {"temperature": 1.0, "repetition_penalty": 1.3},
    {"temperature": 0.6, "top_k": 10, "top_p": 0.7, "min_p": 0.02, "repetition_penalty": 1.2},
    {"temperature": 1.0, "repetition_penalty": 0.8, "top_p": 0.6},
]


def processors(o):
    """The order of transformers' GenerationMixin._get_logits_processor."""
    steps = LogitsProcessorList()
    if "repetition_penalty" in o:
        steps.append(RepetitionPenaltyLogitsProcessor(o["repetition_penalty"]))
    if o["temperature"] != 1.0:
        steps.append(TemperatureLogitsWarper(o["temperature"]))
    if "top_k" in o:
        steps.append(TopKLogitsWarper(o["top_k"]))
    if "top_p" in o:
        steps.append(TopPLogitsWarper(o["top_p"]))
    if "min_p" in o:
        steps.append(MinPLogitsWarper(o["min_p"]))
    return steps


def main():
    torch.manual_seed(0)
    cases = []
    for options in OPTIONS:
        for _ in range(3):
            logits = (torch.randn(VOCAB) * 3).round(decimals=4)
            ids = torch.randint(0, VOCAB, (12,))
            scores = processors(options)(ids[None], logits[None].clone())
            cases.append({
                "options": options,
                "ids": ids.tolist(),
                "logits": [round(x, 4) for x in logits.tolist()],
                "probabilities": [float(f"{p:.9g}") for p in torch.softmax(scores, -1)[0].tolist()],
            })
    print("[" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]")


if __name__ == "__main__":
    main()
