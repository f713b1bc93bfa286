"""The sample table: from the curves with one key, by the command line, and never with a character that steers a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from sia_tui.cli.main import main
from sia_tui.core.episodes import Case, Sampled
from sia_tui.core.text import clean
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.screens.samples import Samples
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.trajectory import TrajectoryView
from tests.tui.desk import SMALL, WIDE, open_on, screen_text, settle, window_on
from tests.tui.opened import until, whole
from tests.tui.runs import make_run
from tests.tui.writer import writing

TRAINING = "p-3f3a9c2e"


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A training, with its pilot, in which three cases held out were solved at last."""
    found = make_run(tmp_path_factory.mktemp("w") / "runs" / "r", "training")
    with writing(found.root) as run:
        for step, mean in ((0, 0.0), (10, 1.0)):
            for number in range(3):
                case = Case(f"held-{number}", "train", {"text": run.fact()}, 0)
                run.episode("k" * 32, case, mean, Sampled(TRAINING, "held_out", step, 0))
    return found


async def test_one_key_from_the_curves_and_enter_reads_one(paths: RunPaths) -> None:
    async with open_on(paths, "curves") as (app, pilot):
        await pilot.press("t")
        await settle(pilot)
        assert isinstance(app.screen, Samples)
        shown = screen_text(app)
        for part in ("best paid", "worst", "random", "changed most", "held out 0", "held out 10", "✓ 1", "␛]52"):
            assert part in shown, part
        learned = shown[shown.index("best paid") : shown.index("changed most")]
        assert "train 18" in learned and "held out" not in learned and "pilot" not in learned
        await pilot.press("enter")
        assert isinstance(app.screen, Samples), "a head opens nothing"
        await pilot.press("down", "enter")
        await settle(pilot)
        assert app.here == "rollouts" and "CALL 1 of 1" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert app.here == "curves" and not app.query_one(TrajectoryView).display


async def test_escape_goes_back(paths: RunPaths) -> None:
    async with open_on(paths, "curves") as (app, pilot):
        await pilot.press("t", "escape")
        await settle(pilot)
        assert app.here == "curves" and not isinstance(app.screen, Samples)


async def test_without_a_training_there_is_nothing_to_sample(tmp_path: Path) -> None:
    async with open_on(make_run(tmp_path / "runs" / "r", "plan_gate"), "curves") as (app, pilot):
        await pilot.press("t")
        assert not isinstance(app.screen, Samples)


def test_the_command_line_prints_the_same(paths: RunPaths, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--workspace", str(paths.root.parents[1])]
    assert main(["samples", "r", *where]) == 0
    told = capsys.readouterr().out
    assert clean(told) == told and "changed most" in told and "held_out" in told
    assert main(["samples", "r", TRAINING[:5], "--at", "10", "--json", *where]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {sample["kind"] for sample in found} == {"best paid", "changed most"}, "four are soon shared out"
    assert {sample["row"]["purpose"] for sample in found if not sample["before"]} == {"train"}
    assert {sample["change"] for sample in found if sample["before"]} == {1.0}
    assert all(sample["row"]["step"] == 10 for sample in found)


@pytest.mark.parametrize(
    ("asked", "said"), [(["p-9"], f"there are: {TRAINING}"), (["--at", "99"], "no rollouts at optimizer step 99")]
)
def test_what_is_not_there_is_said(
    paths: RunPaths, capsys: pytest.CaptureFixture[str], asked: list[str], said: str
) -> None:
    assert main(["samples", "r", *asked, "--workspace", str(paths.root.parents[1])]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize(("theme", "size"), [("sia", WIDE), ("sia-contrast", SMALL)], ids=str)
def test_looks(paths: RunPaths, snap_compare: Callable[..., bool], theme: str, size: tuple[int, int]) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: whole(pilot.app))
        await pilot.press("5", "t")
        await settle(pilot)
        await until(pilot, lambda: pilot.app.screen.query_one(Lines).count > 0)

    assert snap_compare(window_on(paths, theme=theme), terminal_size=size, run_before=before)
