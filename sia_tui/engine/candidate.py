"""Runs a candidate's function in the harness' sandbox: the counts go in as a file, its matrix comes out as one.

The process has no network, no child processes, a memory limit and a deadline, and sees the counts it is to denoise,
its own source and a Python with numpy; nothing else of the task is on any path it can open.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sia_tui.core.episodes import HarnessError
from sia_tui.harness.launch import Limits, Setup
from sia_tui.harness.sandbox import Isolation
from sia_tui.harness.walls import Walls
from sia_tui.harness.workers import HarnessBroken, WorkerDied, prepare
from sia_tui.tasks.denoise import driver
from sia_tui.tasks.denoise.protocol import Counts
from sia_tui.tasks.denoise.verify import DEADLINE_S, MEMORY_MB, Ran, most_bytes
from sia_tui.tasks.verifier import VerifierDied
from sia_tui.trees import remove

NAMED = {
    "SyntaxError": "syntax",
    "IndentationError": "syntax",
    "TabError": "syntax",
    "MemoryError": "memory",
    "NoFunction": "no_function",
    "NoArray": "no_array",
}
"""Failure kinds by the exception that ended the candidate; all others are a crash."""
CANARY = "def denoise(counts):\n    return counts\n"
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Candidates:
    """Where and how candidates are run, one process each. `folder` holds nothing of value while none runs."""

    folder: Path
    level: Isolation
    python: Path
    log: Path
    deadline_s: float = DEADLINE_S
    memory_mb: int = MEMORY_MB
    walls: Walls = field(default_factory=Walls)

    async def run(self, source: str, counts: Counts) -> Ran:
        """How it ended. VerifierDied where a candidate that must end well does not either: then it is the machine's fault.

        A dead process may say anything about why it died, so that a second opinion is asked of a canary, not of it.
        """
        try:
            return await self._once(source, counts)
        except WorkerDied as death:
            await self._still_works(counts, death)
            return Ran(failure="timeout" if "SIGXCPU" in death.reason else "crash", detail=death.reason)

    async def _still_works(self, counts: Counts, death: WorkerDied) -> None:
        try:
            ran = await self._once(CANARY, counts)
        except WorkerDied as again:
            raise VerifierDied(f"the sandbox runs no candidate: {again.reason}") from death
        if ran.failure is not None:
            raise VerifierDied(f"the sandbox runs no candidate: {ran.failure} {ran.detail}".rstrip()) from death

    async def _once(self, source: str, counts: Counts) -> Ran:
        folder = Path(tempfile.mkdtemp(dir=self.folder, prefix="candidate-"))
        try:
            folder.chmod(0o755)
            harness, rows, out = (folder / part for part in ("harness", "rows", "out"))
            for part in (harness, rows, out):
                part.mkdir(mode=0o755)
            shutil.copyfile(driver.__file__, harness / "tools.py")
            (harness / driver.CANDIDATE).write_text(source, encoding="utf-8", errors="backslashreplace")
            np.save(rows / driver.COUNTS, counts, allow_pickle=False)
            try:
                await prepare(self._setup(harness, rows, out, counts), self.deadline_s)
            except HarnessBroken as broken:
                return _ended(broken.error)
            return _answer(out / driver.ANSWER, most_bytes(counts.shape))
        finally:
            await asyncio.to_thread(remove, folder)

    def _setup(self, harness: Path, rows: Path, out: Path, counts: Counts) -> Setup:
        megabytes = most_bytes(counts.shape) // _MEBIBYTE + 1
        limits = Limits(
            memory_mb=self.memory_mb, scratch_mb=64, tools_mb=megabytes, cpu_s=int(self.deadline_s) + 1, log_kb=16
        )
        return Setup(
            level=self.level,
            python=self.python,
            harness=harness,
            rows=rows,
            tools=out,
            log=self.log,
            limits=limits,
            walls=self.walls,
        )


def _ended(error: HarnessError) -> Ran:
    if error.kind == "timeout":
        return Ran(failure="timeout", detail=error.message)
    name, _, _ = error.message.partition(":")
    return Ran(failure=NAMED.get(name, "crash"), detail=_last_line(error))


def _last_line(error: HarnessError) -> str:
    """The message, and the line of the candidate that raised it."""
    places = [line.strip() for line in error.traceback.splitlines() if '"candidate.py"' in line]
    place = places[-1].partition(", ")[2] if places else ""
    return f"{error.message[:300]} ({place})" if place else error.message[:300]


def _answer(path: Path, most: int) -> Ran:
    """At most one byte more than is allowed is read: the rest is judged by its length."""
    try:
        with path.open("rb") as file:
            return Ran(answer=file.read(most + 1))
    except OSError:
        # Not there, a folder, or of a mode that nobody may read.
        return Ran()
