"""The story that git tells of a run: its generations and the proposals that never became one, in order."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from sia_tui.core.attribution import attribution
from sia_tui.core.attribution import told as attributed
from sia_tui.core.clock import when
from sia_tui.core.state import Generation, State, Step
from sia_tui.core.telling import percent, points, pooled, traced
from sia_tui.core.text import one_line
from sia_tui.tui.lineage import ALONE, Node, Rail, rails
from sia_tui.tui.pieces import (
    BAD,
    DIM,
    GOOD,
    STRONG,
    WARN,
    Line,
    Piece,
    bar,
    cells,
    fit,
    interval,
    line,
    minutes,
    thousands,
)
from sia_tui.tui.planned import outcome

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""What git calls a tree without files."""

SERVES, UNBORN, MARKED = ("▸", GOOD), ("✗", DIM), ("◆", f"bold {WARN}")
FATES = {True: ("●", GOOD), False: ("○", BAD), None: ("…", WARN)}
"""Of a generation that does not serve, by whether it was kept."""


@dataclass(frozen=True)
class Entry:
    """A generation, or a proposal that was refused or that a person put another one in the place of."""

    generation: Generation | None
    step: Step | None

    @property
    def name(self) -> str:
        """`g2`, or the proposal's id."""
        return f"g{self.generation.index}" if self.generation else self.step.id if self.step else ""

    @property
    def commit(self) -> str | None:
        return self.generation.commit if self.generation else self.step.commit if self.step else None

    @property
    def stops(self) -> bool:
        """Proposed by whoever would have ended the run."""
        return self.step is not None and self.step.proposal.lever == "stop"

    def harness(self, state: State) -> str | None:
        """The commit of its harness: of a stop the one that it leaves as it is."""
        return self.commit or (self.base(state) if self.stops else None)

    @property
    def lasting(self) -> bool:
        """Not given up."""
        return self.generation is not None and self.generation.kept is not False

    def parent(self, state: State) -> int | None:
        """The generation that it was made from."""
        if self.generation is not None:
            return self.generation.parent
        base = self.base(state)
        return next((made.index for made in state.generations if made.commit == base), None)

    def base(self, state: State) -> str | None:
        """The commit it was made from; of the seed, nothing at all."""
        if self.step is None:
            return EMPTY_TREE
        if self.generation is not None and self.generation.parent is not None:
            return state.generations[self.generation.parent].commit
        return self.step.proposal.base_commit


def no_difference(*sides: Entry | None) -> str:
    """Why there may be none between two."""
    stop = next((side for side in sides if side is not None and side.stops), None)
    return (
        f"no difference: {stop.name} is a proposal to stop, which changes nothing"
        if stop
        else "no difference in the harness"
    )


def entries(state: State) -> list[Entry]:
    """Oldest first: the seed, then what every step became. A step that is still undecided is left to the gate."""
    found = [Entry(generation, None) for generation in state.generations if generation.proposal is None]
    for step in state.steps:
        found += [Entry(state.generations[index], step) for index in step.candidates]
        over = step.refused is not None or step.amended is not None
        found += [Entry(None, step)] if over and not step.candidates else []
    return found


def tree(found: Sequence[Entry], state: State) -> list[Rail]:
    """The lineage beside these entries."""
    rows = {entry.generation.index: row for row, entry in enumerate(found) if entry.generation}
    return rails([_node(entry, state, rows) for entry in found])


def _node(entry: Entry, state: State, rows: Mapping[int, int]) -> Node:
    parent = entry.parent(state)
    return Node(rows.get(parent) if parent is not None else None, entry.lasting)


def heading(width: int, rail: int = 0) -> Line:
    """`rail`: cells that the lineage takes up beside its mark."""
    names = ("", "lever", "step", "dev [95 %]", "gain [95 %]", "hidden", "verdict", "dev", "commit")
    return line((_ruled(*names, width=width, rail=rail), DIM))


def told(entry: Entry, state: State, marked: bool, width: int, rail: Rail = ALONE) -> Line:
    """One row of the list."""
    glyph, tone = mark(entry, state)
    row = _ruled(
        entry.name,
        _lever(entry),
        _title(entry),
        _dev(entry.generation),
        _gain(entry) or ("" if width >= WIDE else " by ".join(_over(entry))),
        _hidden(entry.generation),
        _verdict(entry),
        _bar(entry.generation, state),
        (entry.commit or "–")[:8],
        width=width,
        rail=len(rail.before + rail.after),
    )
    return line(
        (f"{MARKED[0]} " if marked else "  ", MARKED[1]),
        (rail.before, DIM),
        (glyph, tone),
        (rail.after, DIM),
        (row[_LEFT + len(rail.before + rail.after) :], "" if entry.generation else DIM),
    )


_LEFT = 3
WIDE = 112
"""Cells from which on there is room for the verdicts."""
_NAMED, _LEVER, _DEV, _MEAN, _GAINED, _HID, _BY, _BAR, _COMMIT = 10, 7, 20, 7, 21, 7, 10, 8, 8


def _ruled(
    name: str,
    lever: str,
    title: str,
    dev: str,
    gain: str,
    hidden: str,
    by: str,
    score: str,
    commit: str,
    width: int,
    rail: int,
) -> str:
    """The columns of a row; a narrow window goes without the last ones."""
    wide = width >= 100
    right = f" {fit(dev, _DEV) if wide else fit(dev.split(' [', 1)[0], _MEAN)} {fit(gain, _GAINED)}"
    if wide:
        right += f" {hidden:>{_HID}}"
    if width >= WIDE:
        right += f"  {fit(by, _BY)} {fit(score, _BAR)}"
    if width >= 136:
        right += f" {commit:<{_COMMIT}}"
    left = f"{'':<{_LEFT + rail}} {fit(name, _NAMED)} {fit(lever, _LEVER)}"
    return f"{left} {fit(title, max(4, width - cells(left) - cells(right) - 1))}{right}"


