"""The Meta-Agent as a language model: it writes the first harness as files, which are checked and smoked before they count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from sia_tui.agents.llm.answers import Edit, Invalid, edited
from sia_tui.agents.llm.asking import NoAnswer, ask
from sia_tui.agents.llm.calls import Calls
from sia_tui.agents.llm.roles import Role
from sia_tui.agents.llm.transcript import fenced, transcript
from sia_tui.agents.protocol import Brief, Declined, Solved, Workbench, Written

LABELS = 400


class File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    path: str = Field(description="relative to the harness folder")
    text: str


class Package(BaseModel):
    """All of it."""

    model_config = ConfigDict(extra="forbid")
    files: list[File] = Field(min_length=1, max_length=20, description="every file; one that is left out is not there")
    note: str = Field(max_length=2000, description="what the harness does and why, in a few sentences")


class ModelMetaAgent:
    def __init__(self, role: Role, calls: Calls) -> None:
        self._role, self._calls = role, calls

    async def first_harness(self, brief: Brief, seed: Mapping[str, str], bench: Workbench) -> Written:
        """The seed, where the model has no valid answer. Raises NoAnswer where there is no seed either."""

        async def accept(said: Package) -> Written:
            edits = [Edit(path=file.path, find=None, text=file.text) for file in said.files]
            files = edited({}, edits, brief.surface)
            try:
                made = await bench.smoke(files)
            except Declined as reason:
                raise Invalid(f"the harness does not run: {reason}") from None
            if broken := [one for one in made if one.attempt.error is not None]:
                raise Invalid("the harness fails:\n" + "\n\n".join(transcript(one) for one in broken))
            answers = ", ".join(repr(one.attempt.answer) for one in made)
            right = sum(one.score.failure is None for one in made)
            note = f"{said.note}\n\nSmoked on {len(made)} train cases: answered {answers}; {right} right."
            return Written(files, note, self._role.model)

        try:
            question = _question(brief, seed, bench.samples)
            made: Written = await ask("meta", self._role, self._calls, ("meta", "contract"), question, Package, accept)
        except NoAnswer as reason:
            if not seed:
                raise
            self._calls.failed("meta", str(reason), "the house's first harness stands")
            return Written(seed)
        return made


def _question(brief: Brief, seed: Mapping[str, str], samples: Sequence[Solved]) -> str:
    house = "\n\n".join(fenced(text, path) for path, text in sorted(seed.items())) or "there is none"
    shown = "\n\n".join(fenced(_solved(sample), sample.case) for sample in samples)
    return (
        f"## Task\n{brief.name}\n\n{brief.description}\n\n"
        f"## Answers\n{_answers(brief)}\n\n"
        f"## Solved cases of train\n{shown}\n\n"
        f"## The house's first harness\n{house}"
    )


def _answers(brief: Brief) -> str:
    if not brief.labels:
        return "An answer is a text; there is no list of them."
    labels = "\n".join(brief.labels[:LABELS])
    return f"{len(brief.labels)} are possible:\n{fenced(labels, 'labels')}"


def _solved(sample: Solved) -> str:
    inputs = "\n".join(f"{name}: {text}" for name, text in sample.inputs.items())
    return f"{inputs}\nexpected: {sample.expected}"
