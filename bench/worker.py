#!/usr/bin/env python3
"""One engine in a process of its own, told what to do by bench/compare: a line of JSON each way.

It says {"ready": ...} once the model is open and a first short text has gone through, and then
answers "check" (logits into a file), "time" (seconds of a prefill and of decoding) and "memory".
"""

import json
import os
import pathlib
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import engines

FIRST_TEXT = 6  # tokens of the text that is run to see the first logits


def status(name):
    """VmHWM (the peak) or VmRSS of this process, in bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def own_channel():
    """Standard output as it was; what libraries print goes to standard error from here on."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return channel


def check(engine, task):
    import numpy as np

    last = np.array(engine.prefill(task["prefill"]), np.float32)
    steps = []
    if engine.can_decode:
        engine.decode(task["decode"], lambda logits: steps.append(np.array(logits, np.float32)))
    np.savez(task["out"], prefill=last, steps=np.array(steps, np.float32))
    return {}


def clocked(work):
    """Seconds on the wall, and of the processors."""
    cpu, start = time.process_time(), time.perf_counter()
    work()
    return [time.perf_counter() - start, time.process_time() - cpu]


def timed(engine, task):
    """The first of each is not counted: caches are as others left them."""
    found = {"prefill": [], "decode": []}
    engine.prefill(task["prefill"])
    for _ in range(task["repeat"]):
        found["prefill"].append(clocked(lambda: engine.prefill(task["prefill"])))
    if engine.can_decode:
        engine.decode(task["decode"][:8])
        for _ in range(task["repeat"]):
            found["decode"].append(clocked(lambda: engine.decode(task["decode"])))
    return found


def main():
    channel = own_channel()

    def say(message):
        channel.write(json.dumps(message) + "\n")

    module, variant, model, work, threads, n_ctx, spawned = sys.argv[1:]
    try:
        e = engines.engine(module)
        e.load()
        before, start = status("VmRSS"), time.monotonic()
        engine = e.Engine(variant, model, work, int(threads), int(n_ctx))
        engine.prefill(list(range(1, 1 + FIRST_TEXT)))
        now = time.monotonic()
        say(
            {
                "ready": True,
                "before": before,
                "open_s": now - start,
                "start_s": now - float(spawned),
            }
        )
        for line in sys.stdin:
            task = json.loads(line)
            if task["do"] == "check":
                say(check(engine, task))
            elif task["do"] == "time":
                say(timed(engine, task))
            elif task["do"] == "memory":
                say({"peak": status("VmHWM"), "now": status("VmRSS")})
    except BrokenPipeError:
        pass
    except BaseException:  # whatever an engine raises is told, and its row left out
        say({"error": traceback.format_exc().strip().splitlines()[-1]})
        traceback.print_exc()
        sys.exit(1)


if __name__ == "__main__":
    main()
