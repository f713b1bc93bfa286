"""Who wrote what and what was decided, on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sia_tui.cli.main import USAGE, main
from sia_tui.cli.reading import read
from sia_tui.core.own import NotProposed, revivable
from sia_tui.given import PATCH
from sia_tui.store.workspace import Workspace
from tests.tui.grown import grown_run
from tests.tui.runs import make_run
from tests.tui.writer import writing


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    grown_run(root)
    return root


def said(capsys: pytest.CaptureFixture[str], place: Path, *words: str) -> str:
    verb, *rest = words
    assert main([verb, "--workspace", str(place), *rest]) == 0
    return capsys.readouterr().out


def test_blame_tells_of_every_line_who_wrote_it_and_what_that_gained(
    capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    lines = said(capsys, place, "blame", "r", "g2", "harness.py").splitlines()
    assert len(lines) == 3 and lines[0].startswith("g0") and "prompt = 'two'" in lines[1]
    assert lines[1].split()[:4] == ["g1", "harness", "+10.0", "kept"]
    told = json.loads(said(capsys, place, "blame", "--json", "r", "g1", "harness.py"))
    assert told["lines"][1]["gain"] == {"gain": 0.1, "ci95": [0.05, 0.15]} and told["lines"][1]["by"] == "g1"
    refused = said(capsys, place, "blame", "r", "p-three", "harness.py").splitlines()
    assert refused[1].startswith("p-three") and "refused by ana" in refused[1]
    assert said(capsys, place, "blame", "r", "g1") == "harness.py\n"


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    assert main(["blame", "--workspace", str(place), "r", "g1", "../x"]) == USAGE
    assert "there are: harness.py" in capsys.readouterr().err


def test_a_revived_patch_is_shown_and_with_a_yes_proposed(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    shown = said(capsys, place, "propose", "r", "--revive", "p-three")
    assert "1 of 1 hunks fit" in shown and "+prompt = 'three'" in shown and "nothing is proposed yet" in shown
    assert main(["propose", "--workspace", str(place), "r", "--revive", "g2"]) == USAGE
    assert "no step with a patch" in capsys.readouterr().err
    told = json.loads(said(capsys, place, "propose", "--json", "r", "--revive", "p-three", "--yes"))
    assert told["asked"] and told["answer"].startswith("“Ask for three” is checked")
    assert read(Workspace(place).run("r")).wanted[0].proposal.patch == told["patch"]


def test_what_was_refused_may_be_revived_before_an_engine_has_heard_of_it(tmp_path: Path) -> None:
    with writing(make_run(tmp_path / "runs" / "r", "patch_gate").root) as run:
        step = run.store.state.steps[-1]
        with pytest.raises(NotProposed, match="not over yet"):
            revivable(run.store.state, step.id)
        run.verdict("gate-4", "reject", "not now")
        assert revivable(run.store.state, step.id).id == step.id


def test_a_patch_of_ones_own_takes_a_title(capsys: pytest.CaptureFixture[str], place: Path, tmp_path: Path) -> None:
    (tmp_path / "own.diff").write_text("--- a/harness.py\n+++ b/harness.py\n@@ -1 +1 @@\n-ASK = 1\n+ASK = 2\n")
    own = ["propose", "--workspace", str(place), "r", "--patch", str(tmp_path / "own.diff")]
    assert main(own) == USAGE and "has a title" in capsys.readouterr().err
    assert main([*own, "--title", "Ask twice"]) == 0 and "+ASK = 2" in capsys.readouterr().out


def test_a_patch_is_taken_from_a_pipe_that_is_the_input(place: Path) -> None:
    diff = b"--- a/harness.py\n+++ b/harness.py\n@@ -1 +1 @@\n-ASK = 1\n+ASK = 2\n"

    def said(patch: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
        command = [
            sys.executable,
            "-m",
            "sia_tui",
            "propose",
            "--workspace",
            str(place),
            "r",
            "--title",
            "Ask twice",
            *words,
        ]
        return subprocess.run(command, input=patch, capture_output=True, timeout=60)

    assert b"+ASK = 2" in said(diff, "--patch", "-").stdout
    assert said(b"\xff", "--patch", "-").returncode == said(b"", "--patch", "-").returncode == USAGE
    assert said(b" " * (PATCH + 1), "--patch", "-").stderr.endswith(b"-: more than 16 MiB\n")
    assert said(diff, "--patch", "/dev/stdin").stderr.endswith(b"expected; what a pipe says is read as -\n")


def test_decisions_put_promises_beside_what_was_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "r", "done")
    told = json.loads(said(capsys, tmp_path, "decisions", "--json", "r"))
    first, second, third, refused = told["decisions"]
    assert (first["predicted"], first["outcome"], first["sign_right"]) == (0.06, "kept", True)
    assert first["gain"] == pytest.approx(0.298) and second["sign_right"] is False
    assert third["cost"]["training_s"] == 402.0 and third["predicted_cost"]["training_s"] == 420.0
    assert third["expected"] is not None and refused["why"] == "by ana: not now"
    assert [(one["lever"], one["n"], one["signs"]) for one in told["records"]] == [("harness", 2, 1), ("weights", 1, 1)]
    shown = said(capsys, tmp_path, "decisions", "r")
    assert "+29.8 [+27.8, +31.8]" in shown and "1 of 2 signs right" in shown


def test_a_branch_starts_from_a_generation_of_another_run(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    assert "b: branched from r/g1" in said(capsys, place, "branch", "r", "g1", "--name", "b")
    was, made = (read(Workspace(place).run(name)) for name in ("r", "b"))
    assert (made.parent, made.start_commit) == ("r/g1", was.generations[1].commit)
    assert main(["branch", "--workspace", str(place), "r", "g1", "--name", "b"]) == USAGE
    assert "run b exists" in capsys.readouterr().err
