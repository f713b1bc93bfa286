"""Changing what is proposed at its gate: hunks dropped, files edited. Nothing is said to the engine but by `a`."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input, Static

from sia_tui.core import events as ev
from sia_tui.core.amending import amended
from sia_tui.core.contract import Contract
from sia_tui.core.hunks import hunks, partial
from sia_tui.core.plans import RANGES
from sia_tui.core.proposals import Proposal
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths
from sia_tui.tui import verdicts as rules
from sia_tui.tui.app import SiaApp
from sia_tui.tui.asked import decision, question
from sia_tui.tui.plan_form import changed
from sia_tui.tui.planned import planned
from sia_tui.tui.screens.form import Form
from sia_tui.tui.screens.gate import GatePane
from sia_tui.tui.widgets.diff import DiffView
from tests.tui.desk import Engine, open_on, screen_text, settle
from tests.tui.opened import until
from tests.tui.runs import make_run
from tests.tui.test_gate import hasten
from tests.tui.writer import PATCH, PLAN, writing

FILES = {
    "harness.py": 'from sia import Answer, Case, LLM\nPROMPT = "事实：{text}\\n罪名："\n'
    "async def solve(case: Case, llm: LLM, tools) -> Answer:\n"
    '    reply = await llm.chat([{"role": "user", "content": PROMPT.format(**case.inputs)}])\n'
    "    return Answer(reply.text)\n",
    "prompts/ask.md": "只回答罪名。\n",
}


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return make_run(tmp_path / "runs" / "r", "patch_gate")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "UNDO_S", 60.0)
    monkeypatch.setattr(rules, "SETTLE_S", 0.05)


def proposed(paths: RunPaths) -> Proposal:
    reader = RunReader(paths.db)
    step = reader.state().current
    reader.close()
    assert step is not None
    return step.proposal


async def test_a_dropped_hunk_makes_a_another_proposal(paths: RunPaths) -> None:
    engine = Engine()
    async with open_on(paths, "gate", engine) as (app, pilot):
        assert "[✓] take  hunk 1 of 2" in screen_text(app) and "harness.py +7 −3 · prompts/ask.md +1 −0" in screen_text(
            app
        )
        await pilot.press("right_curly_bracket", "space")
        assert "[ ] dropped  hunk 2 of 2" in screen_text(app)
        assert "1 of 2 hunks: a yes makes a new proposal" in screen_text(app) and engine.asked == []
        await pilot.press("a")
        assert "amended gate-4: sent in" in screen_text(app) and "takes it back · 1 of 2 hunks" in screen_text(app)
        await pilot.press("z", "a")
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
        kind, body = engine.asked[0]
        assert kind == "amend" and body["patch"] == partial(PATCH, [0]) and body["gate"] == "gate-4"


async def test_none_taken_is_no_yes_and_all_taken_again_is_a_plain_one(paths: RunPaths) -> None:
    engine = Engine()
    async with open_on(paths, "gate", engine) as (app, pilot):
        await pilot.press("space", "right_square_bracket", "space", "a")
        assert "no hunk is taken: reject it" in screen_text(app)
        assert app.query_one(GatePane).verdicts.held is None
        await pilot.press("space", "left_square_bracket", "space", "a")
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
        assert [kind for kind, _ in engine.asked] == ["approve"]


async def test_in_a_wide_window_both_sides_stand_beside_each_other_and_hunks_are_still_taken(paths: RunPaths) -> None:
    async with open_on(paths, "gate", size=(180, 40)) as (app, pilot):
        view = app.query_one(GatePane).query_one(DiffView)
        both = [row for row in screen_text(app).splitlines() if row.count("async def solve") == 2]
        assert len(both) == 1
        await pilot.press("right_square_bracket", "space")
        assert "▸ [ ] dropped  hunk 2 of 2" in screen_text(app) and view.taken == {0}
        await pilot.press("left_curly_bracket", "space")
        assert view.at == 0 and view.taken == frozenset()
        view.action_sideways(8)
        assert not any("async def" in row for row in screen_text(app).splitlines() if row.count("│") > 4)
        await pilot.resize_terminal(120, 40)
        await settle(pilot)
        assert screen_text(app).count("async def solve") == 2 and view.taken == frozenset()
        assert not any(row.count("async def solve") == 2 for row in screen_text(app).splitlines())


async def test_the_diffs_own_room_decides_whether_sides_part_and_s_decides_over_it(paths: RunPaths) -> None:
    def parted() -> bool:
        return any(row.count("async def solve") == 2 for row in screen_text(app).splitlines())

    async with open_on(paths, "gate", size=(140, 40)) as (app, pilot):
        assert not parted(), "half of what is left of the evidence cuts code"
        await pilot.press("s")
        assert parted()
        await pilot.resize_terminal(180, 40)
        await settle(pilot)
        assert parted(), "what was chosen lasts"
        await pilot.press("s")
        assert not parted()


async def test_a_click_on_its_head_drops_a_hunk(paths: RunPaths) -> None:
    async with open_on(paths, "gate") as (app, pilot):
        view = app.query_one(GatePane).query_one(DiffView)
        await pilot.click(view, offset=(12, view.diff.hunks[1]))
        await pilot.pause()
        assert view.taken == {0} and "1 of 2 hunks" in screen_text(app)
        await pilot.click(view, offset=(12, view.diff.hunks[1]))
        await pilot.press("a", "space")
        assert view.taken == {0, 1}
        await pilot.click(view, offset=(12, view.diff.hunks[1]))
        await pilot.pause()
        assert view.taken == {0, 1} and "approved gate-4: sent in" in screen_text(app), "what is approved is shown"
        await pilot.press("z")


async def test_where_no_hunk_can_be_taken_no_key_says_so(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "runs" / "r", "patch_gate")
    async with open_on(paths, "gate") as (app, pilot):
        assert " space hunk" in screen_text(app)
        with writing(paths.root) as run:
            patched = run.store.state.steps[-1].id
            run.verdict("gate-4")
            run.measured("harness", patched, 0.41, "indecisive")
            run.gate(patched, "keep")
        await until(pilot, lambda: "indecisive on dev: keep" in screen_text(app))
        await settle(pilot)
        assert "[✓] take" not in screen_text(app) and " space hunk" not in screen_text(app)


def lend(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A terminal to suspend to, the harness, and an editor that does this with its `text`."""
    monkeypatch.setattr(SiaApp, "suspend", lambda app: contextlib.nullcontext())
    monkeypatch.setattr(GatePane, "_base", lambda pane, asked: FILES)
    code = f"import pathlib, sys; path = pathlib.Path(sys.argv[1]); text = path.read_bytes().decode(); {script}"
    monkeypatch.setenv("VISUAL", f"{sys.executable} -c '{code}'")


