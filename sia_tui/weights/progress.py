"""What a training must remember beside its weights, sealed into each checkpoint so that it can go on after a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from sia_tui.pickles import pickles
from sia_tui.trees import remove
from sia_tui.weights.groups import Turn
from sia_tui.weights.protocol import Job, Rollout
from sia_tui.weights.stopping import Look
from sia_tui.weights.whole import SEAL, by_step

PROMPTS = 4
"""Distinct prompts kept for the probe."""
CRITIC = "critic"
"""PPO's value head, as checkpoints name it."""
PICKLED = "a checkpoint of its holds pickles, as earlier versions wrote them, which might run code: none is read"


class Prompt(BaseModel):
    messages: tuple[dict[str, str], ...]
    prompt_ids: tuple[int, ...]


class Asked(BaseModel):
    """Rollouts asked for that no step has learned from yet."""

    step: int
    """The one that will."""
    adapter: int
    """Optimizer steps behind the adapter that makes them."""
    cases: tuple[str, ...]
    first: tuple[int, ...]
    """Number of each case's first sample."""


class Progress(BaseModel):
    """The state of a training between two looks, apart from model and optimizer."""

    job: str
    """sha256 of the job: a checkpoint of another job is none."""
    looks: list[Look] = []
    stopped: str = ""
    """Why the training is over; empty while it goes on."""
    turn: Turn = Turn()
    asked: list[Asked] = []
    seconds: float = 0.0
    """Of the training until the last checkpoint."""
    rewards: list[float] = []
    """Mean reward of each step's rollouts so far."""
    data: str = ""
    prompts: list[Prompt] = []

    def met(self, rollouts: Iterable[Rollout]) -> None:
        """Keep the first few distinct prompts."""
        for call in (call for rollout in rollouts for call in rollout.calls):
            if len(self.prompts) >= PROMPTS:
                return
            if call.prompt_ids not in [prompt.prompt_ids for prompt in self.prompts]:
                self.prompts.append(Prompt(messages=call.messages, prompt_ids=call.prompt_ids))

    def learned(self, rollouts: Sequence[Rollout]) -> None:
        """Chain token ids and rewards into `data`: sha256 over (what was before, these)."""
        if not rollouts:
            return
        rows = [[[[c.prompt_ids, c.completion_ids] for c in rollout.calls], rollout.reward] for rollout in rollouts]
        self.data = hashlib.sha256(f"{self.data}{json.dumps(rows)}".encode()).hexdigest()


class Seal(BaseModel):
    files: dict[str, str]
    """sha256 of every other file of the checkpoint, by name."""
    progress: Progress


_SEAL: TypeAdapter[Seal] = TypeAdapter(Seal)


def fresh(job: Job) -> Progress:
    return Progress(job=_job_digest(job))


def seal(checkpoint: Path, progress: Progress) -> None:
    """Written last and by one rename: a checkpoint without it was cut short."""
    content = Seal(files=_digests(checkpoint), progress=progress)
    unsealed = checkpoint / f".{SEAL}"
    unsealed.write_bytes(_SEAL.dump_json(content))
    unsealed.replace(checkpoint / SEAL)


def resume(job: Job, say: Callable[[str], None] = lambda line: None) -> tuple[Path, Progress] | None:
    """The newest whole checkpoint of this job. Damaged, partial and foreign ones are removed, and those with pickles, of
    which something is said."""
    told = False
    for checkpoint in by_step(job.checkpoints):
        progress = _unseal(checkpoint)
        if progress is not None and progress.job == _job_digest(job):
            if not pickles(checkpoint):
                return checkpoint, progress
            if not told:
                say(PICKLED)
            told = True
        remove(checkpoint)
    return None


def beside(checkpoint: Path, name: str) -> Path:
    """What it holds apart from adapter and optimizer."""
    return checkpoint / f"{name}.safetensors"


def _unseal(checkpoint: Path) -> Progress | None:
    try:
        content = _SEAL.validate_json((checkpoint / SEAL).read_bytes())
    except (OSError, ValidationError):
        return None
    return content.progress if content.files == _digests(checkpoint) else None


def _digests(checkpoint: Path) -> dict[str, str]:
    files = [path for path in sorted(checkpoint.iterdir()) if path.is_file() and not path.name.endswith(SEAL)]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


_MACHINES = {
    "folder",
    "out",
    "threads",
    "workers",
    "cluster",
    "device",
    "micro_tokens",
    "gradient_checkpointing",
    "in_turns",
    "model",
    "parent",
}
"""Where a job's folders lie and how the machine cuts its work do not make it another one; the parent's content does."""


def _job_digest(job: Job) -> str:
    content = job.model_dump(mode="json", exclude=_MACHINES)
    if job.parent is not None:
        content["parent"] = hashlib.sha256((job.parent / "adapter_model.safetensors").read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
