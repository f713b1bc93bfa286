"""Bad input is one line on stderr and exit code 2; nothing is touched."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml

from sia_tui.cli import running
from sia_tui.cli.main import main
from sia_tui.cli.table import cells, table
from sia_tui.core.events import RunCreated
from sia_tui.core.hashing import digest
from sia_tui.store.writer import RunStore
from tests.tui import runs

CONFIG = Path(__file__).parents[2] / "configs" / "lawbench-nano.yaml"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIA_WORKSPACE", str(tmp_path / "w"))
    return tmp_path / "w"


def make_run(workspace: Path, name: str) -> Path:
    root = workspace / "runs" / name
    root.mkdir(parents=True)
    (root / "config.yaml").write_text(CONFIG.read_text())
    with RunStore(root / "run.db") as store:
        store.record(RunCreated(name, "lawbench", "0" * 64))
    return root


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "configs/none.yaml"], "configs/none.yaml: no such file"),
        (["run", str(CONFIG), "--set", "budget.stepz=1"], "budget.stepz: unknown key; expected one of steps"),
        (["run", str(CONFIG), "--set", "budget.steps=lots"], "budget.steps: input should be a valid integer"),
        (["run", str(CONFIG), "--name", "../up"], "not a run name"),
        (
            ["run", str(CONFIG), "--accept-risk", "golden", "--reason", "x"],
            "--accept-risk golden: no such row; there are",
        ),
        (["run", str(CONFIG), "--accept-risk", "gold"], "each --accept-risk ROW takes a --reason T"),
        (["run", str(CONFIG), "--accept-risk", "gold", "--reason", " "], "each --accept-risk ROW takes a --reason T"),
        (["run", str(CONFIG), "--reason", "x"], "each --accept-risk ROW takes a --reason T"),
        (["show"], "no runs in"),
        (["show", "ghost"], "no run 'ghost'"),
        (["resume", "ghost"], "no run 'ghost'"),
        (["history", "ghost"], "no run 'ghost'"),
        (["approve", "gate-1", "--hash", "12345678"], "no gate gate-1 is waiting"),
        (["plan", "ghost"], "no run 'ghost'"),
        (["plan", "configs/none.yaml"], "configs/none.yaml: no such file"),
        (["plan", str(CONFIG), "--gpu", "abacus"], "'abacus': expected a card and how many"),
        (["plan", str(CONFIG), "--shape", "none.json"], "none.json: no such file"),
        (["plan", str(CONFIG), "--algorithm", "magic"], "--algorithm magic: expected one of best_of_n"),
        (["doctor", "--config", "none.yaml"], "none.yaml: no such file"),
        (["memory", "chess"], "no task 'chess'; there are: lawbench"),
        (["tasks", "get", "nothing"], "no task 'nothing'; there are: lawbench"),
    ],
    ids=lambda value: " ".join(value)[-24:] if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_and_exit_2(
    workspace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert said in err and err.count("\n") == 1 and out == ""
    assert not (workspace / "runs").exists() or not list((workspace / "runs").glob("*/run.db"))


@pytest.mark.parametrize("arguments", [["fly"], ["run"], ["approve", "gate-1"], ["run", "x", "--gate", "maybe"]])
def test_what_argparse_refuses_is_exit_2_too(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_name_that_is_taken(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(workspace, "a")
    assert main(["run", str(CONFIG), "--name", "a"]) == 2
    assert "run a exists; go on with it: sia-tui resume a" in capsys.readouterr().err
    assert [path.name for path in (workspace / "runs").iterdir()] == ["a"]


def test_a_config_edited_after_the_start_is_refused(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(workspace, "a")
    assert main(["resume", "a"]) == 2
    assert "was changed since the run began" in capsys.readouterr().err


def test_a_run_of_an_earlier_version_goes_on(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its config has fewer keys than this version's, and its hash is of those."""
    with RunStore(make_run(workspace, "a") / "run.db") as store:
        store.record(RunCreated("a", "lawbench", digest(yaml.safe_load(CONFIG.read_text()))))
    monkeypatch.setattr(running, "_engine", lambda *given: 0)
    assert main(["resume", "a", "--headless"]) == 0


