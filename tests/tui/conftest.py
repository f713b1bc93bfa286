"""One clock zone for every test of the window, and runs that a file shares."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from sia_tui.store.workspace import RunPaths
from tests.tui.runs import Scene, make_run


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Scene], RunPaths]:
    folder = tmp_path_factory.mktemp("gates")

    def scene(name: Scene) -> RunPaths:
        root = folder / name / "runs" / "sql-repair-07"
        return RunPaths(root) if root.exists() else make_run(root, name)

    return scene
