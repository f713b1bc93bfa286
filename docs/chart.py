"""Draws a finished run as an SVG: `sia-tui show RUN --json | python docs/chart.py > docs/run.svg`."""

from __future__ import annotations

import json
import sys
from html import escape
from typing import Any

WIDTH, PLOT, LEFT, TOP, ROW = 860, 300, 46, 34, 17
INK, GRID, KEPT, BACK, HIDDEN, NULL = "#333", "#ddd", "#1a7f37", "#999", "#8250df", "#bc4c00"


def draw(run: dict[str, Any]) -> str:
    generations, nulls = run["generations"], run["null_baselines"]
    top = max([x["dev"]["ci95"][1] for x in generations if x["dev"]] + [x["dev"] for x in nulls.values()]) * 1.06
    step = (WIDTH - LEFT - 150) / max(1, len(generations) - 1)

    def x(index: int) -> float:
        return LEFT + 24 + step * index

    def y(value: float) -> float:
        return TOP + PLOT * (1 - value / top)

    parts = [text(LEFT, 18, f"{run['run']}: dev accuracy by generation, with 95 % intervals", size=14)]
    for tenth in range(int(top * 10) + 1):
        parts.append(line(LEFT, y(tenth / 10), WIDTH - 110, y(tenth / 10), GRID))
        parts.append(text(LEFT - 6, y(tenth / 10) + 4, f"{10 * tenth} %", anchor="end"))
    for name, found in nulls.items():
        parts.append(line(LEFT, y(found["dev"]), WIDTH - 110, y(found["dev"]), NULL, dash="5 4"))
        parts.append(text(WIDTH - 104, y(found["dev"]) + 4, f"{name} {100 * found['dev']:.1f} %", NULL))
    for found in generations:
        parts += generation(found, x(found["index"]), y)
    legend = "● kept   ○ rolled back   ◆ hidden audit   ┄ null baselines (no policy at all)"
    parts.append(text(LEFT, TOP + PLOT + 40, legend))
    for found in generations:
        fate = "kept" if found["kept"] else "rolled back"
        gain = f", {100 * found['gain']['gain']:+.1f} points" if found["gain"] else ""
        row = TOP + PLOT + 64 + ROW * found["index"]
        parts.append(text(LEFT, row, f"g{found['index']}  {found['title']}{gain}: {fate}"))
    height = TOP + PLOT + 76 + ROW * len(generations)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="white"/>', *parts, "</svg>"])


def generation(found: dict[str, Any], x: float, y: Any) -> list[str]:
    dev, colour = found["dev"], KEPT if found["kept"] else BACK
    fill = KEPT if found["kept"] else "white"
    parts = [
        line(x, y(dev["ci95"][0]), x, y(dev["ci95"][1]), colour, width=2),
        f'<circle cx="{x:.1f}" cy="{y(dev["mean"]):.1f}" r="5" fill="{fill}" stroke="{colour}" stroke-width="2"/>',
        text(x + 9, y(dev["mean"]) + 4, f"{100 * dev['mean']:.1f}", colour),
        text(x, TOP + PLOT + 18, f"g{found['index']}", anchor="middle"),
    ]
    if found["hidden"]:
        at = y(found["hidden"]["mean"])
        parts.append(f'<path d="M{x - 9:.1f} {at:.1f} l4 -4 4 4 -4 4z" fill="{HIDDEN}"/>')
    return parts


def line(x1: float, y1: float, x2: float, y2: float, colour: str, width: int = 1, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    where = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {where} stroke="{colour}" stroke-width="{width}"{dashed}/>'


def text(x: float, y: float, words: str, colour: str = INK, size: int = 12, anchor: str = "start") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}"'
    return f'<text {where} font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>'


if __name__ == "__main__":
    print(draw(json.load(sys.stdin)))
