"""What the engine and a trainer say to each other: one JSON object a line, over the trainer's stdin and stdout.

The trainer asks (`Need`) for rollouts of an adapter that it has written to disk, and is told (`Told`) what came of them;
it reports each optimizer step (`Metrics`) and ends with `Trained`, `Failed`, `Full` or `Left`. Where rollouts come from it never
knows. In turns on the same GPUs, it has left them when it asks, and says `Turn` before it computes again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sia_tui.core.plans import TrainPlan
from sia_tui.weights.whole import CHECKPOINTS


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Job(_Line):
    """The trainer's job file."""

    plan: TrainPlan
    model: Path
    """Folder of the base model."""
    parent: Path | None
    """Folder of the adapter to go on from; None for a new one."""
    cases: tuple[str, ...]
    """Train cases to learn from, in the order they are to be taken."""
    held_out: tuple[str, ...]
    folder: Path
    """The trainer's own: checkpoints and step adapters. Started again, it goes on from what lies there."""
    out: Path
    """Where the chosen adapter is put, whole, by one rename."""
    threads: int = 1
    workers: int = 1
    """Processes that share each step's work; more than one are Ray's to start (`cluster/training.py`)."""
    cluster: str | None = None
    """Address of the Ray cluster they are started on; None: the environment's, else this machine alone."""
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the base; the adapter is trained in float32 either way."""
    micro_tokens: int = 0
    """Tokens, padding included, of one forward and backward pass; 0: what suits the device."""
    gradient_checkpointing: bool = False
    in_turns: bool = False
    """The policy is asleep while this trainer computes, and the trainer off the GPUs while it waits for rollouts."""

    @property
    def checkpoints(self) -> Path:
        return self.folder / CHECKPOINTS


class Need(_Line):
    """Roll these cases out. Answered by one `Told` of the same id, which is unique in one life of the trainer only."""

    say: Literal["need"] = "need"
    id: int
    adapter: Path | None
    """Folder of the adapter that is to answer; None: the parent, or the base where there is none."""
    step: int
    """Optimizer steps behind that adapter."""
    purpose: Literal["train", "held_out"]
    """Train rollouts are sampled at temperature 1 from the whole distribution; those of held-out cases as when serving."""
    cases: tuple[str, ...]
    samples: int
    first: tuple[int, ...] = ()
    """Number of each case's first sample, past those asked for before: one number is one sample. Empty: 0 for all."""


class Turn(_Line):
    """Nothing more to ask for now: the GPUs, please. Answered by a `Told` without rollouts once the policy sleeps."""

    say: Literal["turn"] = "turn"
    id: int


class SampledCall(_Line):
    """One completion: the exact token ids and the logprobs of the sampled ones at temperature 1."""

    messages: tuple[dict[str, str], ...]
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    truncated: bool = False
    """Cut short by a limit."""


class Rollout(_Line):
    case: str
    sample: int
    reward: float
    solved: bool
    calls: tuple[SampledCall, ...]
    metrics: dict[str, float] = {}
    """What the verifier measured besides, where the policy earned the reward."""


class Told(_Line):
    id: int
    """-1: of no question, to say `stop` while none is out."""
    rollouts: tuple[Rollout, ...]
    """Every case `samples` times, in the order asked for; none for a `Turn`."""
    stop: str = ""
    """Who wants the training to end with the step under way; its best look so far is then what is published."""
    leave: bool = False
    """The process is to end with a checkpoint of the step under way; another one goes on from there."""


class Metrics(_Line):
    """An optimizer step. After a restart, steps that follow the last checkpoint come again."""

    say: Literal["metrics"] = "metrics"
    step: int
    values: dict[str, float]


class Notice(_Line):
    """Something a person should know, in one line; the training goes on."""

    say: Literal["notice"] = "notice"
    text: str


class Probe(_Line):
    """What the trained adapter says greedily to a prompt it met, as the trainer computes it."""

    messages: tuple[dict[str, str], ...]
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


class Trained(_Line):
    """The adapter lies at `Job.out`."""

    say: Literal["trained"] = "trained"
    steps: int
    best_step: int
    stopped: str
    held_out_before: float
    held_out_after: float
    moved: dict[str, float]
    """Frobenius norm of the change of each adapted module's weight, by module."""
    data: str
    """sha256 over the token ids and rewards that were learned from, in order; online, over the groups that taught anything."""
    probe: tuple[Probe, ...]


class Failed(_Line):
    """Nothing to publish, and why, in one line; the incumbent serves on."""

    say: Literal["failed"] = "failed"
    reason: str


class Full(_Line):
    """A disk has no room left, in one line. Started again once there is some, the trainer goes on from its checkpoint."""

    say: Literal["full"] = "full"
    reason: str


class Left(_Line):
    """Ended as it was told to; started again, the trainer goes on from the checkpoint of this step."""

    say: Literal["left"] = "left"
    step: int


End = Trained | Failed | Full | Left
Said = Need | Turn | Metrics | Notice | End
SAID: TypeAdapter[Said] = TypeAdapter(Annotated[Said, Field(discriminator="say")])
