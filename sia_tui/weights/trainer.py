"""The trainer process: `python -m sia_tui.weights.trainer --job job.json`, spoken to as `protocol` says.

Exit status: 0 after `Trained` and `Left`, 1 after `Failed` and `Full`, `pipe.ENGINE_GONE` when the engine closed the pipe,
BROKE for anything unforeseen, with the reason as the last line of stderr.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sia_tui.core.plans import OFFLINE
from sia_tui.core.room import DiskFull
from sia_tui.loading import quickly
from sia_tui.weights.algorithms import load
from sia_tui.weights.lessons import gather, measures
from sia_tui.weights.pipe import Pipe
from sia_tui.weights.progress import fresh, resume
from sia_tui.weights.protocol import End, Failed, Full, Job, Left, Metrics, Notice, Trained
from sia_tui.weights.stopping import TrainingFailed
from sia_tui.weights.whole import drop_unsealed, room_for, sealed, step_of

BROKE = 4
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
"""No network, no telemetry; the last makes matrix products on a GPU repeatable."""


def job_file(arguments: Sequence[str] | None, description: str | None) -> Job:
    """What a trainer is started with."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--job", type=Path, required=True, help="JSON of protocol.Job")
    return Job.model_validate_json(parser.parse_args(arguments).job.read_bytes())


def main(arguments: Sequence[str] | None = None) -> int:
    job = job_file(arguments, __doc__)
    pipe = Pipe.take_over()
    os.environ.update(QUIET)
    try:
        end = ended(job, pipe)
    except Exception as error:
        # The machine's fault, not the plan's: whoever started this may start it again.
        logging.exception("the training broke")
        print(f"{type(error).__name__}: {' '.join(str(error).split())}"[:300], file=sys.stderr)
        return BROKE
    pipe.say(end)
    return 0 if isinstance(end, Trained | Left) else 1


def ended(job: Job, pipe: Pipe) -> End:
    """Raises what is the machine's fault, not the plan's."""
    try:
        return train(job, pipe)
    except DiskFull as error:
        return Full(reason=str(error))
    except TrainingFailed as error:
        return Failed(reason=str(error))


def train(job: Job, pipe: Pipe) -> Trained | Left:
    """Raises TrainingFailed where there is nothing to publish, DiskFull."""
    checkpoint, progress = resume(job, lambda why: pipe.say(Notice(text=why))) or (None, fresh(job))
    starting = not progress.looks
    asked = pipe.ask("held_out", job.held_out, samples=1, adapter=None, step=0) if starting else -1
    # The libraries load while the engine rolls out.
    with quickly():
        learn = load(job.plan.algorithm)
        from sia_tui.weights.looks import Training

    training = Training(job, pipe, progress, checkpoint)
    values = {"held_out": training.looked(0, pipe.answer(asked))} if starting else {}
    groups = gather(job, pipe) if job.plan.algorithm in OFFLINE and not progress.stopped else []
    if starting:
        pipe.say(Metrics(step=0, values=values | (measures(groups) | {"rollout_s": pipe.waited} if groups else {})))
    training.load()
    with room_for(job.folder, training.footprint, clear=lambda: drop_unsealed(job.checkpoints)):
        if not progress.stopped:
            learn(training, groups)
        if not progress.stopped:
            return Left(step=step_of(sealed(job.checkpoints)[0]))
        return training.finish()


if __name__ == "__main__":
    sys.exit(main())
