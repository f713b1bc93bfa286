"""A bench in the real sandbox, made once for all that ask it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from sia_tui.core.hardware import Card
from sia_tui.harness import confined
from sia_tui.harness.environment import base_interpreter
from sia_tui.harness.sandbox import Isolation, choose, probe
from sia_tui.tasks.trimul.bench import Bench
from sia_tui.tasks.trimul.gpu.home import home
from sia_tui.tasks.trimul.gpu.trial import Limits, Trial
from sia_tui.tasks.trimul.programs import Command, Wall, Wanted, place
from sia_tui.tasks.trimul.spec import Shape

SMALL = Shape(1, 40, 16, 16)
"""Two milliseconds of the naive kernel."""


def wall_at(level: Isolation) -> Wall:
    def wall(wanted: Wanted) -> Command:
        made = confined.command(level, base_interpreter(), confined.Program(**vars(wanted)))
        return Command(made.argv, made.environment)

    return wall


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder: Path = tmp_path_factory.mktemp("trimul")
    wall = wall_at(choose("auto", probe()))
    with Bench(
        place(folder / "theirs", wall, False), place(folder / "ours", wall, True), folder / "one-at-a-time"
    ) as made:
        yield made


@pytest.fixture(scope="session")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The GPU's verifier with the host's memory in the GPU's place, in the real sandbox."""
    folder: Path = tmp_path_factory.mktemp("trial")
    wall = wall_at(choose("auto", probe()))
    theirs, ours = (home(folder / name, "cpu", wall) for name in ("theirs", "ours"))
    quick = Limits(fewest=2, most=2)
    with Trial("cpu", Card(0, 1e15, 1e15), theirs, ours, folder / "one-at-a-time", quick) as made:
        yield made
