"""`approve` with something else in the place of what was proposed, and with limits: without an engine, settled here."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.cli.main import main
from sia_tui.core.hunks import partial
from sia_tui.core.state import State
from sia_tui.store.reader import RunReader
from tests.tui.runs import make_run
from tests.tui.writer import PATCH


def state(root: Path) -> State:
    reader = RunReader(root / "run.db")
    try:
        return reader.state()
    finally:
        reader.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "w" / "harness").mkdir(parents=True)
    return make_run(tmp_path / "w" / "runs" / "r", "both_gate").root


def approve(root: Path, *more: str) -> int:
    gate = state(root).waiting
    assert gate is not None
    return main(["approve", f"r/{gate.id}", "--hash", gate.hash[:12], "--workspace", str(root.parent.parent), *more])


def test_hunks_and_fields_of_the_plan_together_are_one_other_proposal(root: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("steps: 12\nkl: 1e-3\n", encoding="utf-8")
    assert approve(root, "--hunks", "1", "--plan", str(tmp_path / "plan.yaml"), "--set", "lr=2e-5") == 0
    now = state(root)
    made = now.current
    assert made is not None and now.amends(made) is now.steps[-2] and now.waiting is None
    plan = made.proposal.plan
    assert plan is not None and (plan.steps, plan.kl, plan.learning_rate) == (12, 0.001, 2e-5)
    assert made.proposal.patch == partial(PATCH, [0])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--hunks", "1,3"), "there is no hunk 3: the patch has 2"),
        (("--hunks", "one"), "--hunks one"),
        (("--hunks", "1", "--patch", "x"), "--patch is a whole patch"),
        (("--patch", "/nowhere"), "/nowhere"),
        (("--set", "lr=7"), "learning_rate must lie in [1e-08, 0.1], got 7"),
        (("--hunks", "1,2"), "nothing of it is changed"),
        (("--until", "steps=0"), "steps must be 1 or more"),
        (("--until", "steps=2", "--hunks", "1"), "--until is about what was proposed"),
    ],
)
def test_what_cannot_be_is_said_in_one_line_and_changes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], said: str
) -> None:
    before = state(root).waiting
    assert approve(root, *more) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1 and state(root).waiting == before


def test_a_standing_yes_is_made_shown_and_ended(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--workspace", str(root.parent.parent))
    assert approve(root, "--until", "levers=both+weights,wall=2h") == 0
    assert main(["contract", "r", *place]) == 0
    assert "both/weights, left: 3 of 3 steps, 2 h of work" in capsys.readouterr().out
    assert main(["contract", "r", "--end", *place]) == 0 and main(["contract", "r", *place]) == 0
    assert "no contract stands; the last one ended: ended by" in capsys.readouterr().out
    assert main(["contract", "r", "--until", "wall=2h", *place]) == 0, "of what will be asked, while nothing is"
    assert main(["contract", "r", *place]) == 0
    assert "harness, left: 3 of 3 steps, 2 h of work" in capsys.readouterr().out
