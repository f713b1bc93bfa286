"""A proposed step, the lights on it, what a preview of it showed, and what a second model says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from sia_tui.core.hashing import digest, short_id
from sia_tui.core.plans import TrainPlan

Lever = Literal["harness", "weights", "both", "stop"]
Level = Literal["ok", "amber", "red"]
Doubt = Literal["none", "some", "serious", "unheard"]
"""`unheard`: no valid answer came; the note says why."""

PERSON = "person:"
"""Before the name of a person who is a proposal's agent."""
RIGHT = "right"
"""The class of a trajectory that did not fail."""


@dataclass(frozen=True)
class Proposal:
    """One step the Feedback-Agent asks for. `idea` names what is tried, so that a refuted idea is recognised."""

    lever: Lever
    title: str
    reason: str
    idea: str
    base_commit: str
    evidence: tuple[str, ...] = ()
    """Episode ids that the reason rests on."""
    patch: str | None = None
    """Unified diff against `base_commit`, paths relative to the task's harness package."""
    plan: TrainPlan | None = None
    predicted_gain: float | None = None
    """Expected change of the dev mean, in reward units."""
    predicted_cost: Mapping[str, float] = field(default_factory=dict)
    """`calls` and `tokens` a case, as factors of the incumbent's."""
    clusters: Mapping[str, int] = field(default_factory=dict)
    """Failure class to number of trajectories, as read; `RIGHT` is none of them."""
    predicted_range: tuple[float, float] | None = None
    """Where the change of the dev mean is expected to lie, in reward units."""
    refuted_by: str = ""
    """What would prove it wrong, in the proposer's words."""
    agent: str = "playbook"
    """Who proposes it."""
    flagged: tuple[str, ...] = ()
    """Trajectories read that hold text like an instruction to the reader, each with the passage."""
    first: bool = False
    """It is the Meta-Agent's: generation 0, with nothing to be measured against."""

    def id_at(self, run: str, step: int) -> str:
        """Content id of this proposal as step number `step` (from 1) of a run."""
        return short_id("p", {"run": run, "step": step, **asdict(self)})

    @property
    def patches(self) -> bool:
        return self.lever in ("harness", "both")

    @property
    def trains(self) -> bool:
        return self.lever in ("weights", "both")

    @property
    def change(self) -> str:
        """Digest of what it would do: its patch's changed lines, wherever they stand, or its plan under any seed; empty
        where it would do nothing."""
        lines = (self.patch or "").splitlines()
        changed = [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]
        plan = asdict(replace(self.plan, seed=0)) if self.plan else None
        return digest([changed, plan]) if changed or plan else ""


@dataclass(frozen=True)
class Light:
    """One check of a proposal. Red refuses it; amber is for the person to weigh."""

    name: str
    level: Level
    detail: str = ""


@dataclass(frozen=True)
class Dropped:
    """A hunk that a person took out of a proposal."""

    told: str
    """File, line and size."""
    digest: str
    """Of its file and its changed lines."""
    text: str
    """Its beginning, to be read."""


@dataclass(frozen=True)
class Preview:
    """A proposal tried on a slice of train before anybody is asked. A hint, not proof."""

    n: int
    incumbent: float
    candidate: float
    gain: float
    lo: float
    hi: float
    fixed: tuple[str, ...]
    broke: tuple[str, ...]
    tokens_before: float
    """Mean sampled and prompt tokens a case."""
    tokens_after: float
    tool_share: float = 0.0
    """Share of the candidate's answers that are not the policy's."""


@dataclass(frozen=True)
class Review:
    """A second model's word on a proposal. It decides nothing."""

    agent: str
    doubt: Doubt
    note: str
    evidence: tuple[str, ...] = ()
    """Episode ids that it rests on."""
    flagged: tuple[str, ...] = ()
    """Of what it was shown, text like an instruction to the reader, each with where it stands."""

    @property
    def light(self) -> Light:
        """Green takes both: no doubt, and nothing in sight that may have talked it out of one."""
        said = {"none": "no doubt", "unheard": "not heard"}.get(self.doubt, f"{self.doubt} doubt") + f": {self.note}"
        if self.evidence:
            said += f" ({', '.join(self.evidence)})"
        if self.flagged:
            said += f"; it was shown text that reads like instructions: {self.flagged[0]}"
        return Light("critic", "ok" if self.doubt == "none" and not self.flagged else "amber", said)
