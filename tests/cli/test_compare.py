"""Two runs beside each other: paired where that can be, and of the configs what differs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sia_tui.cli.compare import comparison
from sia_tui.cli.main import main
from sia_tui.core import events as ev
from sia_tui.store.workspace import Workspace
from sia_tui.tui.pieces import cells
from tests.tui.runs import make_run
from tests.tui.writer import writing


def make(root: Path, name: str, split_hash: str = "5" * 64, over: bool = False, steps: int = 8) -> None:
    """A run with one generation of twelve dev cases."""
    with writing(root / "runs" / name, name) as run:
        run.prepare(name)
        ready = ev.TaskReady(split_hash, "6" * 64, "7" * 64, {"train": 1, "dev": 12, "hidden": 1, "test": 1})
        run.store.record(ready, ev.GenerationCreated(0, None, "c" * 40, "t" * 40, "k" * 64))
        for split in ("dev", "hidden"):
            run.evaluate(0, split, 0.5, episodes=12)  # type: ignore[arg-type]
        if over:
            run.store.record(ev.RunEnded("done", "enough"))
    path = root / "runs" / name / "config.yaml"
    text = path.read_text("utf-8")
    assert "steps: 8\n" in text
    path.write_text(text.replace("steps: 8\n", f"steps: {steps}\n"), "utf-8")


def compared(root: Path, capsys: pytest.CaptureFixture[str], *runs: str) -> dict[str, Any]:
    assert main(["compare", *runs, "--workspace", str(root), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_the_same_cases_are_paired_and_only_what_differs_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path, "a", over=True)
    make(tmp_path, "b", steps=9)
    told = compared(tmp_path, capsys, "a", "b")
    assert told["gain"]["dev"]["n"] == 12 and told["gain"]["dev"]["mean"] == 0
    assert told["gain"]["hidden"] == {"unpaired": "b is not over"}
    assert told["runs"][0]["hidden"]["n"] == 797 and told["runs"][1]["hidden"] is None
    assert told["config"] == {"budget.steps": [8, 9]}
    assert main(["compare", "a", "b", "--workspace", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert (
        "hidden: not paired: b is not over" in out and "budget.steps" in out and "policy" not in out.split("config")[1]
    )


def test_what_cannot_be_paired_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "a")
    make(tmp_path, "other", split_hash="e" * 64)
    found = compared(tmp_path, capsys, "a", "other")
    assert found["gain"]["dev"]["unpaired"].startswith("the data is split otherwise: 555555555555 and eeee")
    assert found["config"] == {}
    assert main(["compare", "a", "ghost", "--workspace", str(tmp_path)]) == 2


@pytest.mark.parametrize("width", [75, 135])
def test_both_columns_fit_the_width_and_go_on_below(tmp_path: Path, width: int) -> None:
    make_run(tmp_path / "runs" / "sql-repair-07", "done")
    make_run(tmp_path / "runs" / "charges-1", "both_done")
    lines = [row.plain for row in comparison(Workspace(tmp_path), "sql-repair-07", "charges-1")(width)]
    assert max(map(cells, lines)) <= width
    columns = lines[0].index("sql-repair-07"), lines[0].index("charges-1")
    [score] = [row for row in lines if row.startswith("dev of g0")]
    assert [score[at : at + 5] for at in columns] == ["1.2 %", "1.2 %"] and "dev_at_g0" not in "".join(lines)
    steps = lines[next(at for at, row in enumerate(lines) if row.startswith("step 3")) :]
    said = [" ".join(" ".join(row[at : at + columns[1] - columns[0]] for row in steps).split()) for at in columns]
    assert "weights +9.2 kept: GRPO on the cases it sometimes solves" in said[0]
    assert "both +16.0 kept: Ask for the charge alone, and clone answers of that form" in said[1]
