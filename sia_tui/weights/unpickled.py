"""What transformers' trainer goes on from, without the pickles that it would write and read."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sia_tui.weights import ranks
from sia_tui.weights.tensors import read, write

OPTIMIZER, SCHEDULER = "optimizer.safetensors", "scheduler.safetensors"
UNREAD = "training_args.bin"
"""A pickle that transformers writes beside every model, and nobody reads."""


class Unpickled:
    """Mixed into TRL's trainers. What it takes the place of in transformers is pinned by a test."""

    args: Any
    optimizer: Any
    lr_scheduler: Any

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        super()._save(output_dir, state_dict)  # type: ignore[misc]
        (Path(output_dir or self.args.output_dir) / UNREAD).unlink(missing_ok=True)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.args.should_save:
            write(Path(output_dir) / OPTIMIZER, self.optimizer.state_dict())
            write(Path(output_dir) / SCHEDULER, self.lr_scheduler.state_dict())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self.optimizer.load_state_dict(read(Path(checkpoint) / OPTIMIZER))
            self.lr_scheduler.load_state_dict(read(Path(checkpoint) / SCHEDULER))

    def _save_rng_state(self, output_dir: str) -> None:
        # Another rank may come here before the first has made the folder.
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        states = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            states["cuda"] = torch.cuda.get_rng_state_all()
        write(_drawn(output_dir), states)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """One of more processes than there were draws on as it began."""
        if checkpoint is None or not _drawn(checkpoint).exists():
            return
        states = read(_drawn(checkpoint))
        random.setstate(states["python"])
        np.random.set_state(states["numpy"])
        torch.set_rng_state(states["cpu"])
        if torch.cuda.is_available() and len(states.get("cuda", ())) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(states["cuda"])


def _drawn(checkpoint: str) -> Path:
    """What this process' random numbers come from."""
    return Path(checkpoint) / f"random-{ranks.rank()}.safetensors"