def mark(entry: Entry, state: State) -> tuple[str, str]:
    generation = entry.generation
    if generation is None:
        return UNBORN
    if generation.index == state.incumbent:
        return SERVES
    return FATES[generation.kept]


def _lever(entry: Entry) -> str:
    if entry.step is None:
        return "seed"
    return (entry.generation and entry.generation.lever) or entry.step.proposal.lever


def _verdict(entry: Entry) -> str:
    """The last one, and whose it was."""
    if over := _over(entry):
        return f"{'↷' if over[0] == 'amended' else '✗'} {over[1]}"
    last = entry.step.verdicts[-1] if entry.step and entry.step.verdicts else None
    return f"{'✓' if last.kind == 'approve' else '✗'} {last.by}" if last else ""


def _bar(generation: Generation | None, state: State) -> str:
    """Dev as a bar, the longest of the run filling its cells."""
    means = [made.results["dev"].mean for made in state.generations if "dev" in made.results]
    found = generation.results.get("dev") if generation else None
    return bar(found.mean / max(means), _BAR) if found and max(means) > 0 else ""


def _title(entry: Entry) -> str:
    return entry.step.proposal.title if entry.step else "the first harness"


def _dev(generation: Generation | None) -> str:
    found = generation.results.get("dev") if generation else None
    return f"{percent(found.mean)} [{100 * found.lo:.1f}, {100 * found.hi:.1f}]" if found else ""


def _gain(entry: Entry) -> str:
    found = entry.step.measure_of(entry.generation.index) if entry.step and entry.generation else None
    return f"{points(found.gain)} {interval(found.lo, found.hi)}" if found else ""


def _over(entry: Entry) -> tuple[str, ...]:
    """What became of a proposal that is no generation, and by whom; nothing of one that is."""
    step = None if entry.generation else entry.step
    if step is not None and step.amended is not None:
        return "amended", step.amended.by
    return ("refused", step.refused.by) if step is not None and step.refused is not None else ()


def _hidden(generation: Generation | None) -> str:
    """Told to people once a generation is kept, and never to agents."""
    found = generation.results.get("hidden") if generation and generation.kept else None
    return percent(found.mean) if found else ""


def facts(entry: Entry, state: State, now: datetime) -> list[Line]:
    """The few lines above the diff: what was decided, by whom and why."""
    step = entry.step
    commit = f"   commit {entry.commit[:12]}" if entry.commit else ""
    if step is None:
        return [line((entry.name, STRONG), "  the first harness of the run", (commit, DIM))]
    glyph, tone, said = outcome(step, entry.generation.index if entry.generation else None)
    lines = [
        line((entry.name, STRONG), f"  {step.proposal.title}", (f"   {step.id}{commit}", DIM)),
        line((f"{glyph} {said}", tone)),
    ]
    for gate, verdict in zip(step.gates, step.verdicts, strict=False):
        note = f": {verdict.note}" if verdict.note else ""
        at = f"  {when(verdict.at, now)}"
        lines.append(line((f"{gate.id} ", DIM), f"{verdict.kind} by {verdict.by}{note}", (at, DIM)))
    found = attribution(state, step)
    texts = [*(pooled(one) for one in step.evidence), *(attributed(found) if found else ())]
    texts += traced(step.traced) if step.traced else []
    return [*lines, *map(line, texts)]


def trained(entry: Entry) -> list[Line]:
    """What there is to see where only weights changed: no line of the harness did."""
    step = entry.step
    lever = entry.generation.lever if entry.generation else step.proposal.lever if step else None
    if step is None or step.proposal.plan is None or lever != "weights":
        return []
    lines = [
        line((f"{item.name:<16}", DIM), f"{getattr(step.proposal.plan, item.name)}")
        for item in fields(step.proposal.plan)
    ]
    made = step.trained
    if made is None:
        return [line(("PLAN", STRONG), (" · never trained", DIM)), *lines]
    rows: list[list[Piece]] = [
        [("adapter         ", DIM), made.adapter[:16]],
        [("steps           ", DIM), f"{made.steps}, best {made.best_step} ({made.stopped})"],
        [("held out        ", DIM), f"{percent(made.held_out_before)} → {percent(made.held_out_after)}"],
        [("rollouts        ", DIM), f"{thousands(made.rollouts)} in {minutes(made.seconds)}"],
        [("modules moved   ", DIM), f"{made.moved} of {made.modules}"],
        [("served = trained", DIM), f" largest difference of a logprob {made.probe_gap:.1e}"],
    ]
    return [line(("TRAINED", STRONG)), *(line(*row) for row in rows), line(), line(("PLAN", STRONG)), *lines]


def commands(run: str, entry: Entry) -> list[str]:
    """What to type to go on from a generation, or to take the patches that led to it away."""
    if entry.generation is None:
        return []
    # A shell reads them, and a name is the log's word.
    run, folder = (shlex.quote(one_line(name)) for name in (run, f"{run}-{entry.name}-patches"))
    return [
        f"sia-tui rollback {run} {entry.name}",
        f"sia-tui branch {run} {entry.name}",
        f"sia-tui export {run} {entry.name} --patches {folder}",
    ]
