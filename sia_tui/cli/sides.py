"""Two runs in two columns, fitted to a width: the verb prints it, the window shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from sia_tui.cli.again import gain_told
from sia_tui.core.episodes import Split
from sia_tui.core.telling import percent, points
from sia_tui.core.text import one_line
from sia_tui.tui.pieces import DIM, HEAD, Line, Piece, cells, cut, line, wrap
from sia_tui.tui.sparks import spark

SPLITS: tuple[Split, ...] = ("dev", "hidden", "test")
LABELS = {
    "task": "task",
    "status": "status",
    "dev_at_g0": "dev of g0",
    "dev": "dev now",
    "hidden": "hidden",
    "test": "test",
    "null_baselines": "nulls on dev",
    "kept": "kept",
    "tool_share": "without policy",
    "cost": "cost",
}
GAP = 2
SPARK = 12
"""Cells of a course, at most."""

Row = tuple[str, str, str]
"""A label, and what is to be said of each run."""


def sides(told: Mapping[str, Any], courses: Sequence[Sequence[float]], width: int) -> list[Line]:
    """What `compare` found, and each run's course on dev."""
    one, other = told["runs"]
    names = ("", one["run"], other["run"])
    facts = [(label, _said(name, one[name]), _said(name, other[name])) for name, label in LABELS.items()]
    facts.insert(list(LABELS).index("hidden"), ("dev as kept", _course(courses[0]), _course(courses[1])))
    paired = [row for split, found in told["gain"].items() for row in _gain(split, found, names, width)]
    differing = [(key, _value(pair[0]), _value(pair[1])) for key, pair in told["config"].items()]
    return [
        *_columns(names, [*facts, *_steps(one["steps"], other["steps"])], width),
        line(),
        *paired,
        line(),
        *(_columns(("config", *names[1:]), differing, width) if differing else [line("the configs are the same")]),
    ]


def _columns(head: Row, rows: Sequence[Row], width: int) -> list[Line]:
    """Two columns as wide as they have to be, and no wider than there is room for; what is longer goes on below."""
    widest = [max(map(cells, column)) for column in zip(head, *rows, strict=True)]
    first = min(widest[0], width // 3)
    half = max(1, min(max(widest[1:]), (width - first) // 2 - GAP))
    lines = [*_row(head, first, half, HEAD)]
    for row in rows:
        lines += _row(row, first, half)
    return lines


def _row(row: Row, first: int, half: int, tone: str = "") -> Iterator[Line]:
    broken = wrap(row[0], first), wrap(row[1], half), wrap(row[2], half)
    for label, one, other in zip_longest(*broken, fillvalue=""):
        left, right = cut(one, half + GAP), cut(other, half)
        yield line((cut(label, first + GAP), tone or DIM), (left, tone), (right, tone))


def _gain(split: str, found: Mapping[str, Any], names: Row, width: int) -> list[Line]:
    """The second run over the first one, where they are paired."""
    _, one, other = names
    said = f"not paired: {found['unpaired']}" if "unpaired" in found else f"{other} over {one} {gain_told(found)}"
    rows: list[Piece] = list(wrap(said, width - len(split) - GAP))
    return [line((cut("" if at else f"{split}:", len(split) + GAP), DIM), row) for at, row in enumerate(rows)]


def _steps(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> list[Row]:
    pairs = zip_longest(map(_step, one), map(_step, other), fillvalue="–")
    return [(f"step {number}", *pair) for number, pair in enumerate(pairs, 1)]


def _step(step: Mapping[str, Any]) -> str:
    gain = "" if step["gain"] is None else f" {points(step['gain'])}"
    fate = "kept" if step["kept"] else "refused" if step["refused"] else "not kept"
    return f"{step['lever']}{gain} {fate}: {one_line(step['title'], 80)}"


def _course(means: Sequence[float]) -> str:
    if not means:
        return "–"
    return f"{100 * means[0]:.1f} {spark(means, SPARK)} {100 * means[-1]:.1f} %"


def _said(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name == "cost":
        spent = f"{value['wall_s'] / 60:.1f} min, {value['episodes']:,} episodes, {value['tokens']:,} tokens"
        return f"{spent}, {value['money']:.2f} $"
    if name == "kept":
        return ", ".join(f"{lever} {count}" for lever, count in value.items())
    if name == "null_baselines":
        return "\n".join(f"{one_line(null, 20)} {percent(mean)}" for null, mean in value.items()) or "–"
    if name == "tool_share":
        return percent(value)
    if isinstance(value, dict):
        low, high = (f"{100 * bound:.1f}" for bound in value["ci95"])
        return f"{percent(value['mean'])} [{low}, {high}], n {value['n']}"
    return one_line(str(value), 60)


def _value(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False), 60)
