"""One run for all that is to be taken out of a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sia_tui.engine import session as sessions
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.workspace import Workspace
from tests.cli.exported import Shop, _seeds, make_shop


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture
def workspace(shop: Shop, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of the shop's, to be broken, with its seed in place of the house's, and its worktree its own."""
    shutil.copytree(shop.workspace.root, tmp_path / "w", symlinks=True)
    copy = Workspace(tmp_path / "w")
    HarnessRepository(copy.harness_repository).tie("real", copy.run("real").worktree, "refs/heads/real")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "SEEDS", _seeds(tmp_path / "seeds"))
        yield copy
