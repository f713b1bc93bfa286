"""Attempts to be paid for nothing, read from the files that ship beside each kind of task.

A file is YAML: by name what an attempt `tries`, in one line, what comes of it, and its answer, in words of its kind. What
comes of it is `caught`, the failure kinds of which one must name it; or `earns: honest`, for an answer that does the work
and is to be paid for no more than that; or neither, and it is to earn nothing. `row` names the row of an evaluator's
fitness that it belongs to, where not to `exploits`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Attempt:
    name: str
    tries: str
    answer: Callable[[str], object]
    """By the id of a case."""
    row: str = "exploits"
    caught: tuple[str, ...] = ()
    honest: bool = False
    contained: bool = False
    """It ends itself where it gets out of its walls: a crash is an escape."""


def read(*paths: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and entry of every attempt in these files, and in the files of these folders. ValueError for a name twice."""
    files = [file for path in paths for file in (sorted(path.glob("*.yaml")) if path.is_dir() else [path])]
    seen: set[str] = set()
    for file in files:
        for name, entry in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            if name in seen:
                raise ValueError(f"{file}: there are two attempts named {name}")
            seen.add(name)
            yield name, entry


def always(said: object) -> Callable[[str], object]:
    """The same answer, whatever the case."""
    return lambda id: said


def attempt(name: str, entry: dict[str, Any], answer: Callable[[str], object]) -> Attempt:
    return Attempt(
        name,
        entry["tries"],
        answer,
        entry.get("row", "exploits"),
        tuple(entry.get("caught", ())),
        entry.get("earns") == "honest",
        "unless" in entry,
    )
