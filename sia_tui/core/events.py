"""Everything that can happen to a run. A run is the sequence of these; nothing else is its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sia_tui.core.choosing import Recommendation
from sia_tui.core.contract import Contract
from sia_tui.core.episodes import Split
from sia_tui.core.event import Event
from sia_tui.core.evidence import (
    Attributed,
    EvidenceFound,
    EvidenceMissed,
    EvidenceWanted,
    Matched,
    MeasuredAgain,
    Traced,
)
from sia_tui.core.fitness import Finding
from sia_tui.core.forecast import TrackRecord
from sia_tui.core.gates import Gate, Verdict
from sia_tui.core.nodes import EpisodesReissued, NodeJoined, NodeLost, NodeRefused
from sia_tui.core.plans import Pilot
from sia_tui.core.proposals import Dropped, Lever, Light, Preview, Proposal, Review
from sia_tui.core.pulls import Advice
from sia_tui.core.replicas import ReplicaBack, ReplicaOut, ReplicasServe
from sia_tui.core.replies import AgentCalled, AgentFailed
from sia_tui.core.trainings import AdapterTrained, TrainerLost, TrainingBegan, TrainingCutShort


@dataclass(frozen=True)
class RunCreated(Event):
    run: str
    task: str
    config_hash: str
    parent: str | None = None
    """`<run>/g<N>` this run was branched from."""
    start_commit: str | None = None
    start_adapter: str | None = None
    """Of that generation; its folder was copied into this run's own."""


@dataclass(frozen=True)
class EngineStarted(Event):
    pid: int
    host: str
    isolation: str
    gpus: int = 0
    """Of its machine, as far as the engine was given them."""


@dataclass(frozen=True)
class Unattended(Event):
    """Commands are answered while no engine is at work."""

    since: str
    """When one was last seen."""


@dataclass(frozen=True)
class TaskReady(Event):
    split_hash: str
    test_hash: str
    verifier_hash: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class EvaluatorChecked(Event):
    """The run's verifier was asked what it must and must not pay. A failing row stops the run until its risk is accepted."""

    findings: tuple[Finding, ...]
    known: bool
    """From an earlier check of the same verifier and split in this workspace."""


@dataclass(frozen=True)
class RiskAccepted(Event):
    """A person goes on with a failing row of that name."""

    row: str
    reason: str
    by: str


@dataclass(frozen=True)
class PolicyReady(Event):
    model: str
    sha256: str
    serving_hash: str


@dataclass(frozen=True)
class BaselinesMeasured(Event):
    dev: Mapping[str, float]


@dataclass(frozen=True)
class GenerationCreated(Event):
    """A candidate (or the seed, index 0) that may now be measured."""

    index: int
    lever: Lever | None
    commit: str
    tree: str
    key: str
    """Content id of (harness tree, base model, adapter, serving config, verifier, split)."""
    adapter: str | None = None
    parent: int | None = None
    proposal: str | None = None


@dataclass(frozen=True)
class EpisodeDone(Event):
    episode: str
    key: str
    split: Split
    tokens: int


@dataclass(frozen=True)
class Evaluated(Event):
    """A split of a generation, measured over `n` cases: the mean reward with its 95 % interval."""

    generation: int
    split: Split
    mean: float
    lo: float
    hi: float
    n: int
    tool_share: float
    """Share of cases answered by the scaffold without the policy."""
    failures: Mapping[str, int]


@dataclass(frozen=True)
class ProposalMade(Event):
    id: str
    proposal: Proposal
    advice: Advice | None = None
    """What the advisor said of the levers then."""


@dataclass(frozen=True)
class ProposalWanted(Event):
    """A person's own; its turn comes when no step is under way, before the Feedback-Agent's next."""

    proposal: Proposal
    by: str


@dataclass(frozen=True)
class ProposalChecked(Event):
    id: str
    lights: tuple[Light, ...]
    commit: str | None
    tree: str | None
    record: TrackRecord | None = None
    """How earlier predictions of its agent for its lever have held."""


@dataclass(frozen=True)
class PreviewDone(Event):
    id: str
    preview: Preview


@dataclass(frozen=True)
class PilotDone(Event):
    id: str
    pilot: Pilot
    expected_s: float
    """What the whole training should take, by this pilot."""
    advised: Recommendation | None = None
    """The algorithm that its rewards ask for; None in logs of earlier versions."""
    gpus: int = 0
    """That are the run's meanwhile, of all nodes."""

    @property
    def gpu_hours(self) -> float:
        return self.expected_s * self.gpus / 3600


@dataclass(frozen=True)
class ProposalReviewed(Event):
    id: str
    review: Review


@dataclass(frozen=True)
class GateOpened(Event):
    gate: Gate


