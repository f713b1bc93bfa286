from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sia_tui.engine.candidate import Candidates
from sia_tui.tasks.denoise.simulator import RANGES, Ranges, Tissue, make_tissue
from tests.harness.world import LEVELS

SMALL = Ranges(cells=(60, 70), genes=(800, 900), depth=(400.0, 600.0))
KEY = b"tests"


@pytest.fixture(scope="session")
def tissue() -> Tissue:
    """One of the train split, at full size."""
    return make_tissue("train", 0, KEY, RANGES["train"])


@pytest.fixture(scope="session")
def small() -> Tissue:
    return make_tissue("train", 0, KEY, SMALL)


@pytest.fixture(scope="session", params=LEVELS[:1])
def candidates(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Candidates:
    """Where sources run, short of time, since what is late here hangs on purpose; behind the better wall unless a test asks
    for another (the walls have tests of their own)."""
    folder = tmp_path_factory.mktemp("candidates")
    return Candidates(folder, request.param, Path(sys.executable), folder / "log", deadline_s=8.0)
