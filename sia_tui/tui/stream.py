"""Finished episodes and why they fail, a line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from sia_tui.core.clock import when
from sia_tui.core.events import Evaluated
from sia_tui.core.proposals import RIGHT
from sia_tui.core.state import Generation, State
from sia_tui.store.browse import Part, Wanted
from sia_tui.store.reader import EpisodeRow
from sia_tui.tui.pieces import BAD, DIM, GOOD, Line, Piece, bar, cells, fit, line, thousands

SEALED = ("hidden", "test")
_ERRORS = ("timeout", "crash")
"""Of the agents' names those of a harness that failed."""
_CHANGE = 9
"""Cells of a change: up to ` −9,999 ▼`."""


def episode_line(row: EpisodeRow, width: int, over: bool, now: datetime) -> Line:
    """When, which case, what it earned, what it cost, what it answered; of sealed splits nothing before the run is over."""
    at = f"{when(row.at, now)} "
    if row.split in SEALED and not over:
        return line((at, DIM), (fit(f"{row.split}: sealed until the run is over", width - cells(at)), DIM))
    good = row.reward >= 0.5
    mark = ("✓" if good else "✗", GOOD if good else BAD)
    wide = width >= 46
    head: list[Piece] = [
        (at, DIM),
        fit(row.case_id, 12 if wide else 10),
        " ",
        mark,
        f" {row.reward:.1f} ",
    ]
    if wide:
        head.append((f"{thousands(row.tokens):>7} tok ", DIM))
    left = width - sum(len(piece if isinstance(piece, str) else piece[0]) for piece in head)
    said = row.answer if row.answer is not None else row.failure or "no answer"
    return line(*head, (fit(said, max(4, left)), "" if row.answer is not None else BAD))


@dataclass(frozen=True)
class Failures:
    """Why episodes fail, and how often those of the generation before failed so."""

    of: str
    seen: str = ""
    now: Mapping[str, int] = field(default_factory=dict)
    since: str = ""
    """Of what `before` is; empty where nothing can be compared."""
    before: Mapping[str, int] = field(default_factory=dict)
    key: str | None = None
    """Of the generation."""
    part: Part | None = None
    """Of the episodes that were counted; None: as the agent read them, which has names of its own."""
    kinds: frozenset[str] = frozenset()
    """Names that its episodes bear."""

    @property
    def ranked(self) -> list[str]:
        """The most frequent first; last those that are no more."""
        names = [name for name in {**self.now, **self.before} if self.now.get(name) or self.before.get(name)]
        return sorted(names, key=lambda name: -self.now.get(name, 0))

    def wanted(self, name: str) -> Wanted:
        """The episodes that failed so; of a name that they do not bear those that it may be of."""
        if self.part is not None or name in self.kinds:
            return Wanted(key=self.key, part=self.part, failure=name)
        return Wanted(key=self.key, outcome="error" if name in _ERRORS else "wrong")

    @property
    def title(self) -> str:
        return f"{self.of}{f' since {self.since}' if self.since else ''}{self.seen}"


def failures(state: State) -> Failures:
    """Of the candidate of the step under way once it is measured, until then of the incumbent as the agent read it."""
    step, best = state.current, state.best
    measured = step is not None and any("dev" in state.generations[made].results for made in step.candidates)
    if step is not None and step.proposal.clusters and best is not None and not measured:
        return _read(state, step.proposal.clusters, best)
    for generation in reversed(state.generations):
        for split in ("dev", "train"):
            if found := generation.results.get(split):
                return replace(_measured(state, generation, found), key=generation.key, part=split)
    return Failures("nothing measured yet")


def _read(state: State, now: Mapping[str, int], best: Generation) -> Failures:
    """Compared with what the agent read when it proposed the step that the incumbent came of, where it read as many."""
    made = next((one for one in state.steps if one.id == best.proposal), None)
    of, seen, key = f"g{best.index}", ", as the agent read", best.key
    kinds = frozenset(kind for measured in best.results.values() for kind in measured.failures)
    if made is None or best.parent is None or sum(made.proposal.clusters.values()) != sum(now.values()):
        return Failures(of, seen, _wrong(now), key=key, kinds=kinds)
    before = _wrong(made.proposal.clusters)
    return Failures(of, seen, _wrong(now), f"g{best.parent}", before, key, kinds=kinds)


def _measured(state: State, generation: Generation, found: Evaluated) -> Failures:
    """Compared with its parent on the same cases."""
    of, seen = f"g{generation.index}", f" on {found.split}, n = {found.n}"
    was = None if generation.parent is None else state.generations[generation.parent].results.get(found.split)
    if was is None or was.n != found.n:
        return Failures(of, seen, found.failures)
    return Failures(of, seen, found.failures, f"g{generation.parent}", was.failures)


def _wrong(clusters: Mapping[str, int]) -> dict[str, int]:
    return {kind: count for kind, count in clusters.items() if kind != RIGHT}


def failure_line(found: Failures, name: str, width: int) -> Line:
    """How often, with a bar and the change."""
    most, left = max(1, *found.now.values()) if found.now else 1, width - 8 - (_CHANGE if found.since else 0)
    name_room = min(26, max(8, min(width // 2, left - 1)))
    room = max(1, left - name_room)
    count, change = found.now.get(name, 0), _change(found, name)
    drawn = f"{bar(count / most, room):<{room}}" if change else bar(count / most, room)
    return line(fit(name, name_room), f" {thousands(count):>6} ", (drawn, "$warning"), *change)


def _change(found: Failures, name: str) -> list[Piece]:
    """`−12 ▼`, `+3 ▲`, `=`: fewer failures are the good news."""
    if not found.since:
        return []
    by = found.now.get(name, 0) - found.before.get(name, 0)
    said = f"{'+' if by > 0 else '−'}{abs(by):,} {'▲' if by > 0 else '▼'}" if by else "="
    return [(f"{said:>{_CHANGE}}", DIM if not by else BAD if by > 0 else GOOD)]
