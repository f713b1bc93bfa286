from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.tasks.registry import load_task
from sia_tui.tasks.task import Task
from tests.lawbench_shaped import write_lawbench_shaped


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lawbench_shaped(tmp_path_factory.mktemp("tasks") / "lawbench")


@pytest.fixture(scope="session")
def task(data: Path) -> Task:
    return load_task("lawbench", data)