async def test_e_edits_the_file_as_the_patch_makes_it(paths: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    lend(monkeypatch, 'path.write_bytes(text.replace("[:10]", "[:5]").encode())')
    engine = Engine()
    async with open_on(paths, "gate", engine) as (app, pilot):
        await pilot.press("e")
        await settle(pilot)
        assert "edited: a yes makes a new proposal" in screen_text(app) and engine.asked == []
        await pilot.press("a")
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
        kind, body = engine.asked[0]
        assert kind == "amend" and "[:5]" in body["patch"] and "[:10]" not in body["patch"]
        assert hunks(body["patch"])[-1].changed == hunks(PATCH)[-1].changed
    assert proposed(paths).patch == PATCH


@pytest.mark.parametrize(("script", "said"), [("0", "harness.py is as it was"), ("sys.exit(3)", "ended with 3")])
async def test_an_editor_that_leaves_nothing_new_changes_nothing(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    lend(monkeypatch, script)
    engine = Engine()
    async with open_on(paths, "gate", engine) as (app, pilot):
        await pilot.press("e")
        assert said in screen_text(app)
        await pilot.press("a")
        held = app.query_one(GatePane).verdicts.held
        assert held is not None and held.kind == "approve"
        await pilot.press("z")


async def test_d_lends_the_terminal_to_a_pager_where_there_is_one(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with open_on(paths, "gate") as (app, pilot):
        await pilot.press("D")
        assert "no terminal to lend" in screen_text(app)
        lend(monkeypatch, "0")
        monkeypatch.setattr("shutil.which", lambda name: None)
        into = tmp_path / "seen"
        monkeypatch.setenv("PAGER", f'{sys.executable} -c \'import sys; open("{into}", "w").write(sys.stdin.read())\'')
        await pilot.press("D")
        assert into.read_text() == PATCH
        monkeypatch.setenv("PAGER", "less 'x")
        await pilot.press("D")
        await until(pilot, lambda: "quotation" in screen_text(app))
        monkeypatch.setenv("PAGER", "less")
        monkeypatch.setattr(tempfile, "tempdir", "/proc/none")
        await pilot.press("D")
        await until(pilot, lambda: "TMPDIR" in screen_text(app))


async def test_e_at_a_plan_is_a_form_that_reckons_as_it_is_typed(tmp_path: Path) -> None:
    engine = Engine()
    async with open_on(make_run(tmp_path / "runs" / "r", "plan_gate"), "gate", engine) as (app, pilot):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Form))
        shown = screen_text(app)
        assert "1e-08 … 0.1" in shown and "0 changed · takes" in shown and "rollouts" in shown
        rate, steps = (app.screen.query_one(name, Input) for name in ("#learning_rate", "#steps"))
        before = str(app.screen.query_one("#told", Static).content)
        steps.value = "60"
        await pilot.pause()
        assert "1 changed" in screen_text(app) and str(app.screen.query_one("#told", Static).content) != before
        rate.value = "7"
        await pilot.press("ctrl+s")
        assert "learning_rate must lie in 1e-08 … 0.1, got 7" in screen_text(app) and isinstance(app.screen, Form)
        rate.value = "2e-5"
        await pilot.press("enter", "enter")
        changed_to = "optimizer steps 30 → 60, learning rate 4e-05 → 2e-05"
        assert changed_to in " ".join(str(app.screen.query_one("#told", Static).content).split())
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.query_one(GatePane).verdicts.held is not None)
        assert f"takes it back · {changed_to}" in screen_text(app)
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
        kind, body = engine.asked[0]
        assert kind == "amend" and body["plan"] == {"steps": 60, "learning_rate": 2e-5} and "patch" not in body


