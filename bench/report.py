"""The tables of bench/compare, in Markdown, from the JSON that it wrote."""

import statistics


def speeds(times, tokens):
    return [tokens / wall for wall, _ in times]


def median_speed(times, tokens):
    return statistics.median(speeds(times, tokens)) if times else None


def ratio(ours, theirs, clock=0):
    """How many times faster ours is: the median over rounds; on the wall, or of processor time."""
    if not ours or not theirs:
        return None
    return statistics.median(b[clock] / a[clock] for a, b in zip(ours, theirs))


def number(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def anchor(results):
    """limn's row of the class: the first."""
    return next(result for result in results.values() if result["row"][0] == "limn")


def timing_cells(run, result, ours, threads):
    told = result["threads"].get(str(threads))
    cells = []
    for what in ("prefill", "decode"):
        times = told[what] if told else []
        cell = number(median_speed(times, run[what]))
        against = ours["threads"].get(str(threads), {}).get(what)
        if times and result is not ours:
            cell += f" ({ratio(against, times):.2f})"
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


def class_table(run, klass, results):
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
            cells += timing_cells(run, result, ours, threads)
        cells += [f"{max(t['error'] for t in told):.1e}", f"{max(t['kl'] for t in told):.1e}"]
        lines.append("| " + " | ".join(cells + start_cells(result)) + " |")
    return lines + [""]


def best_peer(run, results, threads, what):
    """(name, speed) of the fastest that is not limn."""
    found = []
    for name, result in results.items():
        times = result["threads"].get(str(threads), {}).get(what)
        if times and result["row"][0] != "limn":
            found.append((median_speed(times, run[what]), name))
    return max(found, default=None)


def summary(run):
    """limn against the best peer of each class."""
    lines = ["### limn against the best peer", ""]
    lines += ["| class | what | threads | limn | best peer | ratio | by processor time |"]
    lines += ["|---" * 7 + "|"]
    for klass, results in run["classes"].items():
        for name, ours in results.items():
            if ours["row"][0] != "limn":
                continue
            for what in ("prefill", "decode"):
                for threads in run["threads"]:
                    best = best_peer(run, results, threads, what)
                    times = ours["threads"].get(str(threads), {}).get(what)
                    if not best or not times:
                        continue
                    theirs = results[best[1]]["threads"][str(threads)][what]
                    speed = number(median_speed(times, run[what]))
                    lines.append(
                        f"| {klass} | {what} | {threads} | {name} {speed}"
                        f" | {best[1]} {number(best[0])} | {ratio(times, theirs):.2f}"
                        f" | {ratio(times, theirs, 1):.2f} |"
                    )
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


def text(run):
    m = run["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    lines = [
        f"{run['date']}, `{run['command']}`",
        "",
        f"{m['cpu']}, {m['processors']} processors ({', '.join(m['features'])}); load average at "
        f"the start {m['load'][0]:.1f}. {versions}.",
        "",
        f"Tokens a second, medians of {run['rounds']} rounds: prefill of {run['prefill']} tokens "
        f"to the last position's logits, decoding of {run['decode']} tokens from an empty context; in "
        "brackets how many times faster limn's first row is. Error: the largest difference from "
        "float64 logits, against the largest of them.",
        "",
        *ceiling_lines(run),
    ]
    for klass, results in run["classes"].items():
        lines += class_table(run, klass, results)
    return "\n".join(lines + summary(run))
