"""Every test that takes `world` runs once per level of isolation that this machine has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.world import LEVELS, World

MakeWorld = Callable[..., World]


def pytest_generate_tests(metafunc: Any) -> None:
    if "level" in metafunc.fixturenames:
        metafunc.parametrize("level", LEVELS, scope="session")


@pytest.fixture
def world(level: Any, tmp_path: Path) -> MakeWorld:
    def make(harness: str, tools: str | None = None) -> World:
        return World(level, tmp_path).write(harness, tools)

    return make
