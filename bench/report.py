"""The tables of bench/compare, in Markdown, from the JSON that it wrote."""

import statistics


WALL, PROCESSOR = 0, 1  # the clocks, in the order in which worker.py gives their seconds


class Clock:
    """Which clock speeds and ratios are by. By processor time a speed is the tokens of one second
    that one processor worked, times the threads: what a run would give that nobody disturbs and
    whose threads share the work evenly. It speaks well of nobody whose waiting threads spin."""

    def __init__(self, number):
        self.number = number

    def speed(self, times, tokens, threads):
        if not times:
            return None
        share = 1 if self.number == WALL else threads
        return statistics.median(tokens * share / t[self.number] for t in times)

    def ratio(self, ours, theirs):
        """How many times faster ours is: the median over rounds."""
        if not ours or not theirs:
            return None
        return statistics.median(
            b[self.number] / a[self.number] for a, b in zip(ours, theirs, strict=False)
        )


def number(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def anchor(results):
    """limn's row of the class: the first."""
    return next(result for result in results.values() if result["row"][0] == "limn")


def timing_cells(run, clock, result, ours, threads):
    told = result["threads"].get(str(threads))
    cells = []
    for what in ("prefill", "decode"):
        times = told[what] if told else []
        cell = number(clock.speed(times, run[what], threads))
        against = ours["threads"].get(str(threads), {}).get(what)
        if times and result is not ours:
            cell += f" ({clock.ratio(against, times):.2f})"
        cells.append(cell)
    return cells


def start_cells(result):
    starts = result.get("starts")
    if not starts:
        return ["–", "–", "–"]
    opened = statistics.median(s["open_s"] for s in starts)
    started = statistics.median(s["start_s"] for s in starts)
    peak = max(s["peak"] for s in starts)
    return [f"{opened:.2f}", f"{started:.2f}", f"{peak / 1e6:.0f}"]


def class_table(run, clock, klass, results):
    ours = anchor(results)
    heads = ["engine"]
    for threads in run["threads"]:
        word = "thread" if threads == 1 else "threads"
        heads += [f"prefill, {threads} {word}", f"decode, {threads} {word}"]
    heads += ["error", "KL", "first logits, s", "process to first logits, s", "peak, MB"]
    lines = [f"### {klass}", "", "| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name, result in results.items():
        told = list(result["threads"].values())
        if not told:
            lines.append(f"| {name} | failed: {result.get('failed')} |")
            continue
        cells = [name]
        for threads in run["threads"]:
            cells += timing_cells(run, clock, result, ours, threads)
        cells += [f"{max(t['error'] for t in told):.1e}", f"{max(t['kl'] for t in told):.1e}"]
        lines.append("| " + " | ".join(cells + start_cells(result)) + " |")
    return lines + [""]


def best_peer(run, clock, results, threads, what):
    """(name, speed) of the fastest that is not limn."""
    found = []
    for name, result in results.items():
        times = result["threads"].get(str(threads), {}).get(what)
        if times and result["row"][0] != "limn":
            found.append((clock.speed(times, run[what], threads), name))
    return max(found, default=None)


def summary_line(run, clock, klass, name, what, threads):
    results = run["classes"][klass]
    times = results[name]["threads"].get(str(threads), {}).get(what)
    best = best_peer(run, clock, results, threads, what)
    if not times or not best:
        return None
    speed, peer = best
    theirs = results[peer]["threads"][str(threads)][what]
    cells = [klass, what, str(threads), f"{name} {number(clock.speed(times, run[what], threads))}"]
    cells += [f"{peer} {number(speed)}", f"{clock.ratio(times, theirs):.2f}"]
    return "| " + " | ".join(cells) + " |"


def summary(run, clock):
    """limn against the best peer of each class."""
    lines = ["### limn against the best peer", ""]
    lines += ["| class | what | threads | limn | best peer | ratio |", "|---" * 6 + "|"]
    for klass, results in run["classes"].items():
        for name in results:
            if results[name]["row"][0] != "limn":
                continue
            for what in ("prefill", "decode"):
                for threads in run["threads"]:
                    line = summary_line(run, clock, klass, name, what, threads)
                    lines += [line] if line else []
    return lines + [""]


def ceiling_lines(run):
    lines = []
    for found in run["ceilings"]:
        words = [
            f"{key.rsplit('_', 1)[0].replace('_', ' ')} {value}"
            for key, value in found.items()
            if key != "threads"
        ]
        lines.append(f"- {found['threads']} thread(s): " + ", ".join(words))
    if lines:
        lines = [
            "Ceilings (GFLOP/s of float32 multiply-adds, BF16 and 8-bit dot products; GB/s read "
            "out of a buffer of that size):",
            "",
            *lines,
            "",
        ]
    return lines


def text(run, number=WALL):
    clock, m = Clock(number), run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    by = "" if number == WALL else " by processor time (of one processor, times the threads)"
    lines = [
        f"{run['date']}, `{run['command']}`",
        "",
        f"{m['cpu']}, {m['processors']} processors ({', '.join(m['features'])}); load average at "
        f"the start {m['load'][0]:.1f}. {versions}.",
        "",
        f"Tokens a second{by}, medians of {run['rounds']} rounds: prefill of {run['prefill']} "
        "tokens to the last position's logits, decoding of "
        f"{run['decode']} tokens from an empty context; in brackets how many times faster limn's "
        "first row is. Error: the largest difference from float64 logits, against the largest of "
        "them.",
        "",
        *ceiling_lines(run),
    ]
    for klass, results in run["classes"].items():
        lines += class_table(run, clock, klass, results)
    return "\n".join(lines + summary(run, clock))
