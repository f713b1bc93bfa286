"""A trainer's process, from the engine's side: started, heard, told, and killed whole when left."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sia_tui.children import die_with_parent, ended, gone, started
from sia_tui.core.hardware import only
from sia_tui.engine.hardware import gpus_given, not_serving
from sia_tui.engine.jobs import QUIET
from sia_tui.weights.protocol import SAID, Job, Said, Told

ALONE, GROUP = "sia_tui.weights.trainer", "sia_tui.cluster.training"
"""Who speaks the protocol: the one process that trains, or one that stands for several."""
ALL_SERVE = "all GPUs serve the policy: name fewer in weights.plan.serve_on, or set weights.workers to 1"
LONGEST_LINE = 1 << 26
SILENCE_S = 1800.0
"""A trainer that has said nothing for this long is taken for dead; one optimizer step is the longest silence there is."""


class TrainerDied(Exception):
    """The process ended, went silent or talked nonsense; the message ends with its last words."""


class Trainer:
    """As a context manager: the process is alive inside."""

    def __init__(self, job: Job, log: Path) -> None:
        self._job, self._log = job, log
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._job.folder.mkdir(parents=True, exist_ok=True)
        file = self._job.folder / "job.json"
        file.write_text(self._job.model_dump_json(indent=1))
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as errors:
            self._process = await started(
                (sys.executable, "-m", GROUP if self._job.workers > 1 else ALONE, "--job", str(file)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=os.environ | QUIET | {"OMP_NUM_THREADS": str(self._job.threads)} | placed(self._job),
                limit=LONGEST_LINE,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        await ended(self._process)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def hear(self) -> Said:
        """What it says next. Raises TrainerDied."""
        assert self._process is not None and self._process.stdout is not None
        try:
            async with asyncio.timeout(SILENCE_S):
                line = await self._process.stdout.readline()
            if line:
                return SAID.validate_json(line)
        except TimeoutError:
            raise self._died(f"said nothing for {SILENCE_S:.0f} s") from None
        except ValueError as error:
            raise self._died(f"said something odd: {error}") from error
        await gone(self._process)
        raise self._died(f"ended with status {self._process.returncode}")

    async def tell(self, told: Told) -> None:
        """Raises TrainerDied."""
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(told.model_dump_json().encode() + b"\n")
            async with asyncio.timeout(SILENCE_S):
                await self._process.stdin.drain()
        except (OSError, TimeoutError) as error:
            raise self._died("does not listen") from error

    def _died(self, what: str) -> TrainerDied:
        with suppress(OSError):
            said = self._log.read_text(errors="replace").strip().splitlines()
            return TrainerDied(f"the trainer {what}: {said[-1] if said else 'no message'}; see {self._log}")
        return TrainerDied(f"the trainer {what}")


def placed(job: Job) -> dict[str, str]:
    """The environment in which it sees the plan's GPUs; where that names none, the first that this process sees. Of several,
    transformers would train a copy on each. Which GPUs a training's several processes get is Ray's to say, of those that do not
    serve. Raises TrainerDied where all of a machine do that is alone."""
    if job.workers > 1 and not job.plan.train_on and job.device != "cpu":
        return _not_serving(job)
    if job.plan.train_on or job.device == "cpu":
        return only(job.plan.train_on)
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0]
    return {"CUDA_VISIBLE_DEVICES": first} if first else only((0,))


def _not_serving(job: Job) -> dict[str, str]:
    left = not_serving(job.plan.serve_on)
    if gpus_given(job.device) and not left and not cluster_of(job):
        raise TrainerDied(ALL_SERVE)
    return {"CUDA_VISIBLE_DEVICES": ",".join(left), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def cluster_of(job: Job) -> str | None:
    """Of which its processes are to be part; None: of one of this machine alone."""
    return job.cluster or os.environ.get("RAY_ADDRESS")
