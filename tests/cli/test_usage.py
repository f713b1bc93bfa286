"""Bad input is one line on stderr and exit code 2; nothing is touched."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sia_tui.cli import running
from sia_tui.cli.main import main
from sia_tui.cli.table import cells, table
from sia_tui.cli.verbs import parser
from sia_tui.core.events import RunCreated
from sia_tui.core.hashing import digest
from sia_tui.store.writer import RunStore
from tests.tui import runs

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "lawbench-nano.yaml"


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
        (["tasks", "get", "denoise", "--wheel", "x.whl"], "--wheel is of lawbench alone: denoise is made here"),
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
    line = f"sia-tui: {other} holds the run asked"
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


@pytest.mark.parametrize(
    "words",
    [
        ["approve", "r/gate-\udcff", "--hash", "\udcff\udcfe"],
        ["memory", "lawbench", "--add", "\udcff"],
        ["memory", "lawbench", "--add=\udcff"],
        ["propose", "r", "--patch", "x", "--title", "\udcff/x"],
        ["\udcff"],
    ],
    ids=lambda words: words[0].encode("utf-8", "replace").decode(),
)
def test_words_that_are_not_utf_8_are_refused(
    workspace: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(words) == 2
    told = capsys.readouterr()
    assert "not UTF-8" in told.err and told.err.count("\n") == 1 and told.err.isascii() and told.out == ""
    assert not workspace.exists()


def test_paths_may_be_any_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "\udcff"
    make_run(place, "a")
    for words in (
        ["ls", "--workspace", str(place)],
        ["ls", f"--workspace={place}"],
        ["--workspace", f"{place}x", "ls"],
    ):
        assert main(words) == 0
    assert "a  " in capsys.readouterr().out


def says(command: str, workspace: Path) -> subprocess.CompletedProcess[str]:
    """Of a shell, where `sia-tui` stands for this one."""
    me = f'sia-tui() {{ {shlex.quote(sys.executable)} -m sia_tui "$@"; }}; set -o pipefail; '
    place = {**os.environ, "SIA_WORKSPACE": str(workspace), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", me + command], capture_output=True, text=True, env=place, check=False, timeout=120
    )


@pytest.mark.parametrize("verb", ["ls", "history done --json"])
def test_what_cannot_be_printed_is_a_failure(workspace: Path, verb: str) -> None:
    runs.make_run(workspace / "runs" / "done", "done")
    done = says(f"sia-tui {verb} > /dev/full", workspace)
    assert (done.returncode, done.stderr) == (1, "sia-tui: stdout: No space left on device\n")


@pytest.mark.parametrize("verb", ["history done", "--help"])
def test_a_reader_who_has_seen_enough_is_told_nothing(workspace: Path, verb: str) -> None:
    runs.make_run(workspace / "runs" / "done", "done")
    assert says(f"sia-tui {verb} | true", workspace).stderr == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_fault_of_a_verbs(workspace: Path, closed: str) -> None:
    runs.make_run(workspace / "runs" / "done", "done")
    done = says(f"sia-tui show done --json {closed}", workspace)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_refusal_that_nobody_hears_is_one(workspace: Path) -> None:
    for closed in ("2>&-", "2> /dev/full"):
        assert says(f"sia-tui show ghost {closed}", workspace).returncode == 2


@pytest.mark.parametrize(
    "ascii", ["PYTHONIOENCODING=ascii", "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0"], ids=["ascii", "C"]
)
def test_where_only_ascii_is_taken_words_are_escaped(workspace: Path, ascii: str) -> None:
    runs.make_run(workspace / "runs" / "done", "done")
    plain = says(f"export {ascii}; sia-tui show done", workspace)
    assert plain.returncode == 0 and plain.stdout.isascii() and "\\u25b8g" in plain.stdout
    told = says(f"export {ascii}; sia-tui samples done --json", workspace)
    assert told.returncode == 0 and told.stdout.isascii()
    assert json.loads(told.stdout) == json.loads(says("sia-tui samples done --json", workspace).stdout)


def test_nobody_is_told_by_name_what_steers_a_terminal(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ls", "\x1b[31m"])
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "verb", [["ls"], ["gc"], ["pending"], ["show"], ["run", str(CONFIG)]], ids=lambda verb: verb[0]
)
def test_a_workspace_that_is_a_file_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    place = tmp_path / "file"
    place.touch()
    assert main([*verb, "--workspace", str(place)]) == 2
    told = capsys.readouterr()
    assert (
        told.out == ""
        and told.err == f"sia-tui: {place} is a file; a workspace is a folder, which need not be there yet\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("serve r --port 99999", "--port: expected a whole number from 1 to 65535, got '99999'"),
        ("serve r --port -1", "from 1 to 65535"),
        ("serve r --port 0", "from 1 to 65535"),
        ("serve r --port nan", "from 1 to 65535"),
        (f"serve r --port {'9' * 5000}", "from 1 to 65535"),
        ("samples r --at -1", "expected a whole number from 0 to 1000000000, got '-1'"),
        ("replay r --save x --rollouts -5", "from 0 to 1000000000"),
        ("agents log r --step 1.5", "from 0 to 1000000000"),
        ("more-evidence r g1 --seeds 0", "from 1 to 1000"),
        ("reproduce r g0 --seed -1", "from 0 to 4294967295"),
        ("tasks new x --at-once 65", "from 1 to 64"),
    ],
    ids=lambda value: value[:30],
)
def test_numbers_have_their_range(capsys: pytest.CaptureFixture[str], words: str, said: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize("since", ["999999d", "0001-01-01", "9999-12-31T23:59:59-12:00"])
def test_a_time_beyond_the_calendar_is_none(workspace: Path, capsys: pytest.CaptureFixture[str], since: str) -> None:
    make_run(workspace, "a")
    assert main(["digest", "a", "--since", since]) in (0, 2)
    assert capsys.readouterr().err.count("\n") <= 1


def test_a_generation_of_many_digits_is_none(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(workspace, "a")
    assert main(["rollback", "a", "9" * 5000]) == 2
    assert "a has no generation 9999" in capsys.readouterr().err


@pytest.mark.parametrize(
    "module", ["sia_tui.cli.verbs", "sia_tui.store.version", "sia_tui.cli.reading", "sqlite3.dbapi2"]
)
def test_an_interrupt_while_it_begins_ends_it_quietly(workspace: Path, module: str) -> None:
    code = f"""
