"""A recorded generation shown to an agent once more: what would it propose? Reads the run, and touches nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sia_tui.agents.protocol import Brief, Declined, Reading
from sia_tui.config import RunConfig
from sia_tui.core import events as ev
from sia_tui.core.fold import fold
from sia_tui.core.recall import Memory, recall
from sia_tui.core.state import State, blind
from sia_tui.engine.step import brief_for
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tasks.task import Task


class NothingRecorded(Exception):
    """The generation cannot be shown, in one line."""


@dataclass(frozen=True)
class Recorded:
    """The Record protocol over a run that is left as it is; nothing can be run."""

    reader: RunReader
    repository: HarnessRepository
    package: str
    brief: Brief
    then: State
    files: Mapping[str, str]

    @property
    def state(self) -> State:
        return blind(self.then)

    @property
    def memory(self) -> Memory:
        """What the run itself had taught until then."""
        return recall(self.state)

    def trajectories(self, split: Literal["train", "dev"], generation: int | None = None) -> Iterator[Reading]:
        """Raises ValueError for any other split."""
        if split not in ("train", "dev"):
            raise ValueError(f"agents may not read {split}")
        index = self.then.incumbent if generation is None else generation
        assert index is not None
        for episode, attempt, score in self.reader.trajectories(self.then.generations[index].key, split):
            yield Reading(episode, attempt, score)

    def rollouts(self, step: str) -> Iterator[Reading]:
        for episode, attempt, score in self.reader.rollouts(step):
            yield Reading(episode, attempt, score)

    def files_at(self, generation: int) -> Mapping[str, str]:
        return self.repository.files(self.then.generations[generation].commit, self.package)

    async def try_harness(self, files: Mapping[str, str], cases: Sequence[str]) -> list[Reading]:
        raise Declined("nothing is run on a recorded generation; go by what is recorded")

    async def python(self, code: str) -> str:
        raise Declined("nothing is run on a recorded generation; go by what is recorded")


def recorded(workspace: Workspace, paths: RunPaths, task: Task, config: RunConfig, index: int) -> Recorded:
    """The run as it stood when the next step after this generation was to be proposed. Raises NothingRecorded."""
    reader = RunReader(paths.db)
    log = reader.log()
    whole = fold(log)
    if not 0 <= index < len(whole.generations):
        raise NothingRecorded(f"{paths.name} has no generation {index}; it has {len(whole.generations)}")
    commit = whole.generations[index].commit
    made = [at for at, entry in enumerate(log) if _proposes_on(entry.event, commit)]
    then = fold(log[: made[0]] if made else log)
    then = replace(then, incumbent=index)
    if "dev" not in then.generations[index].results:
        raise NothingRecorded(f"g{index} of {paths.name} was never measured on dev")
    repository = HarnessRepository(workspace.harness_repository)
    files = repository.files(commit, task.name)
    return Recorded(reader, repository, task.name, brief_for(task, config, then), then, files)


def _proposes_on(event: ev.Event, commit: str) -> bool:
    return isinstance(event, ev.ProposalMade) and event.proposal.base_commit == commit
