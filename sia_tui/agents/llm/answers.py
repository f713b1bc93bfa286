"""What a Feedback-Agent's model fills in, and the proposal made of it. The diff is ours: a model names text, never lines."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sia_tui.core.diffs import patch
from sia_tui.core.plans import Algorithm, TrainPlan
from sia_tui.core.proposals import Proposal

MOST_FILES = 20
LONGEST_FILE = 200_000


class Invalid(ValueError):
    """An answer that cannot stand, with what is wrong, in words for the model."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Edit(_Answer):
    """One change of one file."""

    path: str = Field(description="relative to the harness folder, e.g. harness.py")
    find: str | None = Field(None, description="exact text that stands once in the file; null to write the whole file")
    text: str = Field(description="what is put in its place")


class Plan(_Answer):
    """A weights update; what is left out is as the house's plan of that algorithm has it."""

    algorithm: Algorithm
    steps: int | None = None
    cases_per_step: int | None = None
    samples: int | None = None
    cases: int | None = None
    learning_rate: float | None = None
    rank: int | None = None
    kl: float | None = None
    clip: float | None = None
    entropy: float | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    stop_kl: float | None = None
    stop_slope: int | None = None


class Proposed(_Answer):
    """One step."""

    lever: Literal["harness", "weights", "both", "stop"]
    title: str = Field(min_length=3, max_length=100, description="what is done, in one line")
    reason: str = Field(min_length=10, max_length=4000, description="why, with numbers")
    idea: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{2,48}$", description="a short name of what is tried: finer-features")
    evidence: list[str] = Field(max_length=40, description="ids of episodes that the reason rests on: e-…")
    edits: list[Edit] = Field(default_factory=list, max_length=40, description="lever harness or both")
    plan: Plan | None = Field(None, description="lever weights or both")
    gain: float = Field(ge=-1, le=1, description="expected change of dev's mean reward, 0.05 is five points")
    gain_low: float = Field(ge=-1, le=1, description="four in five times it will be above this")
    gain_high: float = Field(ge=-1, le=1, description="four in five times it will be below this")
    calls: float = Field(1.0, gt=0, le=1000, description="model calls a case, as a factor of the present ones")
    tokens: float = Field(1.0, gt=0, le=1000, description="tokens a case, as a factor of the present ones")
    refuted_by: str = Field(min_length=5, max_length=1000, description="what result would prove this wrong")


def proposal(
    said: Proposed,
    files: Mapping[str, str],
    surface: Sequence[str],
    plans: Sequence[TrainPlan],
    levers: Sequence[str],
    base_commit: str,
    known: frozenset[str],
    command: Sequence[str] = (),
) -> Proposal:
    """Raises Invalid."""
    _fits_lever(said, levers)
    if not said.gain_low <= said.gain <= said.gain_high:
        raise Invalid("gain must lie between gain_low and gain_high")
    unknown = [name for name in said.evidence if name not in known]
    if unknown:
        raise Invalid(f"no episode of the incumbent's train or dev is called {', '.join(unknown[:5])}")
    if said.lever != "stop" and not said.evidence:
        raise Invalid("name at least one episode as evidence")
    return Proposal(
        lever=said.lever,
        title=said.title,
        reason=said.reason,
        idea=said.idea,
        base_commit=base_commit,
        evidence=tuple(said.evidence),
        patch=patch(files, edited(files, said.edits, surface, command)) if said.edits else None,
        plan=planned(said.plan, plans) if said.plan else None,
        predicted_gain=None if said.lever == "stop" else said.gain,
        predicted_cost={"calls": said.calls, "tokens": said.tokens},
        predicted_range=None if said.lever == "stop" else (said.gain_low, said.gain_high),
        refuted_by=said.refuted_by,
    )


def _fits_lever(said: Proposed, levers: Sequence[str]) -> None:
    if said.lever != "stop" and any(part not in levers for part in _parts(said.lever)):
        raise Invalid(f"this run may pull {' and '.join(levers)} only")
    wants_edits, wants_plan = said.lever in ("harness", "both"), said.lever in ("weights", "both")
    if wants_edits != bool(said.edits):
        raise Invalid(f"lever {said.lever} {'needs edits' if wants_edits else 'takes no edits'}")
    if wants_plan != (said.plan is not None):
        raise Invalid(f"lever {said.lever} {'needs a plan' if wants_plan else 'takes no plan'}")


def _parts(lever: str) -> tuple[str, ...]:
    return ("harness", "weights") if lever == "both" else (lever,)


def edited(
    files: Mapping[str, str], edits: Sequence[Edit], surface: Sequence[str], command: Sequence[str] = ()
) -> dict[str, str]:
    """The files after all edits, in order; `command` starts a harness that is a program. Raises Invalid."""
    result = dict(files)
    for edit in edits:
        _allowed(edit.path, surface)
        if edit.find is None:
            result[edit.path] = _ended(edit.text)
            continue
        if edit.path not in result:
            raise Invalid(f"{edit.path}: there is no such file; give its whole text with find: null")
        times = result[edit.path].count(edit.find) if edit.find else 0
        if times != 1:
            raise Invalid(f"{edit.path}: the text to find stands there {times} times, not once: {edit.find[:80]!r}")
        result[edit.path] = _ended(result[edit.path].replace(edit.find, edit.text))
    if result == dict(files):
        raise Invalid("the edits change nothing")
    if len(result) > MOST_FILES or any(len(text) > LONGEST_FILE for text in result.values()):
        raise Invalid(f"a harness has at most {MOST_FILES} files of {LONGEST_FILE} characters")
    require_harness(result, command)
    return result


def require_harness(files: Mapping[str, str], command: Sequence[str] = ()) -> None:
    """Parses, and has a `solve`, unless it is a program. Raises Invalid."""
    for path, text in files.items():
        if path.endswith(".py"):
            try:
                ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise Invalid(f"{path} does not parse: {error}") from None
    if command:
        return
    if "harness.py" not in files:
        raise Invalid("there is no harness.py")
    body = ast.parse(files["harness.py"]).body
    if not any(isinstance(node, ast.AsyncFunctionDef) and node.name == "solve" for node in body):
        raise Invalid("harness.py defines no `async def solve(case, llm, tools)`")


def _allowed(path: str, surface: Sequence[str]) -> None:
    plain = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*", path)
    if not plain or not any(fnmatch(path, pattern) for pattern in surface):
        raise Invalid(f"{path!r} may not be written; a patch may touch {', '.join(surface)} below the harness folder")


def _ended(text: str) -> str:
    return text if text.endswith("\n") or not text else text + "\n"


def planned(said: Plan, plans: Sequence[TrainPlan]) -> TrainPlan:
    """The house's plan of that algorithm with what the model said laid over it. Raises Invalid."""
    house = next((plan for plan in plans if plan.algorithm == said.algorithm), None)
    if house is None:
        raise Invalid(f"{said.algorithm} cannot be trained here")
    changes: dict[str, Any] = said.model_dump(exclude_none=True, exclude={"algorithm"})
    if "rank" in changes:
        changes["alpha"] = 2 * changes["rank"]
    try:
        return replace(house, **changes)
    except ValueError as error:
        raise Invalid(str(error)) from None
