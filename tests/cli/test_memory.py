"""`memory TASK`: read, note, strike out, edit, make again; a mistake is one line and changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cli.main import main
from tests.tui.runs import make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("memory")
    make_run(root / "runs" / "r", "done")
    return root


@pytest.fixture
def workspace(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run, remembered, with no edits."""
    monkeypatch.setenv("SIA_WORKSPACE", str(runs))
    (runs / "workspace.db").unlink(missing_ok=True)
    assert main(["memory", "lawbench", "--rebuild"]) == 0
    return runs


def memory(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["memory", "lawbench", "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_it_lists_what_was_tried_what_fails_what_people_said_and_what_promises_are_worth(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["memory", "lawbench", "--rebuild"]) == 0
    assert capsys.readouterr().out == "lawbench: made again from 1 run; notes and strikes stay\n"
    assert main(["memory", "lawbench"]) == 0
    told = capsys.readouterr().out
    assert "Show the 10 charges the search ranks first [idea-1] in r on g0: kept, +29.8 [+27.8, +31.8] on dev" in told
    assert "in r on g1: rolled back, -4.0 [-6.0, -2.0] on dev (worse on dev)" in told
    assert "in r on g3: refused (by ana: not now)" in told
    assert "g0 to g3 in r: g0 3, g1 3, g3 3" in told and "not now (ana, no to “Snap answers" in told
    assert (
        "playbook/harness  1 of 2 signs right so far, gains ×" in told and "playbook/weights  1 of 1 sign right" in told
    )
    assert "\x1b" not in told
    data = memory(capsys)
    assert [idea["outcome"] for idea in data["ideas"]] == ["kept", "rolled back", "kept", "refused"]
    assert [made["sign_right"] for made in data["forecasts"]] == [True, False, True] and data["struck"] == []
    assert data["forecasts"][2]["cost"]["training_s"] == 402.0 and {"told", "factor"} <= data["record"][0].keys()


def test_an_item_is_struck_out_and_told_again(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "lawbench", "--add", "  answer in Chinese "]) == 0
    [_, note] = memory(capsys)["constraints"]
    assert note["text"] == "answer in Chinese" and note["run"] == ""
    assert main(["memory", "lawbench", "--forget", note["id"]]) == 0
    assert main(["memory", "lawbench"]) == 0
    told = capsys.readouterr().out
    assert "answer in Chinese" not in told and f"struck out, not told to agents: {note['id']}" in told
    assert main(["memory", "lawbench", "--restore", note["id"]]) == 0
    assert memory(capsys)["struck"] == []


def test_it_is_edited_in_the_person_s_own_editor(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = memory(capsys)["ideas"][0]["id"]
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"sed -i -e 's/^keep {first}/drop {first}/' -e '$a + prompts stay short'")
    assert main(["memory", "lawbench", "--edit"]) == 0
    assert "1 added, 1 struck out, 0 told again" in capsys.readouterr().out
    data = memory(capsys)
    assert data["struck"] == [first] and data["constraints"][-1]["text"] == "prompts stay short"
    assert len(data["forecasts"]) == 3 and data["record"][0]["n"] == 1, "its prediction goes with it"


@pytest.mark.parametrize(
    ("arguments", "editor", "said"),
    [
        (["lawbench", "--forget", "p-9"], "true", "no item 'p-9' in the memory of lawbench"),
        (["lawbench", "--restore", "p-1f3a9c2e"], "true", "p-1f3a9c2e is not struck out"),
        (["lawbench", "--add", " "], "true", "--add: say what"),
        (["lawbench", "--edit"], "false", "the editor 'false' ended with 1; nothing was changed"),
        (["lawbench", "--edit"], "/no/such/editor", "cannot be started"),
        (["lawbench", "--edit"], "sed -i '$a forget it'", "expected “keep ID”"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    editor: str,
    said: str,
) -> None:
    before = memory(capsys)
    monkeypatch.setenv("VISUAL", editor)
    assert main(["memory", *arguments]) == 2
    out, err = capsys.readouterr()
    assert said in err and err.count("\n") == 1 and out == ""
    assert memory(capsys) == before


def test_a_broken_file_is_one_line(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "workspace.db").write_bytes(b"no database" * 200)
    assert main(["memory", "lawbench"]) == 2
    assert "workspace.db: cannot be read" in capsys.readouterr().err
