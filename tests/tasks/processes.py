"""Other processes, as a test waits for them; it is the test that has a deadline."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path


async def gone(pid: str) -> None:
    """Once it has ended, whoever waits for it."""
    with suppress(OSError):
        while " Z " not in Path(f"/proc/{pid}/stat").read_text():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def written(file: Path) -> str:
    while not (file.exists() and file.read_text()):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.02)
    return file.read_text()
