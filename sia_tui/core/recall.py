"""What is worth remembering of a run, read off its state: ideas, failures, constraints, predictions.

Only what agents may know: gains are dev's, and nothing here looks at hidden or test.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sia_tui.core.forecast import Forecast
from sia_tui.core.hashing import short_id
from sia_tui.core.proposals import RIGHT, Lever
from sia_tui.core.pulls import Pull, Seen, Turn, features
from sia_tui.core.state import MACHINE, Generation, State, Step

Outcome = Literal["kept", "rolled back", "refused"]
_JUDGES = ("checks", "preview", "training", "auto")
"""By whom a step is refused for what it is."""
SHORTEST = 1 / 60
"""Minutes that a step counts for at least: what is refused at once costs nobody a division by nothing."""


@dataclass(frozen=True)
class Idea:
    """What was tried, and how it ended."""

    id: str
    """Of its proposal."""
    run: str
    at: str
    """When it was proposed."""
    idea: str
    change: str
    """Digest of what it did, to know it again under another name."""
    title: str
    agent: str
    lever: Lever
    base: int | None
    """The generation it was tried on."""
    outcome: Outcome
    why: str
    gain: float | None = None
    """On dev, with its 95 % interval over `n` cases; None where it was not measured."""
    lo: float | None = None
    hi: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Cluster:
    """A class of failures, as agents counted it on the generations they read."""

    id: str
    run: str
    at: str
    failure: str
    counts: Mapping[str, int]
    """`g<N>` to trajectories, those generations alone that had any."""

    @property
    def first(self) -> str:
        return next(iter(self.counts))

    @property
    def last(self) -> str:
        return [*self.counts][-1]


@dataclass(frozen=True)
class Constraint:
    """What a person asked for: the reason of a no, or a note on the task."""

    id: str
    run: str
    """Empty for a note, which belongs to no run."""
    at: str
    text: str
    by: str
    gate: str = ""
    about: str = ""
    """Title of the proposal that was refused."""


Item = Idea | Cluster | Constraint | Forecast | Pull


@dataclass(frozen=True)
class Memory:
    """Of one task, oldest first."""

    task: str = ""
    ideas: tuple[Idea, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    pulls: tuple[Pull, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        return (*self.ideas, *self.clusters, *self.constraints, *self.forecasts, *self.pulls)

    def without(self, struck: Collection[str]) -> Memory:
        """Less the items with these ids; an idea, its prediction and what it paid share one."""
        return memory_of(self.task, [item for item in self.items if item.id not in struck])

    def joined(self, other: Memory) -> Memory:
        """Both, each item once."""
        return memory_of(
            self.task, {(type(item), item.run, item.id): item for item in (*self.items, *other.items)}.values()
        )


def memory_of(task: str, items: Iterable[Item]) -> Memory:
    """The items by kind, oldest first whatever order they come in."""
    known = sorted(items, key=lambda item: (item.at, item.run, item.id))
    return Memory(
        task,
        tuple(item for item in known if isinstance(item, Idea)),
        tuple(item for item in known if isinstance(item, Cluster)),
        tuple(item for item in known if isinstance(item, Constraint)),
        tuple(item for item in known if isinstance(item, Forecast)),
        tuple(item for item in known if isinstance(item, Pull)),
    )


def note(task: str, text: str, by: str, at: str) -> Constraint:
    """A person's own word to the agents of a task; the same text is the same note."""
    return Constraint(short_id("n", [task, text]), "", at, text, by)


def recall(state: State) -> Memory:
    """What a run has taught so far: steps that are over, classes of failures as read, reasons of people."""
    steps = [step for step in state.made if step.proposal.lever != "stop"]
    ideas = [idea for step in steps if (idea := _idea(state, step))]
    forecasts = [made for step in steps if (made := _forecast(state, step))]
    return memory_of(state.task, [*ideas, *_clusters(state), *_constraints(state), *forecasts, *_pulls(state)])


def _idea(state: State, step: Step) -> Idea | None:
    """None while it is under way, and where the machine or a stop of the run kept it from being judged."""
    ended = _ended(state, step)
    if ended is None:
        return None
    asked, found = step.proposal, step.measured
    idea = Idea(
        step.id,
        state.run,
        step.made_at,
        asked.idea,
        asked.change,
        asked.title,
        asked.agent,
        asked.lever,
        _base(state, step),
        *ended,
    )
    return replace(idea, gain=found.gain, lo=found.lo, hi=found.hi, n=found.n) if found else idea


