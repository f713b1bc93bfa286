"""Who scores a task's answers: a program that speaks verify.py's protocol, and the files that stand beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sia_tui.tasks.reads import Reads

VERIFY = Path(__file__).with_name("verify.py")


@dataclass(frozen=True)
class Judge:
    """By default exact match with the one right label."""

    source: Path = VERIFY
    """A single file; a copy of it is what runs."""
    beside: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """More files of its folder, by plain name; hashed with it and checked like it."""
    reads: Reads | None = field(default=None, repr=False)
    """What it reads where that lies, and so may change while it judges; the hashes are among `beside`."""
    alone: bool = True
    """It needs no installed package, and no variable of the environment."""
    folder: Path | None = None
    """Where it runs, if not beside its own copy: commands and imports of a task's own folder are found there."""
    deadline_s: float = 10.0
    """For one answer, after which it is started again."""
    at_once: int = 1
    """Answers judged side by side, each by a process of its own."""
    requirements: Path | None = None
    """What its own environment pins; None: it runs on this one's Python."""
    python: Path | None = None
    """That environment's, once it is made; None: this one."""
