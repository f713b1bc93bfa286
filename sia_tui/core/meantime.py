"""What is measured to know more, not to decide: at a person's wish, while a gate waits, and once a step is decided.

Pure: from a run's state to the next thing to measure.
"""

from __future__ import annotations

from dataclasses import dataclass

from sia_tui.core.attribution import Pair, pairs
from sia_tui.core.hunks import hunks
from sia_tui.core.state import State, Step

MOST_HUNKS = 6
"""A patch of more is not traced: each costs a harness of its own."""


@dataclass(frozen=True)
class Gather:
    """More evidence for a gate that was withdrawn for it."""

    proposal: str


@dataclass(frozen=True)
class Attribute:
    """Measure the fourth cell of a kept pair."""

    pair: Pair


@dataclass(frozen=True)
class Match:
    """Spend a patch's tokens on the incumbent: so many answers to each case of the preview, the first of them there already."""

    proposal: str
    samples: int


@dataclass(frozen=True)
class Trace:
    """Answer what a patch changed again, without each of its hunks in turn."""

    proposal: str


@dataclass(frozen=True)
class Repeat:
    """Measure a generation on dev once more, under another sampling seed."""

    generation: int
    number: int
    """Which repeat, from 1: the seed is the run's and so many more."""


def more_for(state: State, step: Step) -> tuple[str, bool]:
    """What more can be had for a step's open gate, and True; or why nothing can, and False."""
    gate, seen, best = step.open_gate, step.preview, state.best
    if gate is not None and gate.kind == "keep":
        if step.evidence and not step.evidence[-1].moved:
            return "no reward changed with the seed: more seeds would bring nothing", False
        return "candidate and incumbent on dev under another sampling seed", True
    if step.proposal.lever == "weights":
        return "a plan has nothing more to show before it is trained: its pilot's rollouts are there to read", False
    if seen is None or best is None:
        return "nothing of it was measured, so there is nothing to measure more of", False
    if seen.n >= best.results["train"].n:
        return f"the preview is over all {seen.n} train cases already", False
    return "its preview on as many further train cases", True


def afterwards(state: State, attribute: bool, most: int) -> Attribute | Trace | None:
    """What is left to learn of the newest step, once it is decided."""
    step = state.made[-1] if state.made else None
    if step is None or not step.closed:
        return None
    told = {found.new for found in state.tables}
    for pair in pairs(state) if attribute else ():
        if pair.new in step.candidates and pair.new not in told:
            return Attribute(pair)
    return Trace(step.id) if _traceable(step, most) else None


def while_waiting(state: State, repeats: int, most: int, samples: int) -> Match | Repeat | Trace | None:
    """What may be measured while a gate waits for a person: the incumbent, for what a patch's tokens would bring it and for
    the noise of its score on dev, and at a gate about a result where that came from. Never the candidate before the yes, and
    never hidden.

    None of it changes the gate's hash: it is no evidence for or against the proposal that the answer could rest on.
    """
    best, step = state.best, state.current
    if best is None or step is None or step.open_gate is None or "dev" not in best.results:
        return None
    if (wanted := unmatched(step, samples)) and step.open_gate.kind == "step":
        return Match(step.id, wanted)
    if len(state.repeats) < repeats:
        return Repeat(best.index, len(state.repeats) + 1)
    return Trace(step.id) if _traceable(step, most) else None


def unmatched(step: Step, most: int) -> int:
    """How many answers of the incumbent take about a patch's tokens, at most `most`; 0 where that is no more than one, or
    known already of as many cases."""
    seen, known = step.preview, step.matched
    if seen is None or not seen.tokens_before or (known is not None and known.n == seen.n):
        return 0
    samples = round(min(most, seen.tokens_after / seen.tokens_before))
    return samples if samples > 1 else 0


def untraced(step: Step, most: int) -> str:
    """Why it is not told which of a patch's hunks a case came through; nothing where that was told, or goes without saying."""
    many = len(hunks(step.proposal.patch)) if step.proposal.patch else 0
    if step.traced is not None or many < 2:
        return ""
    if most < 1:
        return "evaluate.trace is 0"
    if step.proposal.lever != "harness":
        return "its weights change with it"
    if many > MOST_HUNKS:
        return f"it has {many}, and {MOST_HUNKS} are the most"
    return "only once dev has measured it" if step.measured is None else "an engine does it while this waits"


def _traceable(step: Step, most: int) -> bool:
    """A measured patch of several hunks that changed something."""
    found, patch = step.measured, step.proposal.patch
    if most < 1 or found is None or patch is None or step.traced is not None or step.proposal.lever != "harness":
        return False
    return bool(found.fixed or found.broke) and 2 <= len(hunks(patch)) <= MOST_HUNKS
