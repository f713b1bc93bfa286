"""Text in the history: titles, ideas, reasons, verdicts, commit messages and diffs, and where in them it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sia_tui.core.text import one_line
from sia_tui.tui.past import Entry

BEFORE, AFTER = 24, 90
"""Characters around the place that are shown."""


@dataclass(frozen=True)
class Place:
    """Where the first of the wanted words stands."""

    part: str
    text: str
    """What stands around it, on one cleaned line."""


def parts(entry: Entry, message: str = "") -> tuple[tuple[str, str], ...]:
    """What can be searched of an entry, by name. `message`: of its commit, once it is read."""
    step = entry.step
    if step is None:
        return (("name", entry.name), ("commit message", message))
    asked = step.proposal
    said = [f"{verdict.kind} by {verdict.by}: {verdict.note}" for verdict in step.verdicts]
    said += [f"refused by {step.refused.by}: {step.refused.reason}"] if step.refused else []
    changed = [
        line
        for line in (asked.patch or "").splitlines()
        if line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- "))
    ]
    return (
        ("name", f"{entry.name} {step.id}"),
        ("title", asked.title),
        ("idea", asked.idea),
        ("reason", asked.reason),
        ("what would refute it", asked.refuted_by),
        ("verdict", "\n".join(said)),
        ("commit message", message),
        ("diff", "\n".join(changed)),
    )


def found(entry: Entry, wanted: str, messages: Mapping[str, str]) -> Place | None:
    """None where not every word of `wanted` stands somewhere in the entry, whatever its case."""
    words = wanted.casefold().split()
    searched = parts(entry, messages.get(entry.commit or "", ""))
    whole = "\n".join(text for _, text in searched).casefold()
    if not words or any(word not in whole for word in words):
        return None
    return next(_place(part, text, words) for part, text in searched if any(word in text.casefold() for word in words))


def _place(part: str, text: str, words: list[str]) -> Place:
    flat = text.casefold()
    at = min(place for word in words if (place := flat.find(word)) >= 0)
    start = max(0, at - BEFORE, text.rfind("\n", 0, at) + 1)
    lead = "…" if start and text[start - 1] != "\n" else ""
    return Place(part, one_line(lead + text[start : at + AFTER].split("\n", 1)[0], BEFORE + AFTER))


def _changes(line: str) -> bool:
    return line[:1] in ("+", "-") and not line.startswith(("+++ ", "--- "))