def _ended(state: State, step: Step) -> tuple[Outcome, str] | None:
    if step.refused is not None:
        refused = step.refused
        return None if refused.by == MACHINE else ("refused", f"by {refused.by}: {refused.reason or 'no reason given'}")
    made = None if step.generation is None else state.generations[step.generation]
    if made is None or made.kept is None:
        return None
    return ("kept" if made.kept else "rolled back"), made.why


def _base(state: State, step: Step) -> int | None:
    made = _generation(state, step)
    return made.index if made else None


def _generation(state: State, step: Step) -> Generation | None:
    """The one that it was proposed on."""
    commit = step.proposal.base_commit
    return next((made for made in state.generations if made.commit == commit), None)


def _clusters(state: State) -> list[Cluster]:
    """By the counts that came with proposals: the same failures read again on a generation are counted once."""
    seen: dict[str, dict[int, int]] = {}
    for step in state.made:
        base = _base(state, step)
        for failure, count in step.proposal.clusters.items() if base is not None else ():
            if count and failure != RIGHT:
                seen.setdefault(failure, {})[base] = count  # type: ignore[index]
    return [
        Cluster(
            short_id("f", [state.run, failure]),
            state.run,
            state.created_at,
            failure,
            {f"g{index}": counts[index] for index in sorted(counts)},
        )
        for failure, counts in seen.items()
    ]


def _constraints(state: State) -> list[Constraint]:
    """The reason of every no that a person gave one with, and every hunk that one dropped."""
    return [*_dropped(state), *_reasons(state)]


def _dropped(state: State) -> Iterator[Constraint]:
    for step in state.steps:
        for hunk in step.amended.dropped if step.amended else ():
            assert step.amended is not None and step.ended_at
            lines = " ".join(line.strip() for line in hunk.text.splitlines()[1:] if line[:1] in ("+", "-"))
            yield Constraint(
                short_id("c", [state.run, step.amended.gate, hunk.digest]),
                state.run,
                step.ended_at,
                f"dropped hunk {hunk.told}: {lines}",
                step.amended.by,
                step.amended.gate,
                step.proposal.title,
            )


def _reasons(state: State) -> list[Constraint]:
    return [
        Constraint(
            short_id("c", [state.run, said.gate]),
            state.run,
            said.at,
            said.note,
            said.by,
            said.gate,
            step.proposal.title,
        )
        for step in state.steps
        for said in step.verdicts
        if said.kind == "reject" and said.by != "auto" and said.note
    ]


def _forecast(state: State, step: Step) -> Forecast | None:
    asked, found = step.proposal, step.measured
    if found is None or asked.predicted_gain is None or not math.isfinite(asked.predicted_gain):
        return None
    return Forecast(
        step.id,
        state.run,
        step.made_at,
        asked.agent,
        asked.lever,
        asked.title,
        asked.predicted_gain,
        found.gain,
        found.lo,
        found.hi,
        asked.predicted_range,
        dict(asked.predicted_cost) | ({"training_s": step.pilot.expected_s} if step.pilot else {}),
        dict(found.cost) | ({"training_s": step.trained.seconds} if step.trained else {}),
    )


def turns(state: State) -> tuple[Turn, ...]:
    """The steps that were carried out or refused for what they are, oldest first."""
    return tuple(Turn(step.proposal.lever, kept) for step, kept in _tried(state))


def _tried(state: State) -> Iterator[tuple[Step, float | None]]:
    """Steps that say what their lever pays, each with the gain that was kept of it. A person's no, a fault of the machine
    and a stop of the run say nothing."""
    for step in state.made:
        ended = _ended(state, step) if step.proposal.lever != "stop" else None
        if ended is None or (step.refused is not None and step.refused.by not in _JUDGES):
            continue
        yield step, (step.measured.gain if step.measured and ended[0] == "kept" else None)


def _pulls(state: State) -> Iterator[Pull]:
    """Of steps of one lever: one of both is a turn, but what it pays is not one lever's.

    Features are those that were shown when the step was proposed; where a log has none, they are read off again.
    Milliseconds are what events are stamped with: below them is what the order of adding up made."""
    so_far: list[Turn] = []
    for step, kept in _tried(state):
        lever, base = step.proposal.lever, _generation(state, step)
        dev = base.results.get("dev") if base else None
        if base is not None and dev is not None and step.ended_s is not None and lever in ("harness", "weights"):
            seen = Seen(dev.mean, step.proposal.clusters, base.adapter is not None)
            shown = step.advice.features_of(lever) if step.advice else {}
            yield Pull(
                step.id,
                state.run,
                step.made_at,
                lever,
                dict(shown or features(lever, seen, so_far)),
                kept or 0.0,
                kept is not None,
                max(SHORTEST, round(step.ended_s - step.began_s, 3) / 60),
            )
        so_far.append(Turn(lever, kept))
