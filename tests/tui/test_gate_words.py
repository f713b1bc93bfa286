"""What a gate says and looks like, whatever is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from sia_tui.config import load_config
from sia_tui.core import events as ev
from sia_tui.core.amending import amended
from sia_tui.core.hashing import digest
from sia_tui.core.hunks import partial
from sia_tui.core.proposals import Doubt, Proposal
from sia_tui.core.refusals import refusals
from sia_tui.core.text import clean
from sia_tui.store.workspace import RunPaths
from sia_tui.tui.asked import Question, decision, question, title
from sia_tui.tui.decided import refused
from sia_tui.tui.grounds import grounds
from sia_tui.tui.pieces import cells
from sia_tui.tui.planned import planned
from sia_tui.tui.screens.gate import GatePane
from tests.tui.desk import SMALL, WIDE, open_on, screen_text, settle, window_on
from tests.tui.opened import until, whole
from tests.tui.runs import Scene
from tests.tui.writer import CLONING, HOSTILE, PATCH, writing

Compare = Callable[..., bool]


@pytest.mark.parametrize(
    ("scene", "said"),
    [
        (
            "patch_gate",
            [
                "HARNESS",
                "+3.5 pt",
                "promised +6.0, 1 of 2 signs right",
                "can tell",
                "AT MOST LOST",
                "1 amber",
                "SEEN SO FAR",
                "Δ +8.0",
                "harness.py",
            ],
        ),
        (
            "both_gate",
            ["BOTH", "2 files", "WILL IT LEARN", "SEEN SO FAR", "THE PLAN", "of patch, weights and both the best"],
        ),
        ("plan_gate", ["WEIGHTS", "7.0 min of training", "WILL IT LEARN", "pass@8", "THE PLAN", "held out to stop"]),
        ("keep_gate", ["keep g3?", "MEASURED", "indecisive", "yes keeps it", "FIXED 1", "BROKE 1"]),
        ("done", ["No gate waits.", "DECIDED SO FAR", "refused by ana: not now", "go on"]),
    ],
)
@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_what_a_person_sees(
    scenes: Callable[[Scene], RunPaths], scene: Scene, said: list[str], size: tuple[int, int]
) -> None:
    async with open_on(scenes(scene), "gate", size=size) as (app, _pilot):
        shown = screen_text(app)
        if size == WIDE:
            assert [part for part in said if part not in shown] == []


@pytest.mark.parametrize("brief", [True, False])
def test_beside_what_a_yes_costs_stands_what_is_left(scenes: Callable[[Scene], RunPaths], brief: bool) -> None:
    paths = scenes("plan_gate")
    config = load_config(paths.config, ["budget.gpu_hours=120", "budget.wall_s=36000"])
    with writing(paths.root) as run:
        asked = question(run.store.state, config)
    assert asked is not None
    [cost] = [line.plain for line in decision(asked, brief) if line.plain.startswith("COST ")]
    assert "of training" in cost and cost.endswith("   LEFT 5 steps · 9.8 h · 120 GPU-h")


def test_a_stop_says_that_the_seal_goes(tmp_path: Path) -> None:
    root = tmp_path / "runs" / "r"
    with writing(root) as run:
        run.prepare("r")
        run.generation(None, 0.2)
        run.gate(run.proposal("stop", "nothing left to try"))
        asked = question(run.store.state)
        own = Proposal("harness", "Ask twice", "", "ask-twice", "c", patch=PATCH)
        run.store.record(ev.ProposalWanted(own, "ana"))
        behind = question(run.store.state)
    assert asked is not None and behind is not None
    waits = "WAITS “Ask twice” by ana: an engine puts this aside for it"
    assert waits in [line.plain for line in decision(behind)]
    told = "\n".join(line.plain for line in (*decision(asked), *grounds(asked, 60), *planned(asked, 60)))
    assert "test is opened, once" in told and "no pauses the run" in told and "WHERE IT STANDS" in told


def test_a_stop_lists_what_people_kept_from_being_tried(tmp_path: Path) -> None:
    """A no to all of a patch, and the hunks that were dropped of another."""
    with writing(tmp_path / "runs" / "r") as run:
        run.prepare("r")
        run.generation(None, 0.2)
        name = run.proposal("harness", "Ask twice")
        run.verdict(run.gate(name), "reject", "too dear")
        run.store.record(ev.ProposalRefused(name, "ana", "too dear"))
        run.gate(run.proposal("harness", "Show a list"))
        gate = run.store.state.waiting
        assert gate is not None
        run.store.record(*amended(run.store.state, gate, "ana", partial(PATCH, [0]), None))
        made = run.store.state.steps[-1].id
        run.store.record(ev.ProposalRefused(made, "checks", "red"))
        run.gate(run.proposal("stop", "nothing left to try"))
        asked = question(run.store.state)
    assert asked is not None
    told = [line.plain for line in planned(asked, 80)]
    at = next(at for at, line in enumerate(told) if line.startswith("TURNED DOWN"))
    assert [line.split(" ", 1)[1] for line in told[at + 1 :]] == [
        "“Show a list”: prompts/ask.md:1 +1 -0",
        "“Ask twice”",
    ]


def test_a_gate_says_that_a_patch_was_turned_down_before(tmp_path: Path) -> None:
    with writing(tmp_path / "runs" / "r") as run:
        run.prepare("r")
        run.generation(None, 0.2)
        first = run.proposal("harness", "Ask twice")
        run.verdict(run.gate(first), "reject", "too dear")
        run.store.record(ev.ProposalRefused(first, "ana", "too dear"))
        run.gate(run.proposal("harness", "Ask once more"))
        state = run.store.state
    asked = question(state)
    assert asked is not None
    for brief in (False, True):
        shown = [line.plain for line in decision(asked, brief)]
        assert f"▲ turned down before: 2 of 2 hunks that ana refused in {first}: too dear" in shown
    [head, row, _] = [line.plain for line in refused(refusals(state), state.task)]
    assert head.startswith("CONSTRAINTS") and "sia-tui memory lawbench" in head
    assert row == f"{first} ana refused “Ask twice”: too dear  came back once"


def test_the_gate_sets_a_dearer_patch_beside_as_many_tokens_on_the_incumbent(tmp_path: Path) -> None:
    config = load_config(Path("configs/lawbench-nano.yaml"))

    def said() -> list[str]:
        asked = question(run.store.state, config)
        assert asked is not None
        lines = [line.plain for line in grounds(asked, 110)]
        return [line for line in lines if line.startswith("as many tokens")]

    with writing(tmp_path / "runs" / "r") as run:
        run.prepare("r")
        run.generation(None, 0.2)
        name = run.proposal("harness", "Ask twice")
        run.preview(name)
        gate = run.gate(name)
        assert said() == [], "it costs a third more"
        run.verdict(gate, "reject", "no")
        run.store.record(ev.ProposalRefused(name, "ana", "no"))
        dear = run.proposal("harness", "Ask five times")
        run.preview(dear, tokens=1300.0)
        run.gate(dear)
        assert said() == ["as many tokens on g0, the best of 4: an engine measures it while this waits"]
        run.store.record(ev.Matched(dear, 0, 4, 120, 0.45, 1290.0))
        [line] = said()
        assert line.startswith("as many tokens on g0, the best of 4: 54/120 45.0 %; it takes the verifier")


def test_where_no_case_is_traced_to_a_hunk_it_is_said_why(tmp_path: Path) -> None:
    def said(asked: Question | None) -> list[str]:
        assert asked is not None
        lines = [line.plain for line in grounds(asked, 60)]
        return [line.removeprefix("not traced hunk by hunk: ") for line in lines if "traced hunk" in line]

    with writing(tmp_path / "runs" / "r") as run:
        run.prepare("r")
        run.generation(None, 0.4)
        both = run.proposal("both", "Ask for the charge alone, and clone", CLONING)
        run.preview(both)
        run.gate(both)
        assert said(question(run.store.state)) == ["its weights change with it"]
        run.store.record(ev.ProposalRefused(both, "ana", "no"))
        name = run.proposal("harness", "Show a list")
        run.preview(name)
        run.gate(name)
        assert said(question(run.store.state)) == ["only once dev has measured it"]
        run.verdict("gate-2")
        run.measured("harness", name, 0.41, "indecisive")
        run.gate(name, "keep")
        assert said(question(run.store.state)) == ["an engine does it while this waits"]
        run.store.record(ev.Traced(name, 1, ("a.py:1 +1 -1", "a.py:9 +2 -0"), (), (), (), 2))
        assert said(question(run.store.state)) == []


def test_a_plan_that_its_pilot_speaks_against_shows_amber_and_the_page_that_says_why(tmp_path: Path) -> None:
    with writing(tmp_path / "runs" / "r") as run:
        run.prepare("r")
        run.generation(None, 0.4)
        name = run.proposal("weights", "Clone verified successes", CLONING)
        run.pilot(name)
        run.gate(name)
        asked = question(run.store.state)
    assert asked is not None
    shown = [line.plain for line in decision(asked)]
    assert any(line.startswith("▲ algorithm: pilot recommends grpo: cheap, end score") for line in shown)
    for width in (50, 78):
        lines = [line.plain for line in grounds(asked, width)]
        told = "\n".join(lines)
        assert all(cells(line) <= width for line in lines if line and not line.startswith("▲"))
        assert "RECOMMENDED · grpo" in told and "▸ cheap, end score → grpo" in told
        assert "· dear rollouts → best_of_n" in told and "▲ algorithm" in told


@pytest.mark.parametrize("doubt", ["none", "some", "serious", "unheard"])
def test_a_critics_word_is_whole_at_the_gate_and_bound_by_its_hash(tmp_path: Path, doubt: Doubt) -> None:
    note = f"the votes cost five times as much {HOSTILE} " + "and gain nothing on the cases that failed; " * 9
    with writing(tmp_path / "runs" / "r") as run:
        run.prepare("r")
        run.generation(None, 0.4)
        name = run.proposal("harness", "Votes over five samples")
        run.preview(name)
        before = run.store.state.step(name)
        run.review(name, doubt, note)
        run.gate(name)
        asked = question(run.store.state)
    assert asked is not None and asked.gate.parts["lights"] != digest([asdict(light) for light in before.lights or ()])
    warned = [line.plain for line in decision(asked) if line.plain.startswith("▲ critic: ")]
    assert len(warned) == (doubt != "none"), "the green one needs no words"
    for width in (50, 78):
        lines = [line.plain for line in grounds(asked, width)]
        told = lines[lines.index("THE CRITIC · openai:m: it decides nothing") + 1 :]
        told = told[: told.index("")]
        assert all(cells(line) <= width for line in told) and clean("".join(told)) == "".join(told)
        assert "e-000001" in told[-1] and "[bold red]" in " ".join(told), "to its end, and as text"


def untimely(asked: Question) -> str:
    """The title with a hash that does not change with the fields of the config."""
    return title(asked).replace(asked.gate.hash[:12], "0123456789ab")


@pytest.mark.parametrize(("theme", "size"), [("sia", WIDE), ("sia-light", SMALL)], ids=str)
@pytest.mark.parametrize("scene", ["patch_gate", "plan_gate"])
def test_looks(
    scenes: Callable[[Scene], RunPaths],
    snap_compare: Compare,
    monkeypatch: pytest.MonkeyPatch,
    scene: Scene,
    theme: str,
    size: tuple[int, int],
) -> None:
    async def before(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: whole(pilot.app))
        await pilot.press("3")
        await settle(pilot)
        await until(pilot, lambda: pilot.app.query_one(GatePane).settled)
        await settle(pilot)

    monkeypatch.setattr("sia_tui.tui.app.FLASHES", 0)
    monkeypatch.setattr("sia_tui.tui.screens.gate.title", untimely)
    assert snap_compare(window_on(scenes(scene), theme=theme), terminal_size=size, run_before=before)
