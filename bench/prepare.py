#!/usr/bin/env python3
"""Writes the files that one engine's variant opens; called by bench/compare."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import engines


def main():
    module, variant, model, work = sys.argv[1:]
    engines.engine(module).prepare(variant, pathlib.Path(model), pathlib.Path(work))


if __name__ == "__main__":
    main()