@pytest.mark.parametrize("verb", [["show", "a"], ["resume", "a"], ["pause", "a"], ["history", "a"], ["attach", "a"]])
@pytest.mark.parametrize("fault", ["corrupt", "newer"])
def test_a_corrupt_or_newer_run_is_refused_and_left_untouched(
    workspace: Path, capsys: pytest.CaptureFixture[str], verb: list[str], fault: str
) -> None:
    db = make_run(workspace, "a") / "run.db"
    if fault == "corrupt":
        db.write_bytes(b"SQLite format 3\x00" + b"\x07" * 5000)
    else:
        connection = sqlite3.connect(db)
        connection.execute("pragma user_version=99")
        connection.close()
    before = db.read_bytes()
    assert main(verb) == 2
    err = capsys.readouterr().err
    assert str(db) in err and err.count("\n") == 1
    assert ("schema 99" in err) == (fault == "newer")
    assert db.read_bytes() == before


def test_one_damaged_run_does_not_hide_the_others(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(workspace, "good")
    (make_run(workspace, "bad") / "run.db").write_bytes(b"nonsense")
    assert main(["ls"]) == 0
    out = capsys.readouterr().out
    assert "good" in out and "unreadable: " in out
    assert main(["pending"]) == 0


def test_help_keeps_the_contract_of_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    verbs = (
        "run attach ls show pending approve reject defer pause resume stop history diff samples rollback branch plan export "
        "tasks doctor"
    )
    assert all(f"    {verb} " in told for verb in verbs.split())


def test_columns_line_up_under_wide_characters() -> None:
    assert cells("盗窃 ab") == 7
    lines = table(("a", "b"), [("盗窃", "1"), ("x", "2")]).splitlines()
    assert [cells(line[: line.rindex(line[-1])]) for line in lines] == [6, 6, 6]


CHANGING = (
    ["resume", "other"],
    ["verify", "other", "--mend"],
    ["backup", "other", "file"],
    ["backup", "--all", "file"],
    ["approve", "other/gate-4", "--hash", "HASH"],
    ["pause", "other"],
    ["branch", "other", "g0"],
    ["delete", "other", "--yes"],
)


@pytest.mark.parametrize("copied", [False, True])
def test_a_run_whose_folder_was_renamed_is_told_and_only_looked_at(
    workspace: Path, copied: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, other = workspace / "runs" / "asked", workspace / "runs" / "other"
    runs.make_run(asked, "patch_gate")
    main(["pending", "--json"])
    gate = json.loads(capsys.readouterr().out)[0]
    shutil.copytree(asked, other) if copied else asked.rename(other)
    do = "is there too: move one of them away" if copied else f"move it back: mv {other} {asked}"
    line = "sia-tui: {other} holds the run asked"
    before = sorted(workspace.rglob("*"))
    for words in CHANGING:
        arguments = [word.replace("HASH", gate["hash"]).replace("gate-4", gate["gate"]) for word in words]
        assert main(arguments) == 2, words
        said = capsys.readouterr().err
        assert said.startswith(line) and do in said and said.count("\n") == 1, (words, said)
    assert sorted(workspace.rglob("*")) == before
    for words in (["show", "other"], ["ls"]):
        assert main(words) == 0
        told = capsys.readouterr()
        assert told.err.startswith(line) and "waiting" in told.out, words
    assert main(["pending", "--json"]) == 0
    told = capsys.readouterr()
    assert len(json.loads(told.out)) == copied and "passed over: " in told.err and "asked" in told.err


def test_a_folder_of_no_run_name_hides_no_run(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.make_run(workspace / "runs" / "pg", "patch_gate")
    shutil.copytree(workspace / "runs" / "pg", workspace / "runs" / "pg copy\x1b[2J")
    line = "sia-tui: passed over: runs/'pg copy␛[2J' is no run name: rename it or move it out of runs/"
    for words in (["ls"], ["pending"], ["backup", "--all", str(workspace / "file")], ["attach", "--plain"]):
        assert main(words) in (0, 1), words
        told = capsys.readouterr()
        assert line in told.err or words[0] == "attach", (words, told.err)
        assert "copy" not in told.out and "\x1b" not in told.err
    assert main(["gc", "--dry-run"]) == 2
    told = capsys.readouterr()
    assert f"{workspace}: {line.partition('over: ')[2]}; what it needs is not known" in told.err
