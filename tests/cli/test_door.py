"""No verb prints what steers a terminal, of a run in which every word is hostile; and JSON still says the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sia_tui.cli.main import main
from sia_tui.core.text import clean
from tests.tui.soiled import SOIL, soiled_run

VERBS = ["ls", "show r", "pending", "audit r", "digest r", "history r", "decisions r", "compare r r", "samples r"]
VERBS += ["contract r", "verify r", "agents log r", "blame r g1 harness.py", "diff r g0 g1", "propose r --revive g2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("soiled")
    soiled_run(root / "runs" / "r", "patch_gate")
    return root


@pytest.mark.parametrize("words", [*VERBS, "show r --json", "pending --json", "decisions r --json"])
def test_what_a_verb_prints_steers_nothing(place: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    verb, *rest = words.split()
    main([verb, "--workspace", str(place), *rest])
    told = capsys.readouterr()
    assert told.out + told.err and clean(told.out + told.err) == told.out + told.err
    if "--json" in rest:
        assert any(SOIL in text for text in _texts(json.loads(told.out)))


def _texts(told: object) -> list[str]:
    if isinstance(told, dict):
        return [text for value in told.values() for text in _texts(value)]
    if isinstance(told, list):
        return [text for value in told for text in _texts(value)]
    return [told] if isinstance(told, str) else []


def test_a_name_with_a_line_break_is_no_row(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--workspace", str(place)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
