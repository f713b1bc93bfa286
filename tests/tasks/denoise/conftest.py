from __future__ import annotations

import pytest

from sia_tui.tasks.denoise.simulator import RANGES, Ranges, Tissue, make_tissue

SMALL = Ranges(cells=(60, 70), genes=(800, 900), depth=(400.0, 600.0))
KEY = b"tests"


@pytest.fixture(scope="session")
def tissue() -> Tissue:
    """One of the train split, at full size."""
    return make_tissue("train", 0, KEY, RANGES["train"])


@pytest.fixture(scope="session")
def small() -> Tissue:
    return make_tissue("train", 0, KEY, SMALL)
