"""`gc` takes what no run refers to, and never what one needs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from sia_tui.cli.main import main
from sia_tui.store import lock
from sia_tui.store.lock import RunHeld, hold, using
from sia_tui.store.workspace import Workspace
from tests.tui.runs import make_run

pytestmark = pytest.mark.xdist_group("export")


def said(workspace: Workspace, *words: str) -> int:
    return main(["gc", *words, "--workspace", str(workspace.root)])


def files(workspace: Workspace) -> set[str]:
    return {str(path.relative_to(workspace.root)) for path in workspace.root.rglob("*") if path.name != "engine.lock"}


RUBBISH = (
    "policies/nano-0123456789abcdef/model.safetensors",
    "environments/0123456789abcdef/bin/python",
    "rows/0123456789abcdef/rows.jsonl",
    "rows/part-abc/rows.jsonl",
    "tools/0123456789abcdef/fitted",
    "baselines/0123456789abcdef/job.json",
    "runs/.deleted-abc/one/run.db",
    "runs/.part-abc/run.db",
    "runs/real/adapters/0123456789abcdef/adapter_config.json",
    "runs/real/adapters/.0123456789abcdef/adapter_config.json",
    "runs/real/trees/0123456789abcdef0123456789abcdef01234567/harness.py",
    "runs/real/training/p-0123456789/checkpoints/checkpoint-2/model",
    "runs/real/logs/scratch-abc/file",
)


def littered(workspace: Workspace) -> None:
    for name in RUBBISH:
        path = workspace.root / name
        path.parent.mkdir(parents=True)
        path.write_text("x")
        for made in (path, *path.parents[: len(Path(name).parts) - 1]):
            os.utime(made, (0, 0))
    tree = workspace.root / RUBBISH[10]
    tree.chmod(0o444)
    tree.parent.chmod(0o555)


def test_only_rubbish_goes_and_only_after_a_yes(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(workspace) == 0 and "nothing" in capsys.readouterr().out
    clean = files(workspace)
    littered(workspace)
    dirty = files(workspace)
    assert said(workspace, "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told) == len(RUBBISH) and all(item["bytes"] > 0 and item["what"] for item in told), told
    assert said(workspace) == 2 and "--yes" in capsys.readouterr().err
    with hold(workspace.run("real").lock):
        assert said(workspace, "--yes") == 2
        assert "nothing was deleted" in capsys.readouterr().err
    with using(workspace.root), using(workspace.root):
        assert said(workspace, "--yes") == 2
        assert f"is used by an engine (pid {os.getpid()})" in capsys.readouterr().err
    with using(workspace.root, "sia-tui restore"):
        assert said(workspace, "--yes") == 2
        assert "is used by sia-tui restore (pid" in capsys.readouterr().err
    monkeypatch.setattr(lock, "USE_S", 0.0)
    clearing = using(workspace.root, "sia-tui gc", alone=True)
    with clearing, pytest.raises(RunHeld, match=r"gc \(pid \d+\); wait for it"), using(workspace.root):
        pass
    assert files(workspace) == dirty
    assert said(workspace, "--yes") == 0
    assert files(workspace) - {"runs/real/training"} == clean
    assert main(["verify", "real", "--workspace", str(workspace.root)]) == 0


def test_what_a_run_that_cannot_say_may_need_stays(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """One is just created and has neither task nor policy; the other's data is gone."""

    def places() -> set[str]:
        assert said(workspace, "--dry-run", "--json") == 0
        paths = (Path(item["path"]) for item in json.loads(capsys.readouterr().out))
        return {path.relative_to(workspace.root).parts[0] for path in paths}

    littered(workspace)
    assert "policies" in places()
    (workspace.root / RUBBISH[0]).with_name("manifest.json").write_text("{")
    assert "policies" not in places(), "it may be anybody's"
    make_run(workspace.runs / "fresh", "fresh")
    assert places() == {"runs", "rows"}, "what is half made is nobody's"
    workspace.run("fresh").db.write_bytes(b"no store" * 1000)
    assert said(workspace, "--yes") == 2 and "not a readable run database" in capsys.readouterr().err
    assert (workspace.root / RUBBISH[0]).exists()


def test_an_open_training_and_the_newest_adapter_are_needed(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = make_run(workspace.runs / "busy", "training")
    shutil.copy(workspace.run("real").config, paths.config)
    from sia_tui.store.reader import RunReader

    reader = RunReader(paths.db)
    step = reader.state().current
    reader.close()
    assert step is not None
    checkpoint = paths.training / step.id / "checkpoints" / "checkpoint-10" / "model"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("x")
    assert said(workspace, "--yes") == 0
    assert checkpoint.exists() and workspace.run("real").adapters.is_dir()


def test_whoever_writes_what_runs_share_waits_for_a_gc_and_then_says_who_has_it(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, task = str(workspace.root), tmp_path / "task"
    task.mkdir()
    (tmp_path / "requirements.txt").touch()
    monkeypatch.setattr(lock, "USE_S", 0.0)
    before = files(workspace)
    with using(workspace.root, "sia-tui gc", alone=True):
        for words in (
            ("tasks", "check", "trimul"),
            ("tasks", "import", str(task), "--name", "new", "--requirements", str(tmp_path / "requirements.txt")),
        ):
            assert main([*words, "--workspace", root]) == 2, words
            told = capsys.readouterr().err.strip()
            assert len(told.splitlines()) == 1 and "is being cleared by sia-tui gc (pid" in told, told
    assert files(workspace) == before
