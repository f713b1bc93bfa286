"""The verdict on a candidate: its source is run elsewhere, on the train molecules alone; its matrix is judged here.

How a source is run is the caller's (`Run`): rooms for tasks and for sandboxes do not know each other. What comes back is
a file's bytes from a process that the candidate owned, so that they are read as if the candidate had written them.

Repeat noise: sources that `render` makes are deterministic on one thread and score alike every time; a candidate that draws
from numpy's or Python's global generator finds it seeded, one that makes a generator without a seed has its own noise.
Another split of the same molecules moves `mse_norm` by 0.001 (standard deviation over six splits of three tissues).
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sia_tui.tasks.denoise.protocol import Counts, Yardstick, failed, judge
from sia_tui.tasks.denoise.simulator import Tissue

LONGEST = 50_000
"""Characters of a source."""
DEADLINE_S = 20.0
"""For starting Python, importing and denoising; plans take under two seconds on one core."""
MEMORY_MB = 2048
_HEADER = 10_000
_read_array: Callable[..., Any] = np.lib.format.read_array


@dataclass(frozen=True)
class Ran:
    """How a candidate's process ended: the bytes of its answer's file, or the failure kind and a line about it."""

    answer: bytes | None = None
    failure: str | None = None
    detail: str = ""


Run = Callable[[str, Counts], Awaitable[Ran]]


async def verify(source: object, tissue: Tissue, run: Run, ends: Yardstick | None = None) -> dict[str, Any]:
    """The judgement as plain data, as `protocol.judge` gives it by the tissue's `ends`; the failure kinds before it are

    `no_answer`, `bad_answer` (no text), `over_long`, those of `Ran` (`syntax`, `no_function`, `no_array`, `memory`,
    `timeout`, `crash`), and `no_file`, `size` (too long a file) and `format` (no array in it).
    """
    if source is None or (type(source) is str and not source.strip()):
        return failed("no_answer")
    if type(source) is not str:
        return failed("bad_answer")
    if len(source) > LONGEST:
        return failed("over_long", detail=f"{len(source)} characters, at most {LONGEST} are taken")
    ran = await run(source, tissue.train)
    if ran.failure is not None:
        return failed(ran.failure, detail=ran.detail)
    if ran.answer is None:
        return failed("no_file")
    return await asyncio.to_thread(_judged, ran.answer, tissue, ends)


def _judged(answer: bytes, tissue: Tissue, ends: Yardstick | None) -> dict[str, Any]:
    found = read_matrix(answer, tissue.train.shape)
    return failed(found) if isinstance(found, str) else judge(tissue.train, tissue.test, found, ends)


def most_bytes(shape: tuple[int, ...]) -> int:
    """What a file of the longest numbers taken may hold."""
    return int(np.prod(shape)) * 16 + _HEADER


def read_matrix(content: bytes, shape: tuple[int, ...]) -> NDArray[Any] | str:
    """The array of a .npy file, or a failure kind. Never unpickles; a header that claims more than there is ends the reading."""
    if len(content) > most_bytes(shape):
        return "size"
    try:
        found = _read_array(io.BytesIO(content), allow_pickle=False, max_header_size=_HEADER)
    except Exception:  # noqa: BLE001 - numpy evaluates the header: there is no list of what comes of one
        return "format"
    return found if isinstance(found, np.ndarray) else "format"
