"""A model in this process as a backend: rows of many lanes batched on one worker thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sia_tui.policy.batching import Batcher
from sia_tui.policy.rows import Completion, Model, Row, Text
from sia_tui.policy.wire import Settings


class Local:
    """`expected()` is how many rows could be waiting at once."""

    def __init__(self, model: Model, settings: Settings, expected: Callable[[], int]) -> None:
        self._model = model
        self._batcher = Batcher(
            model.generate,
            max_batch=settings.max_batch,
            window_s=settings.window_s,
            max_queue=settings.max_queue,
            expected=expected,
        )

    @property
    def model_id(self) -> str:
        return self._model.model_id

    @property
    def context(self) -> int:
        return self._model.context

    @property
    def vocabulary(self) -> int:
        return self._model.vocabulary

    @property
    def text(self) -> Text:
        return self._model.text

    @property
    def adapters(self) -> Mapping[str, str]:
        return self._model.adapters

    async def complete(self, rows: Sequence[Row]) -> list[Completion]:
        return await self._batcher.submit(rows)

    async def load_adapter(self, name: str, path: str) -> str:
        return await self._batcher.call(self._model.load_adapter, name, path)

    async def unload_adapter(self, name: str) -> None:
        await self._batcher.call(self._model.unload_adapter, name)

    async def sleep(self) -> None:
        await self._batcher.call(self._model.sleep)

    async def wake(self) -> None:
        await self._batcher.call(self._model.wake)

    async def run(self) -> None:
        await self._batcher.run()

    def load(self) -> dict[str, float]:
        batcher = self._batcher
        busy = {"queue_depth": batcher.depth, "running": batcher.running, "batches": batcher.batches}
        return busy | batcher.tally.told()