@dataclass(frozen=True)
class VerdictGiven(Event):
    verdict: Verdict
    uid: int | None = None
    """Of whoever wrote it, as their client says."""
    seen: str = ""
    """Digest of what was on their screen, where their client says."""
    hash: str = ""
    """Of the gate. This and what follows are filled in as the event is written."""
    before: str = ""
    """Digest of the log since the verdict before this one (`core/consent.py`)."""


@dataclass(frozen=True)
class GateDeferred(Event):
    """A person looked and put it off. Not a verdict: the gate stays open."""

    gate: str
    by: str


@dataclass(frozen=True)
class ContractMade(Event):
    """A person says yes beforehand, within limits; an earlier one ends by it."""

    contract: Contract
    by: str
    tokens: int | None = None
    """Of the run's episodes until then, for readers that do not count them one by one."""
    uid: int | None = None
    """The person's user number; one given beforehand comes with no verdict that says it."""


@dataclass(frozen=True)
class ContractEnded(Event):
    by: str
    """The person, or the engine where a limit or a tripwire ended it."""
    why: str


@dataclass(frozen=True)
class ProposalRefused(Event):
    id: str
    by: str
    reason: str
    saved: str = ""
    """Of a training that came to nothing."""


@dataclass(frozen=True)
class ProposalAmended(Event):
    """A person put another proposal in its place, made of it: the one that is recorded next."""

    id: str
    into: str
    gate: str
    by: str
    dropped: tuple[Dropped, ...] = ()
    edited: bool = False
    """Whether it has lines that the agent's had not."""


@dataclass(frozen=True)
class Measured(Event):
    """A candidate against its incumbent, paired over dev."""

    id: str
    generation: int
    outcome: str
    gain: float
    lo: float
    hi: float
    n: int
    fixed: tuple[str, ...]
    broke: tuple[str, ...]
    cost: Mapping[str, float] = field(default_factory=dict)
    """`calls` and `tokens` a case, as factors of the incumbent's."""
    spared: int = 0
    """Dev cases that it was not measured on, being clearly worse on the others."""
    held: str = ""
    """Why nobody but a person may keep it."""


AlarmKind = Literal["canary", "network", "claim"]


@dataclass(frozen=True)
class Alarmed(Event):
    """Something was seen in the episodes under a key that should not be there. Recorded once for each kind and key."""

    kind: AlarmKind
    key: str
    detail: str
    proposal: str | None = None
    """Whose patch or training made the episodes; None: the incumbent's own."""

    @property
    def light(self) -> Light:
        name = {"canary": "answer key untouched", "network": "stays inside", "claim": "claims hold"}[self.kind]
        return Light(name, "red" if self.kind == "canary" else "amber", self.detail)


@dataclass(frozen=True)
class GenerationKept(Event):
    index: int
    why: str


@dataclass(frozen=True)
class GenerationRolledBack(Event):
    index: int
    why: str


@dataclass(frozen=True)
class WentBack(Event):
    """A person made an earlier generation the incumbent again."""

    index: int
    by: str


@dataclass(frozen=True)
class RunPaused(Event):
    by: str
    why: str = ""
    """Where not for a person's wish alone: what is in the way, what was saved."""


@dataclass(frozen=True)
class RunResumed(Event):
    by: str


@dataclass(frozen=True)
class StopAsked(Event):
    reason: str
    by: str
    open_test: bool
    """False when a person breaks the run off, or the config says that test stays sealed."""
    status: Literal["done", "stopped"] = "done"
    """`stopped`: a person broke it off."""


@dataclass(frozen=True)
class TestOpened(Event):
    """From here on the final generation is fixed: only its measurement on test is left."""

    generation: int
    test_hash: str
    opened_before: int
    """How often runs of this workspace had opened this test set already."""


@dataclass(frozen=True)
class BaselinesTested(Event):
    test: Mapping[str, float]


@dataclass(frozen=True)
class RunEnded(Event):
    status: str
    """`done`, `stopped` (by a person) or `failed` (may be resumed)."""
    reason: str


__all__ = [
    "AdapterTrained",
    "AgentCalled",
    "AgentFailed",
    "Attributed",
    "EpisodesReissued",
    "Event",
    "EvidenceFound",
    "EvidenceMissed",
    "EvidenceWanted",
    "Matched",
    "MeasuredAgain",
    "NodeJoined",
    "NodeLost",
    "NodeRefused",
    "ReplicaBack",
    "ReplicaOut",
    "ReplicasServe",
    "Traced",
    "TrainerLost",
    "TrainingBegan",
    "TrainingCutShort",
]
KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}


@dataclass(frozen=True)
class Recorded:
    """An event with its place in the log and its time (ISO 8601, UTC)."""

    seq: int
    at: str
    event: Event
