"""The page a Feedback-Agent starts from: everything counted, and a first look stratified by how episodes failed."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sia_tui.agents.advisor import advise
from sia_tui.agents.llm.transcript import fenced, kind_of, texts, transcript
from sia_tui.agents.protocol import Brief, Reading, Record
from sia_tui.core import advice, memo
from sia_tui.core.attribution import attribution
from sia_tui.core.attribution import told as attributed
from sia_tui.core.hashing import digest
from sia_tui.core.planted import planted
from sia_tui.core.proposals import RIGHT
from sia_tui.core.pulls import said
from sia_tui.core.recall import Memory
from sia_tui.core.state import Generation, State, Step
from sia_tui.core.telling import percent

FIRST_LOOK = 60_000
"""Characters of trajectories shown unasked; the tools give the rest."""
A_KIND = 4
"""Trajectories of one kind shown unasked, at the most."""
LISTED = 12
HUNKS = 2000
"""Characters of a patch that a person refused."""


@dataclass(frozen=True)
class Evidence:
    """The incumbent's trajectories, read once."""

    readings: tuple[Reading, ...]
    flagged: Mapping[str, str]
    """Episode id to the passage in it that reads like an instruction."""

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(reading.episode for reading in self.readings)

    @property
    def kinds(self) -> dict[str, list[Reading]]:
        """By kind, most frequent first."""
        found: dict[str, list[Reading]] = defaultdict(list)
        for reading in self.readings:
            found[kind_of(reading)].append(reading)
        return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def gather(record: Record) -> Evidence:
    readings = (*record.trajectories("train"), *record.trajectories("dev"))
    found = ((reading.episode, planted(texts(reading))) for reading in readings)
    return Evidence(readings, {episode: passage for episode, passage in found if passage})


def _answers(brief: Brief) -> str:
    return (
        f"{len(brief.labels)} possible answers." if brief.labels else "An answer is a text; there is no list of them."
    )


def page(record: Record, evidence: Evidence) -> str:
    """Markdown; whatever others wrote is fenced."""
    state, brief = record.state, record.brief
    sections = {
        "Task": f"{brief.name}\n\n{brief.description}\n\n{_answers(brief)}",
        "Generations": "\n".join(generations(state)),
        "Steps so far": "\n".join(steps(state)) or "none",
        "How the incumbent's episodes end": "\n".join(_kinds(evidence)),
        "Cases that changed with the incumbent": "\n".join(_flips(state)) or "nothing to compare with yet",
        "Remembered of this task": fenced(memo.page(_elsewhere(record)), "memory"),
        "What people ask for": memo.page(Memory(constraints=record.memory.constraints)),
        "Rewards, and the algorithm they ask for": _rewards(state),
        "Which lever pays": said(paying) if (paying := advise(record)) else "none may be pulled",
        "What may be done": "\n".join(_allowed(brief)),
        "Budget left": "\n".join(f"- {name}: {left}" for name, left in brief.left.items()) or "as configured",
        "Text that reads like instructions": "\n".join(_flagged(evidence)) or "none found",
        "The incumbent's harness": "\n\n".join(fenced(text, path) for path, text in sorted(record.files.items())),
        "A first look, some of every kind": "\n\n".join(first_look(evidence)),
    }
    return "\n\n".join(f"## {title}\n{body}" for title, body in sections.items())


def first_look(evidence: Evidence) -> Iterator[str]:
    """Trajectories in full, in turn from every kind, failures first, while there is room."""
    kinds = evidence.kinds
    right = kinds.pop(RIGHT, [])
    queues = [sorted(found, key=lambda reading: digest(reading.episode))[:A_KIND] for found in (*kinds.values(), right)]
    left = FIRST_LOOK
    for turn in range(A_KIND):
        for queue in queues:
            if turn < len(queue):
                text = fenced(transcript(queue[turn]), queue[turn].episode)
                if len(text) <= left:
                    left -= len(text)
                    yield text


def generations(state: State) -> Iterator[str]:
    """A line each, with its scores."""
    for generation in state.generations:
        mark = " (incumbent)" if generation.index == state.incumbent else ""
        kept = {True: "kept", False: "rolled back", None: "under way"}[generation.kept]
        yield f"- g{generation.index}{mark}, {generation.lever or 'first harness'}, {kept}: {_scores(generation)}"


def _scores(generation: Generation) -> str:
    scores = [
        f"{split} {percent(found.mean)} [{percent(found.lo)}, {percent(found.hi)}] of {found.n}"
        for split, found in generation.results.items()
        if split in ("train", "dev")
    ]
    return ", ".join(scores) or "not measured"


