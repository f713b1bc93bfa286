"""Several verifiers of one task side by side, for a reward that takes its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from sia_tui.core.episodes import Score
from sia_tui.tasks.judge import Judge
from sia_tui.tasks.verifier import VerifierProcess


class VerifierPool:
    """A process a judge, all with the same code and gold, each judging one answer at a time: a reward need not know of
    the others, whether it is sync or async. To the engine it is one VerifierProcess."""

    def __init__(self, folder: Path, gold: Mapping[str, str], labels: Sequence[str], judges: Sequence[Judge]) -> None:
        self._all = [VerifierProcess(room(folder, number), gold, labels, judge) for number, judge in enumerate(judges)]
        self.verifier_hash = self._all[0].verifier_hash
        self._free: asyncio.Queue[VerifierProcess] = asyncio.Queue()
        self._answers = asyncio.Semaphore(len(self._all))
        """Answers wait here: an episode asks the compiler while its time runs, and is not to stand behind all of them."""
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await asyncio.gather(*(opening.enter_async_context(one) for one in self._all))
            self._open = opening.pop_all()
        for one in self._all:
            self._free.put_nowait(one)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    def unlike(self) -> tuple[str, ...]:
        return self._all[0].unlike()

    def check(self) -> None:
        """Raises VerifierTampered."""
        for one in self._all:
            one.check()

    async def open_test(self, gold: Mapping[str, str]) -> None:
        for one in self._all:
            await one.open_test(gold)

    async def score(self, case_id: str, answer: object) -> Score:
        """By whoever is free. Raises VerifierFailed."""
        async with self._answers, self._whoever() as one:
            return await one.score(case_id, answer)

    async def null(self, case_id: str) -> Score:
        """By whoever is free. Raises VerifierFailed."""
        async with self._answers, self._whoever() as one:
            return await one.null(case_id)

    async def compiler_says(self, answer: str) -> str:
        """By whoever is free, before the answers that wait. Raises VerifierFailed."""
        async with self._whoever() as one:
            return await one.compiler_says(answer)

    @asynccontextmanager
    async def _whoever(self) -> AsyncIterator[VerifierProcess]:
        one = await self._free.get()
        try:
            yield one
        finally:
            self._free.put_nowait(one)


def room(folder: Path, number: int) -> Path:
    """Where one of them keeps its code and gold."""
    return folder / str(number)
