"""What the Feedback-Agent (and a critic) reads and may try, taken from the store with everything it must not see left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sia_tui.agents.protocol import Brief, Declined, Reading
from sia_tui.core.recall import Memory
from sia_tui.core.state import State, blind
from sia_tui.engine.cell import run_cell
from sia_tui.engine.session import Session
from sia_tui.engine.trying import try_files
from sia_tui.store.reader import RunReader


@dataclass
class StoredRecord:
    """The Record protocol over a session."""

    session: Session
    brief: Brief
    full_state: State
    files: Mapping[str, str]
    memory: Memory
    trials: int
    """Train cases that may still be run."""

    @property
    def state(self) -> State:
        return blind(self.full_state)

    def trajectories(self, split: Literal["train", "dev"], generation: int | None = None) -> Iterator[Reading]:
        """Raises ValueError for any other split."""
        if split not in ("train", "dev"):
            raise ValueError(f"agents may not read {split}")
        index = self.full_state.incumbent if generation is None else generation
        assert index is not None
        reader = RunReader(self.session.paths.db)
        try:
            for episode, attempt, score in reader.trajectories(self.full_state.generations[index].key, split):
                yield Reading(episode, attempt, score)
        finally:
            reader.close()

    def rollouts(self, step: str) -> Iterator[Reading]:
        reader = RunReader(self.session.paths.db)
        try:
            for episode, attempt, score in reader.rollouts(step):
                yield Reading(episode, attempt, score)
        finally:
            reader.close()

    def files_at(self, generation: int) -> Mapping[str, str]:
        return self.session.repository.files(self.full_state.generations[generation].commit, self.session.package)

    async def try_harness(self, files: Mapping[str, str], cases: Sequence[str]) -> list[Reading]:
        task, best = self.session.task, self.full_state.best
        assert best is not None
        wanted = list(dict.fromkeys(cases))
        strange = [case for case in wanted if case not in task.cases or task.cases[case].split != "train"]
        if strange or not wanted:
            raise Declined(f"only train cases can be run; not one: {', '.join(strange[:5]) or 'none was named'}")
        if len(wanted) > self.trials:
            raise Declined(f"{len(wanted)} cases asked for, {self.trials} may still be run before this proposal")
        self.trials -= len(wanted)
        chosen = [task.cases[case] for case in wanted]
        return await try_files(
            self.session, best.commit, files, best.adapter, chosen, "the Feedback-Agent tries a harness"
        )

    async def python(self, code: str) -> str:
        self.session.report.phase("the Feedback-Agent runs a script over the trajectories")
        return await run_cell(self.session, code, itertools.chain(self.trajectories("train"), self.trajectories("dev")))