import runpy, sys
class Interrupting:
    def find_spec(self, name, *more):
        if name == {module!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = ["ls"]
runpy.run_module("sia_tui", run_name="__main__")
"""
    place = {**os.environ, "SIA_WORKSPACE": str(workspace)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=place, cwd=ROOT, check=False, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_command_begins_where_python_m_does() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"sia-tui": "sia_tui.__main__:run"}


def each_verb() -> Iterator[argparse.ArgumentParser]:
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def test_no_option_of_a_verb_takes_the_place_of_one_before_the_verb() -> None:
    before = {action.dest for action in parser()._actions}
    for verb in each_verb():
        shared = [action for action in verb._actions if action.dest in before - {"help"}]
        assert all(action.default is argparse.SUPPRESS for action in shared), verb.prog
        assert {action.dest for action in shared} <= {"workspace", "ascii"}, verb.prog


def test_rollouts_at_a_step(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.make_run(workspace / "runs" / "tr", "training")
    assert main(["samples", "tr", "--at", "5"]) == 0
    assert "train-0005" in capsys.readouterr().out


def test_the_workspace_is_named_before_the_verb_or_behind_it(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "other", "elsewhere")
    for words in (["--workspace", str(tmp_path / "other"), "ls"], ["ls", "--workspace", str(tmp_path / "other")]):
        assert main(words) == 0
        assert "elsewhere" in capsys.readouterr().out
