"""Which step wrote each line of a harness' file, and what that step gained."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sia_tui.core.proposals import Lever
from sia_tui.core.state import Generation, State, Step

_HEAD = re.compile(r"([0-9a-f]{40,64}) \d+ (\d+)(?: \d+)?")


@dataclass(frozen=True)
class Written:
    """A line of a file, and the commit that it came by."""

    number: int
    text: str
    commit: str


@dataclass(frozen=True)
class Credit:
    """What a commit was to the run."""

    commit: str
    name: str
    """`g2`, or the id of a proposal that became none; of another run `run/g2`; what was planted before it is g0's."""
    title: str
    lever: Lever | None
    outcome: str
    gain: float | None = None
    """On dev, in reward units, with its 95 % interval; None where it was not measured against anything."""
    lo: float | None = None
    hi: float | None = None


def parse(porcelain: str) -> tuple[Written, ...]:
    """What `git blame --porcelain` says. Raises ValueError where that is something else."""
    return tuple(_written(porcelain))


def _written(porcelain: str) -> Iterator[Written]:
    """A line's own text alone begins with a tab; what git says of its commit stands between the two."""
    head: re.Match[str] | None = None
    for line in porcelain.split("\n"):
        if head is None:
            head = _HEAD.fullmatch(line)
            if head is None and line:
                raise ValueError(f"git blame says something unknown: {line[:80]!r}")
        elif line.startswith("\t"):
            yield Written(int(head[2]), line[1:], head[1])
            head = None
    if head is not None:
        raise ValueError("git blame ends within a line")


def credits(
    state: State, written: Sequence[Written], named: Mapping[str, str], other: Callable[[str], State | None]
) -> dict[str, Credit]:
    """By commit. `other`: the state of a run by its name; None where there is none to be read."""
    found = {commit: credit(state, commit, named) for commit in {line.commit for line in written}}
    elsewhere = {commit: one.name.rpartition("/")[0] for commit, one in found.items()}
    states = {run: other(run) for run in set(elsewhere.values()) if run}
    for commit, run in elsewhere.items():
        if (there := states.get(run)) is not None:
            found[commit] = replace(credit(there, commit, named), name=found[commit].name)
    return found


def credit(state: State, commit: str, named: Mapping[str, str]) -> Credit:
    """`named`: tags of the repository by commit, `run/g2`, for what came of another run."""
    made = next((made for made in state.generations if made.commit == commit), None)
    if made is not None:
        return _of_generation(state, made)
    step = next((step for step in state.steps if step.commit == commit), None)
    if step is not None:
        return _of_step(step)
    name = named.get(commit, "")
    return Credit(commit, name or "g0", f"of run {name}" if name else "as it was planted", None, "before the run")


def _of_generation(state: State, made: Generation) -> Credit:
    step = next((step for step in state.steps if made.index in step.candidates), None)
    outcome = {None: "not decided", True: "kept", False: "rolled back"}[made.kept]
    if step is None:
        return Credit(made.commit, f"g{made.index}", state.beginning, None, "kept")
    found = step.measure_of(made.index)
    gained = (found.gain, found.lo, found.hi) if found else (None, None, None)
    return Credit(made.commit, f"g{made.index}", step.proposal.title, made.lever, outcome, *gained)


def _of_step(step: Step) -> Credit:
    outcome = f"refused by {step.refused.by}" if step.refused else "not decided"
    return Credit(step.commit or "", step.id, step.proposal.title, step.proposal.lever, outcome)
