#!/usr/bin/env python3
"""Draws what a command prints in a terminal of so many columns as an SVG: for the pictures in docs/images.

    COLORTERM=truecolor limn explain 'The king said to his' --color always | tools/terminal_to_svg.py 100 > explain.svg

Knows what limn prints: SGR codes (bold, dim, 16, 256 and 24-bit colours) and block characters,
which become rectangles, so that heat maps have no seams in any font.
"""
import re, sys, unicodedata
from xml.sax.saxutils import escape

CELL_W, CELL_H, SIZE, PAD = 8.4, 17, 14, 16
BACK, FRONT, DIM = "#16181d", "#d7dae0", "#868b96"
BASIC = ["#000000", "#e06c75", "#98c379", "#d6a454", "#61afef", "#c678dd", "#56b6c2", "#d7dae0"]


def color256(n):
    if n < 16:
        return BASIC[n % 8]
    if n > 231:
        return "#" + "%02x" % (8 + 10 * (n - 232)) * 3
    levels = [0, 95, 135, 175, 215, 255]
    return "#%02x%02x%02x" % (levels[(n - 16) // 36], levels[(n - 16) // 6 % 6], levels[(n - 16) % 6])


class Style:
    def __init__(self):
        self.front = self.back = None
        self.bold = self.dim = False

    def apply(self, codes):
        codes = [int(c or 0) for c in codes.split(";")]
        while codes:
            c = codes.pop(0)
            if c == 0:
                self.__init__()
            elif c == 1:
                self.bold = True
            elif c == 2:
                self.dim = True
            elif 30 <= c <= 37:
                self.front = BASIC[c - 30]
            elif c in (38, 48):
                if codes.pop(0) == 2:
                    value = "#%02x%02x%02x" % tuple(codes[:3])
                    del codes[:3]
                else:
                    value = color256(codes.pop(0))
                if c == 38:
                    self.front = value
                else:
                    self.back = value


def blocks(ch):
    """x, y, width, height of the filled part of a cell, in shares of it; None for ordinary text."""
    if ch == "█":
        return 0, 0, 1, 1
    if ch == "▀":
        return 0, 0, 1, 0.5
    if ch == "▄":
        return 0, 0.5, 1, 0.5
    if ch == "▐":
        return 0.5, 0, 0.5, 1
    if "▉" <= ch <= "▏":
        return 0, 0, (0x2590 - ord(ch)) / 8, 1
    return None


def width_of(ch):
    if unicodedata.combining(ch):
        return 0
    return 2 if unicodedata.east_asian_width(ch) in "WF" else 1


def draw(lines, columns):
    rects, texts = [], []

    def rect(x, y, w, h, fill):
        last = rects[-1] if rects else None
        if last and last[4] == fill and last[1] == y and last[3] == h and abs(last[0] + last[2] - x) < 0.01:
            last[2] += w
        else:
            rects.append([x, y, w, h, fill])

    style = Style()
    for row, line in enumerate(lines):
        column, run, run_at, run_style = 0, "", 0, None
        top = PAD + row * CELL_H

        def flush():
            if run.strip():
                bold, fill = run_style
                text = run.strip()
                at = run_at + len(run) - len(run.lstrip())
                texts.append('<text x="%.1f" y="%.1f" fill="%s"%s textLength="%.1f">%s</text>' % (
                    PAD + at * CELL_W, top + 13, fill, ' font-weight="bold"' if bold else "",
                    sum(map(width_of, text)) * CELL_W, escape(text)))

        for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
            if piece.startswith("\x1b["):
                style.apply(piece[2:-1])
                continue
            for ch in piece:
                now = (style.bold, style.front or (DIM if style.dim else FRONT))
                area = blocks(ch)
                if area or style.back:
                    x = PAD + column * CELL_W
                    if style.back:
                        rect(x, top, CELL_W, CELL_H, style.back)
                    if area:
                        rect(x + area[0] * CELL_W, top + area[1] * CELL_H, area[2] * CELL_W, area[3] * CELL_H, now[1])
                if area or now != run_style or (ch == " " and run.endswith(" ")):
                    flush()
                    run, run_at, run_style = "", column, now
                if not area:
                    run += ch
                else:
                    run_at = column + 1
                column += width_of(ch)
        flush()
    w, h = columns * CELL_W + 2 * PAD, len(lines) * CELL_H + 2 * PAD
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f">' % (w, h, w, h),
           '<rect width="100%%" height="100%%" rx="8" fill="%s"/>' % BACK, '<g shape-rendering="crispEdges">']
    out += ['<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f" fill="%s"/>' % tuple(r) for r in rects]
    out += ["</g>", '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="%d" xml:space="preserve">' % SIZE]
    return "\n".join(out + texts + ["</g>", "</svg>", ""])


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        sys.exit(__doc__)
    sys.stdout.write(draw(sys.stdin.read().rstrip("\n").split("\n"), int(sys.argv[1])))
