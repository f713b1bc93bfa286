"""One tiny model for all tests of the trainers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.policy.tiny import make_model
from tests.weights.bandit import Policy


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("weights") / "model", hidden=128, layers=1)


@pytest.fixture(scope="session")
def policy(model: Path) -> Policy:
    return Policy(model)
