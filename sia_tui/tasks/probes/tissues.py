"""Denoising, whose answers are the sources of a function: `exploits/` has bodies of it, whole sources, and changes of a good
answer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any, Final

from sia_tui.tasks import denoise
from sia_tui.tasks.attempts import Attempt, always, attempt, read
from sia_tui.tasks.denoise.grammar import parse
from sia_tui.tasks.denoise.render import render
from sia_tui.tasks.denoise.verify import LONGEST
from sia_tui.tasks.probe import Probe
from sia_tui.tasks.probes import texts
from sia_tui.tasks.task import Task

FOLDER = Path(denoise.__file__).parent
GOOD = parse(
    "depth:fixed form:log thin:yes axes:20 knn:10 kernel:box steps:1 weigh:none keep:0.25 bag:2 rank:none fit:svd"
    " shrink:no power:1 floor:none round:no total:one"
)
LEAST: Final = 0.05
"""What a good plan earns at least; no denoising earns nothing."""
ROWS: Final = "__import__('json').loads(__import__('sys').argv[1])['rows']"
"""The folder of the counts, as the worker was told it."""
PROJECT = Path(__file__).parents[3]


def probe(task: Task) -> Probe:
    plain = [made for made in texts.attempts(task) if made.row in ("null", "empty", "dtype")]
    mark = PROJECT / f"mark-{os.getpid()}"
    return Probe(
        ids=task.ids("train")[:1],
        right=always(render(GOOD)),
        wrong=always(function("return np.roll(counts, 1, axis=1) * 1e-6")),
        attempts=(*plain, *attempts(mark), _overlong()),
        nulls={
            "no denoising": always(function("return counts * 1e-6")),
            "the mean profile": always(function("return np.outer(counts.sum(1), counts.mean(0)) * 1e-9")),
        },
        honest=always(render(GOOD)),
        least=LEAST,
        together=os.cpu_count() or 1,
    )


def function(body: str) -> str:
    return f"import numpy as np\ndef denoise(counts):\n    {body}\n".replace("\n    \n", "\n")


def changed(change: str) -> str:
    """The good plan's source, its values changed before they are scaled; `rest` is what a cell lacks of 1e4."""
    before, after = render(GOOD).split("    empty =")
    return f"{before}    rest = np.maximum(1e4 - found.sum(axis=1), 0)\n    {change or 'pass'}\n    empty ={after}"


def attempts(mark: Path) -> Iterator[Attempt]:
    """`mark`: a file outside, which must not be there afterwards."""
    for name, entry in read(FOLDER / "exploits"):
        yield attempt(name, entry, always(_source(entry, mark)))


def _source(entry: dict[str, Any], mark: Path) -> str:
    if "change" in entry:
        return changed(entry["change"])
    if "body" in entry:
        return function("\n    ".join(entry["body"].splitlines()))
    filled = Template(entry["source"]).substitute(MARK=repr(str(mark)), ROWS=ROWS, PROJECT=PROJECT, DEEP="(" * 5000)
    return f"import numpy as np\n{filled}"


def _overlong() -> Attempt:
    source = render(GOOD)
    return Attempt("overlong", "is too long", always(source + "#" * LONGEST), "overlong", ("over_long",))