async def test_a_form_that_is_left_or_unchanged_says_nothing_to_the_engine(tmp_path: Path) -> None:
    engine = Engine()
    async with open_on(make_run(tmp_path / "runs" / "r", "plan_gate"), "gate", engine) as (app, pilot):
        for key in ("escape", "ctrl+s"):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, Form))
            await pilot.press(key)
            await until(pilot, lambda: not isinstance(app.screen, Form))
        assert app.query_one(GatePane).verdicts.held is None and engine.asked == []


@given(st.sampled_from(sorted(RANGES)), st.floats(-1e9, 1e9) | st.integers(-10, 10**9))
def test_a_form_takes_what_a_plan_takes_and_names_the_range_of_the_rest(name: str, value: float) -> None:
    try:
        made = changed(PLAN, {name: str(value)})
    except ValueError as fault:
        assert str(fault).startswith(f"{name} must")
        whole = isinstance(getattr(PLAN, name), int) and isinstance(value, float)
        low, high = RANGES[name]
        assert whole or not low <= value <= high
    else:
        assert getattr(replace(PLAN, **made), name) == pytest.approx(value, rel=1e-5)


async def test_l_says_no_and_closes_the_lever_and_m_asks_for_more(paths: RunPaths) -> None:
    engine = Engine(False, "no command 'more-evidence'")
    async with open_on(paths, "gate", engine) as (app, pilot):
        await pilot.press("b")
        assert "sia-tui branch sql-repair-07 g3" in screen_text(app) or "sia-tui branch r g3" in screen_text(app)
        await pilot.press("l", *"train", "enter")
        hasten(app)
        await until(pilot, lambda: len(engine.asked) == 1)
        await settle(pilot)
        await pilot.press("m")
        assert "asked more about gate-4" in screen_text(app)
        hasten(app)
        await until(pilot, lambda: len(engine.asked) == 2)
        await settle(pilot)
        assert "no command 'more-evidence'" in screen_text(app)
    (said, no), (more, body) = engine.asked
    assert (said, no["note"], no["other_lever"]) == ("reject", "train", True)
    assert more == "more-evidence" and body["gate"] == no["gate"] and body["hash"] == no["hash"]


async def test_what_is_gathered_is_said_and_a_draft_outlives_it(paths: RunPaths) -> None:
    async with open_on(paths, "gate", size=(80, 24)) as (app, pilot):
        await pilot.press("space")
        with writing(paths.root) as run:
            step = run.store.state.steps[-1].id
            run.store.record(ev.EvidenceWanted("gate-4", "ana"))
        await until(pilot, lambda: "MORE EVIDENCE · wanted by ana" in screen_text(app))
        assert "gate-4 is put again, under another hash, with its preview" in screen_text(app)
        with writing(paths.root) as run:
            run.preview(step)
            run.gate(step)
        await until(pilot, lambda: app.view.state.waiting is not None)
        await settle(pilot)
        assert "[ ] dropped  hunk 1 of 2" in screen_text(app) and "LIGHTS" in screen_text(app)