def steps(state: State) -> Iterator[str]:
    """Those that are over, a line each, with what came of them."""
    for step in state.steps:
        if step is state.current:
            continue
        said = step.proposal
        predicted = "" if said.predicted_gain is None else f", predicted {100 * said.predicted_gain:+.1f}"
        yield f"- {step.id} [{said.lever}] {said.title} (idea {said.idea}{predicted}): {_outcome(state, step)}"
        if _declined(step) and said.patch:
            yield "  what they said no to:\n" + fenced(said.patch[:HUNKS], f"patch of {step.id}")
        for hunk in step.amended.dropped if step.amended else ():
            yield "  what they dropped of it, not to come again:\n" + fenced(hunk.text[:HUNKS], hunk.told)


def _declined(step: Step) -> bool:
    """A person said no to it: its lines are what the next proposal must not come with again."""
    return step.refused is not None and any(
        verdict.kind == "reject" and verdict.by != "auto" for verdict in step.verdicts
    )


def _elsewhere(record: Record) -> Memory:
    """The memory less what this run tried, which is told already, and less what people say, which is no mere data."""
    memory, run = record.memory, record.state.run
    ideas = tuple(idea for idea in memory.ideas if idea.run != run)
    return replace(memory, ideas=ideas, constraints=())


def _outcome(state: State, step: Step) -> str:
    notes = [f"{verdict.by} said {verdict.kind}: {verdict.note}" for verdict in step.verdicts if verdict.note]
    if step.refused is not None:
        ending = f"refused by {step.refused.by}: {step.refused.reason}"
    elif step.amended is not None:
        ending = f"amended by {step.amended.by} into {step.amended.into}"
    elif step.measured is not None:
        found = step.measured
        ending = f"measured {100 * found.gain:+.1f} [{100 * found.lo:+.1f}, {100 * found.hi:+.1f}], {found.outcome}"
        apart = attribution(state, step)
        ending += "".join(f"\n  {line}" for line in attributed(apart)) if apart else ""
    else:
        ending = "not finished"
    return "; ".join((ending, *notes))


def _kinds(evidence: Evidence) -> Iterator[str]:
    n = max(1, len(evidence.readings))
    for kind, found in evidence.kinds.items():
        splits = {split: sum(reading.attempt.case.split == split for reading in found) for split in ("train", "dev")}
        ids = " ".join(reading.episode for reading in found[:LISTED])
        yield f"- {kind}: {len(found)} ({percent(len(found) / n)}; train {splits['train']}, dev {splits['dev']}); {ids}"


def _flips(state: State) -> Iterator[str]:
    made = next((step for step in reversed(state.steps) if state.incumbent in step.candidates), None)
    measured = made.measure_of(state.incumbent) if made and state.incumbent is not None else None
    if measured is not None:
        for name, cases in (("fixed", measured.fixed), ("broke", measured.broke)):
            yield f"- {name} {len(cases)} dev cases: {' '.join(cases[:LISTED])}"


def _rewards(state: State) -> str:
    made = state.piloted
    if made is None:
        return "no pilot on this incumbent yet: a weights proposal makes one before the person is asked"
    return advice.text(advice.page(made.pilot, made.advised))


def _allowed(brief: Brief) -> Iterator[str]:
    both = ("both",) if len(brief.levers) == 2 else ()
    yield f"- levers: {', '.join((*brief.levers, *both, 'stop'))}"
    yield f"- a patch may touch {', '.join(brief.surface)} in the harness folder"
    if brief.command:
        yield f"- the harness is started by: {shlex.join(brief.command)}"
    for plan in brief.offered:
        yield (
            f"- {plan.algorithm}, as the house would run it: {plan.steps} steps of {plan.cases_per_step} cases × "
            f"{plan.samples} samples, learning rate {plan.learning_rate:g}, LoRA rank {plan.rank}, KL {plan.kl:g}"
        )


def _flagged(evidence: Evidence) -> Iterator[str]:
    for episode, passage in list(evidence.flagged.items())[:LISTED]:
        yield f"- {episode} holds: {fenced(passage, 'passage')}"


def listed(readings: Sequence[Reading]) -> str:
    """One line each."""
    return "\n".join(
        f"{reading.episode} case {reading.attempt.case.id} {reading.attempt.case.split} {kind_of(reading)} "
        f"reward {reading.score.reward:g} answer {reading.attempt.answer!r} expected {reading.expected!r}"
        for reading in readings
    )
