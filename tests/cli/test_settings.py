"""A person's own settings: what is taken, and what is said of mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sia_tui.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "sia-tui" / "themes").mkdir(parents=True)
    return tmp_path / "sia-tui"


def test_without_a_file_the_defaults_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show"]) == 0
    told = capsys.readouterr().out
    assert "none: these are the defaults" in told and "sia-colour-blind" in told and "nobody" in told
    assert main(["config", "path"]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "config.yaml")


def test_unknown_ids_and_keys_taken_twice_are_a_line_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text(
        'keys: {gate.aprove: A, gate.approve: d, lines.follow: F, app.end-contract: ",", app.why: shift+w}\nui: {theme: mine}\n'
    )
    assert main(["config", "show"]) == 0
    faults = [line for line in capsys.readouterr().out.splitlines() if line.startswith("! ")]
    assert faults == [
        "! ui.theme: there is no theme mine",
        "! keys.gate.aprove: no such binding; see: sia-tui config show --keys",
        "! keys.app.end-contract: ',' names no key; the comma's is comma",
        "! keys.app.why: 'shift+w' is no key that arrives; such as a, A, f5, ctrl+a, comma",
        "! keys.gate.approve: d is gate.defer's in the gate",
    ]
    assert main(["config", "show", "--keys", "--json"]) == 0
    bindings = json.loads(capsys.readouterr().out)["bindings"]
    assert bindings["gate.approve"] == ["a"] and bindings["app.help"] == ["question_mark", "f1"]
    assert bindings["home.begin"] == ["n"] and bindings["app.live"] == ["2"]


def test_a_theme_of_ones_own_counts_and_one_that_is_none_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "themes" / "mine.yaml").write_text("primary: '#123456'\ndark: false\n")
    (folder / "themes" / "broken.yaml").write_text("primary: nocolour\n")
    (folder / "config.yaml").write_text("ui: {theme: mine}\n")
    assert main(["config", "show"]) == 0
    told = capsys.readouterr().out
    assert "theme mine; there are sia, sia-light" in told and "broken.yaml: no theme" in told


def test_an_address_is_shown_by_its_host_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "config.yaml").write_text("notify: {webhook: 'https://hooks.example.org/T0/secret'}\n")
    assert main(["config", "show"]) == 0
    told = capsys.readouterr().out
    assert "hooks.example.org" in told and "secret" not in told
    (folder / "config.yaml").write_text("notify: {webhook: 'gopher://secret'}\n")
    assert main(["config", "show"]) == 2
    told = capsys.readouterr().err
    assert "notify.webhook" in told and "http" in told and "secret" not in told


def test_the_schemas_describe_fields(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    told = json.loads(capsys.readouterr().out)
    steps = told["run"]["$defs"]["BudgetConfig"]["properties"]["steps"]
    assert steps["minimum"] == 0 and steps["description"]
    assert "theme" in told["user"]["$defs"]["UiConfig"]["properties"]
