"""What the programs of this folder share: an engine in a process of its own, and progress."""

import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import engines

BENCH = pathlib.Path(__file__).resolve().parent
# Waiting threads must sleep: on a shared machine a spinning one takes what its own team needs.
QUIET = {
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
    "KMP_BLOCKTIME": "0",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": "",
}


class Worker:
    """An engine's process."""

    def __init__(self, options, row, threads):
        self.row, self.threads = row, threads
        module, variant = row
        environment = dict(os.environ, **QUIET, TORCHINDUCTOR_CACHE_DIR=str(options.work / "torch"))
        for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR"):
            environment[f"{name}_NUM_THREADS"] = str(threads)
        self.log = open(options.work / f"{module}-{variant}-{threads}.log".replace(":", "-"), "wb")
        words = [sys.executable, "-B", BENCH / "worker.py", module, variant, options.model]
        words += [options.work, threads, options.context, time.monotonic()]
        self.process = subprocess.Popen(
            [str(word) for word in words],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        self.ready = self.read()

    def read(self):
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"ended with {self.process.wait()}"}
        if "error" in answer:
            raise RuntimeError(f"{answer['error']} (see {self.log.name})")
        return answer

    def ask(self, **task):
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.log.close()


def title(row):
    return f"{engines.engine(row[0]).NAME} {row[1]}"


def note(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def machine():
    name = platform.processor() or platform.machine()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    return {
        "cpu": name,
        "processors": os.cpu_count(),
        "features": [flag for flag in known if f" {flag}" in flags],
        "kernel": platform.release(),
        "load": os.getloadavg(),
    }


def ids_for(options):
    """Random tokens, options.context of them, for the model; made at random where none is named."""
    import numpy as np

    options.work.mkdir(parents=True, exist_ok=True)
    if options.model is None:
        options.model = options.work / "gpt2"
        if not (options.model / "model.safetensors").exists():
            tool = BENCH.parent / "tools/make_gpt2_random.py"
            subprocess.run([sys.executable, "-B", tool, options.model], check=True)
    config = json.loads((options.model / "config.json").read_text(encoding="utf-8"))
    if options.context > config["n_positions"]:
        sys.exit(f"{options.model} holds {config['n_positions']} positions only")
    return np.random.default_rng(1).integers(0, config["vocab_size"], options.context).tolist()
