"""A long computation in its own process: progress as JSON lines on its stdout, killed whole when asked to stop."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sia_tui.children import die_with_parent, ended, started

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": "PASSIVE",
}


class JobFailed(Exception):
    """The process ended badly or too late; the message ends with its last words."""


async def run_job(
    command: Sequence[str], log: Path, on_progress: Callable[[dict[str, Any]], None], deadline_s: float
) -> None:
    """Run to the end. Cancelling it kills the process and all it started. Raises JobFailed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        process = await started(
            command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=os.environ | QUIET,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        async with asyncio.timeout(deadline_s):
            await _listen(process, on_progress)
            status = await process.wait()
    except TimeoutError as error:
        raise JobFailed(f"{command[2]} took longer than {deadline_s:.0f} s; see {log}") from error
    finally:
        await ended(process)
    if status != 0:
        last = (log.read_text(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise JobFailed(f"{command[2]} ended with status {status}: {last}; see {log}")


async def _listen(process: asyncio.subprocess.Process, on_progress: Callable[[dict[str, Any]], None]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        with suppress(ValueError):
            message = json.loads(line)
            if isinstance(message, dict):
                on_progress(message)
