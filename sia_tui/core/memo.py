"""Memory in words: the page that agents and people read, the lines a gate shows, the list that people edit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sia_tui.core.advice import Row, Section, text
from sia_tui.core.forecast import TrackRecord, tracks
from sia_tui.core.pulls import LEVERS, Pulled, paid
from sia_tui.core.recall import Cluster, Constraint, Idea, Memory, note
from sia_tui.core.telling import points
from sia_tui.core.text import one_line

FEW = 3
"""Fewer measured predictions than this are said to be few."""
MOST = 40
"""Newest items of a kind on the page; the rest is counted."""


def page(memory: Memory) -> str:
    """All of it in plain lines, newest last, for agents and people."""
    sections = [
        Section(title, _note(len(rows)), rows[-MOST:])
        for title, rows in (
            ("TRIED", tuple(Row(idea.id, tried(idea)) for idea in memory.ideas)),
            ("FAILURES", tuple(Row(one_line(found.failure, 30), failing(found)) for found in memory.clusters)),
            ("CONSTRAINTS", tuple(Row(said.id, asked(said)) for said in memory.constraints)),
            (
                "PREDICTIONS",
                tuple(Row(one_line(held.name, 60), told(held)) for held in tracks(memory.forecasts, memory.task)),
            ),
            ("LEVERS", tuple(Row(lever, paid(memory.pulls, lever)) for lever in LEVERS if _pulled(memory, lever))),
        )
        if rows
    ]
    return text(sections) if sections else "nothing remembered yet"


def _pulled(memory: Memory, lever: Pulled) -> bool:
    return any(pull.lever == lever for pull in memory.pulls)


def _note(n: int) -> str:
    return f"{n}" if n <= MOST else f"the newest {MOST} of {n}"


def tried(idea: Idea) -> str:
    """What, how it ended, by how much, why."""
    on = "" if idea.base is None else f" on g{idea.base}"
    return f"{idea.lever}: {one_line(idea.title, 100)} [{one_line(idea.idea, 40)}] in {idea.run}{on}: {ended(idea)}"


def ended(idea: Idea) -> str:
    """How it ended, by how much, why."""
    gain = (
        f", {points(idea.gain)} [{points(idea.lo)}, {points(idea.hi)}] on dev"
        if idea.gain is not None and idea.lo is not None and idea.hi is not None
        else ""
    )
    return f"{idea.outcome}{gain}" + (f" ({one_line(idea.why, 160)})" if idea.why else "")


def failing(found: Cluster) -> str:
    """From its first generation to its last."""
    counts = ", ".join(f"{name} {count}" for name, count in found.counts.items())
    span = found.first if found.first == found.last else f"{found.first} to {found.last}"
    return f"{span} in {found.run}: {counts}"


def asked(said: Constraint) -> str:
    where = f", no to “{one_line(said.about, 80)}” in {said.run}" if said.run else ""
    return f"{one_line(said.text, 400)} ({one_line(said.by, 40)}{where})"


def told(record: TrackRecord) -> str:
    """A record in words, without its name."""
    if not record.n:
        return f"{signs(record)}, a promise counts ×{record.factor:.1f}"
    said = [signs(record) + (" so far" if record.n < FEW else "")]
    said += [f"{record.inside} of {record.ranged} in the range"] if record.ranged else []
    said.append(f"gains ×{record.factor:.1f} of predicted")
    said += [f"{name.removesuffix('_s')} ×{factor:.1f} of predicted" for name, factor in record.cost.items()]
    return ", ".join(said)


def signs(record: TrackRecord) -> str:
    """How many went the way they were to go."""
    if not record.n:
        return "none measured yet"
    return f"{record.signs} of {record.n} sign{'' if record.n == 1 else 's'} right"


@dataclass(frozen=True)
class Edited:
    """What a person made of the list."""

    struck: frozenset[str]
    added: tuple[str, ...]
    """New notes."""


_HOW = """# Memory of task {task}: what agents are told. Lines that begin with # are not read.
# `keep ID` is told, `drop ID` is not; a line taken out is dropped. What follows an ID is for you to read.
# A new note of yours is a line of its own: + text
"""


def listed(memory: Memory, struck: Collection[str]) -> str:
    """The list to edit: a line an item. Predictions, and what levers paid, go with their ideas."""
    lines = [
        *((idea.id, "idea", tried(idea)) for idea in memory.ideas),
        *((found.id, "failure", f"{found.failure}: {failing(found)}") for found in memory.clusters),
        *((said.id, "constraint" if said.run else "note", asked(said)) for said in memory.constraints),
    ]
    kept = [
        f"{'drop' if name in struck else 'keep'} {name}  {kind}: {one_line(said, 600)}" for name, kind, said in lines
    ]
    return "\n".join([_HOW.format(task=memory.task), *kept, ""])


def edited(text: str, memory: Memory) -> Edited:
    """What the list says now. Raises ValueError, naming the line, for one that says nothing known."""
    known = {item.id for item in memory.items}
    kept: set[str] = set()
    added: list[str] = []
    for number, given in enumerate(text.splitlines(), 1):
        word, _, rest = given.strip().partition(" ")
        name = rest.strip().partition(" ")[0]
        if not word or word.startswith("#"):
            continue
        if word == "+" and rest.strip():
            added.append(rest.strip())
        elif word not in ("keep", "drop"):
            raise ValueError(f"line {number}: expected “keep ID”, “drop ID” or “+ text”, got {one_line(given, 60)!r}")
        elif name not in known:
            raise ValueError(f"line {number}: no item {one_line(name, 40)!r} in the memory of {memory.task}")
        elif word == "keep":
            kept.add(name)
    back = {note(memory.task, text, "", "").id for text in added}
    return Edited(frozenset(known - kept - back), tuple(added))