async def test_u_asks_for_limits_and_holds_a_standing_yes(paths: RunPaths) -> None:
    engine = Engine()
    async with open_on(paths, "gate", engine) as (app, pilot):
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, Form))
        await until(pilot, lambda: "^s  approves" in screen_text(app))
        assert "yes to this, then to harness: at most 3 steps, 2 h of work" in screen_text(app)
        app.screen.query_one("#wall", Input).value = "soon"
        await pilot.press("ctrl+s")
        assert "wall is of work, such as 90m or 2h, got soon" in screen_text(app)
        app.screen.query_one("#wall", Input).value = "30m"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.query_one(GatePane).verdicts.held is not None)
        assert engine.asked == []
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
        kind, body = engine.asked[0]
        assert kind == "contract" and body["contract"]["wall_s"] == 1800 and body["contract"]["steps"] == 3


async def test_a_standing_yes_is_seen_says_why_it_waits_and_x_ends_it(tmp_path: Path) -> None:
    paths, engine = make_run(tmp_path / "runs" / "r", "plan_gate"), Engine()
    with writing(paths.root) as run:
        run.store.record(ev.ContractMade(Contract(("harness",), 4), "ana"))
    async with open_on(paths, "gate", engine) as (app, pilot):
        assert "the lever weights is not in the contract · x ends it" in screen_text(app)
        app.action_pane("live")
        await settle(pilot)
        assert "ana says yes to harness, left: 4 of 4 steps" in screen_text(app)
        await pilot.press("x")
        await until(pilot, lambda: bool(engine.asked))
        assert engine.asked == [("end-contract", {})]
        with writing(paths.root) as run:
            run.store.record(ev.ContractEnded("the engine", "alarm: somebody opened it"))
        await until(pilot, lambda: "the standing yes ended: alarm: somebody" in screen_text(app))
        app.action_pane("gate")
        await settle(pilot)
        assert "is not in the contract" not in screen_text(app)


def test_the_gate_says_who_changed_what_it_asks_about(tmp_path: Path) -> None:
    with writing(make_run(tmp_path / "runs" / "r", "patch_gate").root) as run:
        gate = run.store.state.waiting
        assert gate is not None
        run.store.record(*amended(run.store.state, gate, "ana", partial(PATCH, [0]), None))
        run.gate(run.store.state.steps[-1].id)
        asked = question(run.store.state)
    assert asked is not None and asked.gate.hash != gate.hash
    told = [line.plain for line in decision(asked)]
    assert any(said.startswith("AMENDED by ana from p-4") and "without prompts/ask.md:1 +1 -0" in said for said in told)
    assert any("no prediction" in said for said in told), "the agent's was of the whole"


def test_the_gate_says_what_a_person_made_of_the_agents_plan_however_often(tmp_path: Path) -> None:
    with writing(make_run(tmp_path / "runs" / "r", "plan_gate").root) as run:
        for change in ({"steps": 60}, {"learning_rate": 2e-5}):
            gate = run.store.state.waiting
            assert gate is not None
            run.store.record(*amended(run.store.state, gate, "ana", None, change))
            run.gate(run.store.state.steps[-1].id)
        asked = question(run.store.state)
    assert asked is not None
    changes = "optimizer steps 30 → 60, learning rate 4e-05 → 2e-05"
    assert any(f": {changes}; the agent promised nothing" in line.plain for line in decision(asked))
    rows = [line.plain for line in planned(asked, 80)]
    assert "2 of it a person changed" in rows[0]
    assert [row.rpartition("▲ ")[2] for row in rows if "▲" in row] == ["proposed 30 at most", "proposed 4e-05"]


async def test_a_plan_that_is_edited_takes_the_hunks_along_and_is_not_proposed_with_none_of_them(
    tmp_path: Path,
) -> None:
    """Without a patch of its own it would bring the one that was proposed, which is not what is shown."""
    engine = Engine()

    async def longer() -> None:
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Form))
        app.screen.query_one("#steps", Input).value = "40"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not isinstance(app.screen, Form))

    async with open_on(make_run(tmp_path / "runs" / "r", "both_gate"), "gate", engine) as (app, pilot):
        await pilot.press("space", "right_square_bracket", "space")
        await longer()
        assert "no hunk is taken: reject it, or take one" in screen_text(app)
        assert app.query_one(GatePane).verdicts.held is None
        await pilot.press("space")
        await longer()
        await until(pilot, lambda: app.query_one(GatePane).verdicts.held is not None)
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
    ((kind, body),) = engine.asked
    assert kind == "amend" and body["plan"] == {"steps": 40} and body["patch"] == partial(PATCH, [1])
