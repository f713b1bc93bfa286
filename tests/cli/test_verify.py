"""`verify` over a real run: whole as it is, and each thing that can break is told by name with what to do."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cli.main import main
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.workspace import RunPaths, Workspace

pytestmark = pytest.mark.xdist_group("export")


def verified(workspace: Workspace, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any]]:
    code = main(["verify", "real", "--json", "--workspace", str(workspace.root), *more])
    return code, {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def test_a_run_as_its_engine_left_it_is_whole(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = verified(workspace, capsys)
    assert code == 0 and {check["level"] for check in found.values()} == {"ok"}, found
    parts = {"store: episodes", "git: g0", "git: refs", "adapter of g0", "config", "data and splits", "verifier"}
    assert parts <= found.keys()
    assert main(["verify", "real", "--workspace", str(workspace.root)]) == 0
    assert "real: whole" in capsys.readouterr().out


def told_by(db: Path, *statements: str) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


Break = Callable[[Workspace, RunPaths], object]
BROKEN: dict[str, tuple[str, str, Break]] = {
    "a trajectory is gone": (
        "store: episodes",
        "has no trajectory",
        lambda w, run: told_by(run.db, "delete from trajectories where rowid = 1"),
    ),
    "a trajectory is torn": (
        "store: episodes",
        "cannot be read",
        lambda w, run: told_by(run.db, "update trajectories set body = x'00' where rowid = 1"),
    ),
    "a reward is forged": (
        "store: episodes",
        "not what its trajectory says",
        lambda w, run: told_by(run.db, "update episodes set reward = 1 - reward where rowid = 1"),
    ),
    "episodes are gone": (
        "store: scores",
        "episodes on",
        lambda w, run: told_by(run.db, "delete from episodes", "delete from trajectories"),
    ),
    "an event is gone": (
        "store: log",
        "event 2 is missing",
        lambda w, run: told_by(run.db, "delete from events where seq = 2"),
    ),
    "an event is garbled": (
        "store: log",
        "cannot be read",
        lambda w, run: told_by(run.db, "update events set data = '{' where seq = 3"),
    ),
    "pages are torn": ("store: pages", "", lambda w, run: torn(run.db)),
    "the repository is gone": ("git: g0", "", lambda w, run: shutil.rmtree(w.harness_repository / ".git")),
    "an adapter is gone": ("adapter of g0", "no adapter at", lambda w, run: shutil.rmtree(run.adapters)),
    "an adapter is another": (
        "adapter of g0",
        "not the adapter that was measured",
        lambda w, run: touched(next(run.adapters.glob("*/*.safetensors"))),
    ),
    "the config was changed": (
        "config",
        "was",
        lambda w, run: run.config.write_text(run.config.read_text().replace("seed: 0", "seed: 1")),
    ),
    "the base model is gone": ("base model", "restore it there", lambda w, run: shutil.rmtree(w.root / "policies")),
}


def touched(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def torn(db: Path) -> None:
    told_by(db, "pragma wal_checkpoint(truncate)")
    data = bytearray(db.read_bytes())
    data[4096 * 3 : 4096 * 8] = bytes(4096 * 5)
    db.write_bytes(data)


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_named_with_what_to_do(
    case: str, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    name, said, broken = BROKEN[case]
    broken(workspace, workspace.run("real"))
    code, found = verified(workspace, capsys)
    assert code == 1 and found[name]["level"] == "broken", found
    assert said in found[name]["told"] and found[name]["do"]


def test_refs_that_are_behind_are_no_break_and_are_mended(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = HarnessRepository(workspace.harness_repository)
    for ref in ("refs/tags/real/g0", "refs/notes/sia/real"):
        repository.git.run("update-ref", "-d", ref)
    code, found = verified(workspace, capsys)
    assert code == 0 and found["git: refs"]["level"] == "behind" and "--mend" in found["git: refs"]["do"]
    code, found = verified(workspace, capsys, "--mend")
    assert code == 0 and found["git: refs"]["level"] == "ok"
