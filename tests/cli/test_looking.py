"""Who wrote what and what was decided, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sia_tui.cli.main import USAGE, main
from tests.tui.grown import grown_run


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
