"""Denoising in a run: the verifier that runs candidates confined and judges their matrices, and the null baselines."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sia_tui.core.episodes import Case, Score, Split
from sia_tui.engine import jobs
from sia_tui.engine.candidate import Candidates
from sia_tui.harness.sandbox import Isolation
from sia_tui.harness.walls import Walls
from sia_tui.tasks import denoise
from sia_tui.tasks.denoise import baselines
from sia_tui.tasks.denoise.protocol import Yardstick
from sia_tui.tasks.denoise.store import key_hash
from sia_tui.tasks.denoise.task import PACKAGED, DenoiseTask
from sia_tui.tasks.denoise.verify import verify
from sia_tui.tasks.verifier import VerifierFailed

BASELINES_S = 3600.0


class TissueVerifier:
    """Scores sources, as many at a time as there are processors; async context manager. Test only once it is opened."""

    def __init__(self, folder: Path, task: DenoiseTask, level: Isolation, walls: Walls) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._task = task
        self._candidates = Candidates(folder, level, Path(sys.executable), folder / "candidates.log", walls=walls)
        self._sealed = set(task.ids("test"))
        self._turns = asyncio.Semaphore(os.cpu_count() or 1)
        self._ends: dict[str, Yardstick] = {}
        """By tissue: they cost more than judging an answer by them."""
        self._code = _code()
        self.verifier_hash = hashlib.sha256((self._code + key_hash(task.store)).encode()).hexdigest()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def unlike(self) -> tuple[str, ...]:
        """Its code lies where it is installed: nothing is left of an earlier one."""
        return ()

    def check(self) -> None:
        """Raises VerifierFailed where the code that judges is no longer what it was at the start."""
        if _code() != self._code:
            raise VerifierFailed("the code of the denoising verifier changed: scores since the last check are void")

    async def open_test(self, gold: Mapping[str, str]) -> None:
        """To be called once the opening is on record."""
        self._sealed -= set(gold)

    async def score(self, case_id: str, answer: object) -> Score:
        """Raises VerifierFailed for a sealed case, VerifierDied where the sandbox runs nothing."""
        if case_id in self._sealed or case_id not in self._task.names:
            raise VerifierFailed(f"case {case_id} is not to be scored: a test case before the test is opened?")
        async with self._turns:
            name = self._task.names[case_id]
            tissue = await asyncio.to_thread(self._task.store.tissue, name)
            if name not in self._ends:
                self._ends[name] = await asyncio.to_thread(Yardstick.of, tissue.train, tissue.test)
            return Score(**await verify(answer, tissue, self._candidates.run, self._ends[name]))


def _code() -> str:
    """sha256 (hex) of all that decides a score."""
    folder = Path(denoise.__file__).parent
    files = sorted(path for path in folder.glob("*.py") if path.name not in PACKAGED)
    return hashlib.sha256("".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in files).encode()).hexdigest()


async def null_rewards(
    task: DenoiseTask,
    folder: Path,
    split: Split,
    cases: Sequence[Case],
    told: Callable[[dict[str, Any]], None],
    log: Path,
) -> dict[str, float]:
    """Mean reward of each null on these cases of a split."""
    job = baselines.write_job(folder, task.store.folder, split, [task.names[case.id] for case in cases])
    found = job.with_suffix(".rewards")
    if not found.exists():
        command = [sys.executable, "-m", "sia_tui.tasks.denoise.baselines", "--job", str(job)]
        await jobs.run_job(command, log, told, BASELINES_S)
    rewards: dict[str, dict[str, float]] = json.loads(found.read_text(encoding="utf-8"))
    return {name: sum(by.values()) / len(by) for name, by in rewards.items()}
