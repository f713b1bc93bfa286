"""Best of N at the cost of a run, beside its log: what drawing alone came to, with no step made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from sia_tui.core.codec import build
from sia_tui.core.stats import Estimate


@dataclass(frozen=True)
class Drawn:
    rollouts: int
    told: str
    """The plan that was drawn, or how many votes a case."""
    dev: Estimate | None
    hidden: Estimate | None


def write(root: Path, drawn: Drawn) -> None:
    part = _file(root).with_suffix(".new")
    part.write_text(json.dumps(asdict(drawn)), encoding="utf-8")
    part.replace(_file(root))


def read(root: Path) -> Drawn | None:
    """Of the run in that folder; None where nobody has measured it, or what is there is no such thing."""
    try:
        found: Drawn = build(Drawn, json.loads(_file(root).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return found if isinstance(found.rollouts, int) and (found.dev is None or isinstance(found.dev, Estimate)) else None


def _file(root: Path) -> Path:
    return root / "best-of-n.json"
