"""`verify` over a real run: whole as it is, and each thing that can break is told by name with what to do."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cli.main import main
from sia_tui.core.events import AdapterTrained, ProposalMade
from sia_tui.engine.verifying import verify
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from tests.core.story import proposal
from tests.others import Other, groups

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
    "an adapter is cut short": (
        "adapter of g0",
        "not the adapter that was measured",
        lambda w, run: os.truncate(next(run.adapters.glob("*/*.safetensors")), 100),
    ),
    "an adapter is not decided on and gone": (
        "adapter of p",
        "no adapter at",
        lambda w, run: trained(run),
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


def trained(run: RunPaths) -> None:
    with RunStore(run.db) as store:
        store.record(
            ProposalMade("p", proposal("p", "weights")),
            AdapterTrained("p", "0" * 64, 40, 40, "all steps made", 0.05, 0.5, 100, 9.0, 14, 14, 1e-5),
        )


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


def test_what_its_own_owner_may_not_read_is_broken(workspace: Workspace) -> None:
    """Of another user's it is no matter: they look at it themselves."""
    groups(0)
    with tempfile.TemporaryDirectory(prefix="sia-verified-") as folder:
        Path(folder).chmod(0o755)
        theirs = Workspace(Path(folder) / "ws")
        shutil.copytree(workspace.root, theirs.root, symlinks=True)
        run, owner = theirs.run("real"), Other(2_000_100_005)
        for path in (theirs.root, *theirs.root.rglob("*")):
            os.chown(path, owner.uid, owner.uid, follow_symlinks=False)
        for unreadable in (run.adapters, theirs.root / "policies"):
            next(unreadable.glob("*/*.safetensors")).chmod(0)
        found = owner.does(lambda: [asdict(check) for check in verify(theirs, run, lambda line: None)])
    told = {check["name"]: check for check in found}
    for name in ("adapter of g0", "base model"):
        assert told[name]["level"] == "broken" and "Permission denied" in told[name]["told"], told[name]
    assert "chmod" in told["adapter of g0"]["do"]


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


def test_the_worktree_of_a_copied_workspace_is_told_and_mended(
    tmp_path: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(workspace.root, tmp_path / "copy", symlinks=True)
    copy = Workspace(tmp_path / "copy")
    code, found = verified(copy, capsys)
    assert code == 0 and found["git: worktree"]["level"] == "behind" and "--mend" in found["git: worktree"]["do"]
    code, found = verified(copy, capsys, "--mend")
    assert code == 0 and found["git: worktree"]["level"] == "ok"
    shutil.rmtree(copy.run("real").worktree)
    assert "is not there" in verified(copy, capsys)[1]["git: worktree"]["told"]
    assert verified(copy, capsys, "--mend")[1]["git: worktree"]["level"] == "ok"
    assert (copy.run("real").worktree / "lawbench" / "harness.py").is_file()
    assert verified(workspace, capsys)[1]["git: worktree"]["level"] == "ok", "the one it was copied from"
