"""The critic: a second model that is shown a proposal and its evidence, and says what speaks against it. It decides nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sia_tui.agents.llm.answers import Invalid
from sia_tui.agents.llm.asking import NoAnswer, ask
from sia_tui.agents.llm.calls import Calls
from sia_tui.agents.llm.evidence import generations, steps
from sia_tui.agents.llm.roles import Role
from sia_tui.agents.llm.transcript import fenced, texts, transcript
from sia_tui.agents.protocol import Reading, Record
from sia_tui.core import advice, memo
from sia_tui.core import events as ev
from sia_tui.core.planted import planted
from sia_tui.core.proposals import Proposal, Review
from sia_tui.core.state import Step
from sia_tui.core.telling import points, tell
from sia_tui.core.text import one_line

LONGEST_CHANGE = 60_000
"""Characters of a diff that are shown."""
LONGEST_EPISODE = 12_000
EPISODES = 60_000
"""Characters of all episodes together."""
NOTE = 400


class Reviewed(BaseModel):
    """Your word on the proposal."""

    model_config = ConfigDict(extra="forbid")
    doubt: Literal["none", "some", "serious"]
    note: str = Field(
        min_length=3, max_length=NOTE, description="the one reason that counts most, in a sentence or two"
    )
    evidence: list[str] = Field(default_factory=list, max_length=5, description="ids of episodes it rests on: e-…")


class ModelCritic:
    def __init__(self, role: Role, calls: Calls) -> None:
        self._role, self._calls = role, calls

    async def review(self, record: Record, step: Step) -> Review:
        shown = named(record, step.proposal)
        known, flagged = {reading.episode for reading in shown}, tuple(_flagged(step.proposal, shown))

        def accept(said: Reviewed) -> Review:
            unknown = [episode for episode in said.evidence if episode not in known]
            if unknown:
                raise Invalid(f"you were shown no episode {one_line(', '.join(unknown), 100)}")
            note, evidence = one_line(said.note, NOTE), tuple(dict.fromkeys(said.evidence))
            return Review(self._role.model, said.doubt, note, evidence, flagged)

        question = page(record, step, shown)
        try:
            made: Review = await ask("critic", self._role, self._calls, ("critic",), question, Reviewed, accept)
        except NoAnswer as reason:
            return Review(self._role.model, "unheard", one_line(str(reason), NOTE), (), flagged)
        return made


def named(record: Record, proposal: Proposal) -> list[Reading]:
    """The incumbent's episodes of train and dev that a proposal points to, in its order."""
    if not proposal.evidence:
        return []
    found = {
        reading.episode: reading
        for readings in (record.trajectories("train"), record.trajectories("dev"))
        for reading in readings
        if reading.episode in proposal.evidence
    }
    return [found[episode] for episode in dict.fromkeys(proposal.evidence) if episode in found]


def page(record: Record, step: Step, shown: Sequence[Reading]) -> str:
    """Markdown; whatever others wrote is fenced."""
    state, proposal = record.state, step.proposal
    sections = {
        "Task": f"{record.brief.name}\n\n{record.brief.description}",
        "Generations": "\n".join(generations(state)) or "none yet: this is the first harness",
        "Steps so far": fenced("\n".join(steps(state)) or "none", "steps"),
        "The proposal": fenced("\n".join(_said(proposal)), step.id),
        "What it would do": _change(proposal),
        "What the checks said": fenced("\n".join(_checks(step)) or "nothing", "checks"),
        "What was tried of it": _tried(step),
        "How its author's earlier promises held": _held(step),
        "Episodes that it points to": "\n\n".join(_episodes(proposal, shown)) or "none",
    }
    return "\n\n".join(f"## {title}\n{body}" for title, body in sections.items())


def _flagged(proposal: Proposal, shown: Iterable[Reading]) -> Iterator[str]:
    own = (proposal.title, proposal.reason, proposal.refuted_by, proposal.patch or "")
    for where, said in (("the proposal", own), *((reading.episode, texts(reading)) for reading in shown)):
        if passage := planted(said):
            yield f"{where}: {passage}"


def _said(proposal: Proposal) -> Iterator[str]:
    yield f"{proposal.lever}: {proposal.title} (idea {proposal.idea}, by {proposal.agent})"
    yield f"reason: {proposal.reason}"
    if proposal.predicted_gain is not None:
        within = "" if proposal.predicted_range is None else f", within {_range(proposal.predicted_range)}"
        yield f"promises {points(proposal.predicted_gain)} points on dev{within}"
    if proposal.predicted_cost:
        yield "costs " + ", ".join(f"{name} ×{factor:g}" for name, factor in proposal.predicted_cost.items())
    if proposal.refuted_by:
        yield f"would be proved wrong by: {proposal.refuted_by}"


def _range(bounds: tuple[float, float]) -> str:
    return f"[{points(bounds[0])}, {points(bounds[1])}]"


def _change(proposal: Proposal) -> str:
    done = [fenced(_cut(proposal.patch, LONGEST_CHANGE), "patch")] if proposal.patch else []
    done += [fenced(json.dumps(asdict(proposal.plan), indent=1), "plan")] if proposal.plan else []
    return "\n\n".join(done) or "nothing: the run would end, and test be opened"


def _checks(step: Step) -> Iterator[str]:
    return (f"{light.level} {light.name}: {light.detail}" for light in step.lights or ())


def _tried(step: Step) -> str:
    done = [str(tell(ev.PreviewDone(step.id, step.preview)))] if step.preview else []
    done += [advice.text(advice.page(step.pilot.pilot, step.pilot.advised))] if step.pilot else []
    return "\n\n".join(done) or "nothing"


def _held(step: Step) -> str:
    return "it promises nothing" if step.record is None else memo.told(step.record)


def _episodes(proposal: Proposal, shown: Sequence[Reading]) -> Iterator[str]:
    left = EPISODES
    for reading in shown:
        text = _cut(transcript(reading), min(left, LONGEST_EPISODE))
        left -= min(left, len(text))
        yield fenced(text, reading.episode)
    if strange := set(proposal.evidence) - {reading.episode for reading in shown}:
        yield f"{len(strange)} more that are no episodes of the incumbent's train or dev"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n[{len(text) - most} more characters are not shown]"
