"""The gate in the window: every verdict by its key, and no verdict by accident."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandPalette

from sia_tui.core import events as ev
from sia_tui.core.episodes import Case
from sia_tui.store.lock import hold
from sia_tui.store.reader import Answer, RunReader
from sia_tui.store.workspace import RunPaths
from sia_tui.tui import verdicts as rules
from sia_tui.tui.app import SiaApp
from sia_tui.tui.heading import parting
from sia_tui.tui.pieces import Opens
from sia_tui.tui.screens.across import Across
from sia_tui.tui.screens.files import Files
from sia_tui.tui.screens.form import Form
from sia_tui.tui.screens.gate import GatePane
from sia_tui.tui.screens.leaving import Leaving
from sia_tui.tui.widgets.diff import DiffView
from sia_tui.tui.widgets.lines import Lines
from sia_tui.tui.widgets.reason import Reason
from sia_tui.tui.widgets.trajectory import TrajectoryView
from tests.tui.desk import SMALL, WIDE, Engine, open_on, screen_text, settle
from tests.tui.opened import until
from tests.tui.runs import Scene, make_run
from tests.tui.writer import writing


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not send a verdict before a test has looked at it: `hasten` sends it."""
    monkeypatch.setattr(rules, "UNDO_S", 60.0)
    monkeypatch.setattr(rules, "SETTLE_S", 0.05)


def hasten(app: SiaApp) -> None:
    """The time to take it back is over."""
    verdicts = app.query_one(GatePane).verdicts
    assert verdicts.held is not None
    verdicts.held = replace(verdicts.held, due=0.0)


def waiting(paths: RunPaths) -> tuple[str, str]:
    reader = RunReader(paths.db)
    gate = reader.state().waiting
    reader.close()
    assert gate is not None
    return gate.id, gate.hash


async def test_a_approves_exactly_what_was_shown_and_not_before_the_countdown_is_over(
    scenes: Callable[[Scene], RunPaths],
) -> None:
    paths, engine = scenes("patch_gate"), Engine()
    gate, digest = waiting(paths)
    async with open_on(paths, "gate", engine) as (app, pilot):
        await pilot.press("a")
        assert "approved gate-4: sent in" in screen_text(app) and engine.asked == []
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
        assert engine.asked == [("approve", {"gate": gate, "hash": digest, "note": ""})]
        assert [len(seen) for seen in engine.seen] == [64]


@pytest.mark.parametrize("said", ["one, two(", "\t\x1b[2J"], ids=["code", "escapes"])
async def test_a_diff_with_a_line_of_a_megabyte_is_read_and_no_key_is_lost(
    tmp_path: Path, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = said * (1_000_000 // len(said))
    patch = (
        f"--- a/harness.py\n+++ b/harness.py\n@@ -1,2 +1,2 @@\n one\n-{line}\n+{line}2\n@@ -9,1 +9,2 @@\n nine\n+ten\n"
    )
    monkeypatch.setattr("tests.tui.writer.PATCH", patch)
    with writing(tmp_path / "runs" / "r") as run:
        run.prepare("r")
        run.generation(None, 0.1)
        run.gate(run.proposal("harness", "A long line"))
    engine = Engine()
    async with open_on(RunPaths(tmp_path / "runs" / "r"), "gate", engine, size=SMALL) as (app, pilot):
        assert "more characters" in app.query_one("#diff", DiffView).diff.shown(3).text
        await pilot.press("tab", "G", "g", "right", "0", "]", "space", "t")
        await until(pilot, lambda: isinstance(app.screen, Files))
        await pilot.press("escape", "6")
        await until(pilot, lambda: "history" in app._there)
        await pilot.press("G", "enter", "right", "s", "right", "slash", *"ten", "enter", "3")
        await until(pilot, lambda: app.here == "gate")
        await pilot.press("r", *"no", "enter")
        assert "rejected gate-1" in screen_text(app)


async def test_r_asks_for_a_reason_and_enter_sends_the_no(scenes: Callable[[Scene], RunPaths]) -> None:
    paths, engine = scenes("patch_gate"), Engine()
    gate, digest = waiting(paths)
    async with open_on(paths, "gate", engine) as (app, pilot):
        await pilot.press("r", *"too dear a z", "enter")
        assert "rejected gate-4" in screen_text(app)
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
        [(kind, body)] = engine.asked
        assert (kind, body["gate"], body["hash"], body["note"]) == ("reject", gate, digest, "too dear a z")


async def test_a_reason_may_be_empty_and_esc_cancels(scenes: Callable[[Scene], RunPaths]) -> None:
    engine = Engine()
    async with open_on(scenes("patch_gate"), "gate", engine) as (app, pilot):
        await pilot.press("r", "x", "escape")
        assert not app.query_one(Reason).display and "not rejected" in screen_text(app)
        await pilot.press("r")
        assert "why not? (optional) enter rejects; esc cancels" in screen_text(app)
        await pilot.press("enter")
        assert "takes it back · without a reason" in screen_text(app)
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
        assert engine.asked[0][0] == "reject" and engine.asked[0][1]["note"] == ""


async def test_d_puts_it_off(scenes: Callable[[Scene], RunPaths]) -> None:
    paths, engine = scenes("plan_gate"), Engine(message="put off; the gate stays open")
    async with open_on(paths, "gate", engine) as (app, pilot):
        await pilot.press("d")
        await until(pilot, lambda: bool(engine.asked))
        await settle(pilot)
        assert engine.asked == [("defer", {"gate": waiting(paths)[0]})] and "put off" in screen_text(app)


@pytest.mark.parametrize("keys", [["a"], ["r", "n", "o", "enter"]])
async def test_z_takes_it_back(scenes: Callable[[Scene], RunPaths], keys: list[str]) -> None:
    engine = Engine()
    async with open_on(scenes("patch_gate"), "gate", engine) as (app, pilot):
        await pilot.press(*keys)
        await pilot.press("z")
        assert "taken back" in screen_text(app)
        assert app.query_one(GatePane).verdicts.held is None and engine.asked == []


async def test_keys_that_come_too_soon_are_dropped_and_said_so(
    scenes: Callable[[Scene], RunPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "SETTLE_S", 60.0)
    engine = Engine()
    async with open_on(scenes("patch_gate"), "gate", engine) as (app, pilot):
        await pilot.press("a", "r", "d")
        assert "dropped: pressed within" in screen_text(app) and not app.query_one(Reason).display
        await pilot.pause(0.8)
        assert engine.asked == []


async def test_coming_back_to_the_gate_counts_as_seeing_it_anew(scenes: Callable[[Scene], RunPaths]) -> None:
    engine = Engine()
    async with open_on(scenes("patch_gate"), "gate", engine) as (app, pilot):
        pane, before = app.query_one(GatePane), app.query_one(GatePane).verdicts._since
        app.action_pane("live")
        await settle(pilot)
        app.action_pane("gate")
        await settle(pilot)
        assert pane.verdicts._since > before


async def test_no_other_key_decides(scenes: Callable[[Scene], RunPaths]) -> None:
    engine = Engine()
    async with open_on(scenes("patch_gate"), "gate", engine) as (app, pilot):
        for key in ("enter", "space", "y", "A", "tab", "enter", "tab", "enter", "shift+tab", "enter"):
            await pilot.press(key)
        await pilot.pause(0.8)
        assert engine.asked == [] and app.query_one(GatePane).verdicts.held is None


async def test_a_gate_that_changes_takes_the_verdict_with_it(tmp_path: Path) -> None:
    paths, engine = make_run(tmp_path / "runs" / "r", "patch_gate"), Engine()
    async with open_on(paths, "gate", engine) as (app, pilot):
        await pilot.press("a")
        with writing(paths.root) as run:
            run.verdict("gate-4", "reject", "from elsewhere")
        await until(pilot, lambda: app.query_one(GatePane).verdicts.held is None)
        await pilot.pause(0.8)
        assert engine.asked == []
        assert "No gate waits." in screen_text(app)


async def test_the_keys_work_on_the_gate_that_opens_after_one_was_settled(tmp_path: Path) -> None:
    """What had the focus goes out of sight between two gates, and again under the page of keys."""
    paths, engine = make_run(tmp_path / "runs" / "r", "patch_gate"), Engine()
    async with open_on(paths, "gate", engine) as (app, pilot):
        with writing(paths.root) as run:
            run.verdict("gate-4", "reject", "from elsewhere")
            run.store.record(ev.ProposalRefused(run.store.state.steps[-1].id, "ana", "from elsewhere"))
        await until(pilot, lambda: "No gate waits." in screen_text(app))
        await pilot.press("question_mark")
        with writing(paths.root) as run:
            again = run.proposal("harness", "Another one")
            run.preview(again)
            gate = run.gate(again)
        verdicts = app.query_one(GatePane).verdicts
        await until(pilot, lambda: verdicts.gate is not None)
        await settle(pilot)
        assert "dropped" in str(verdicts.refusal()), "it came up under the page of keys: nobody has seen it yet"
        await pilot.press("escape")
        await until(pilot, lambda: gate in screen_text(app) and app.focused is not None)
        await settle(pilot)
        await pilot.press("a")
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
        assert engine.asked[0][1]["gate"] == gate


async def test_a_refused_verdict_is_said_in_one_line_and_may_be_given_again(
    scenes: Callable[[Scene], RunPaths],
) -> None:
    engine = Engine(False, "hash 0123 is of gate gate-3; since then changed: proposal")
    async with open_on(scenes("patch_gate"), "gate", engine) as (app, pilot):
        await pilot.press("a")
        hasten(app)
        await until(pilot, lambda: bool(engine.asked))
        await settle(pilot)
        assert "since then changed: proposal" in screen_text(app)
        await pilot.press("a")
        assert app.query_one(GatePane).verdicts.held is not None


async def test_leaving_sends_what_is_held_and_says_what_became_of_it(scenes: Callable[[Scene], RunPaths]) -> None:
    engine = Engine(False, "hash 0123 is of gate gate-3; since then changed: proposal")
    async with open_on(scenes("patch_gate"), "gate", engine) as (app, pilot):
        await pilot.press("a")
        assert engine.asked == []
    assert [kind for kind, _ in engine.asked] == ["approve"]
    assert parting(app.view, app.parted).startswith(f"✗ {engine.answer.message}\nsql-repair-07: no engine is running")


async def test_leaving_waits_for_the_answer_to_what_was_sent_though_every_thread_is_busy(
    scenes: Callable[[Scene], RunPaths],
) -> None:
    free, asked = threading.Event(), threading.Event()

    class Slow(Engine):
        def __call__(self, kind: str, body: Mapping[str, Any]) -> Answer:
            asked.set()
            assert free.wait(20)
            return super().__call__(kind, body)

    engine = Slow(False, "changed meanwhile")
    async with open_on(scenes("patch_gate"), "gate", engine) as (app, pilot):
        busy = [asyncio.get_running_loop().run_in_executor(None, free.wait, 20) for _ in range(40)]
        await pilot.press("a")
        hasten(app)
        await until(pilot, asked.is_set)
        app.exit()
        threading.Timer(0.3, free.set).start()
    await asyncio.gather(*busy)
    assert [kind for kind, _ in engine.asked] == ["approve"] and app.parted == engine.answer


async def test_a_run_whose_folder_is_gone_answers_that_it_is(scenes: Callable[[Scene], RunPaths]) -> None:
    class Gone(Engine):
        def __call__(self, kind: str, body: Mapping[str, Any]) -> Answer:
            raise FileNotFoundError(2, "No such file or directory", "runs/sql-repair-07")

    async with open_on(scenes("patch_gate"), "gate", Gone()) as (app, pilot):
        await pilot.press("d")
        await until(pilot, lambda: "No such file or directory: 'runs/sql-repair-07'" in screen_text(app))
        await pilot.press("a")
    assert app.parted is not None and not app.parted.ok


async def test_q_asks_before_it_leaves_with_a_verdict_that_is_held(
    scenes: Callable[[Scene], RunPaths],
) -> None:
    engine = Engine()
    async with open_on(scenes("patch_gate"), "gate", engine) as (app, pilot):
        await pilot.press("a", "q")
        await pilot.pause()
        assert app.is_running and engine.asked == []
        await pilot.press("z")
        assert app.query_one(GatePane).verdicts.held is None
        await pilot.press("a", "q")
        await pilot.pause()
        assert app.is_running and engine.asked == [], "it is asked about every verdict, not about the first alone"
        await pilot.press("z", "q")
        await pilot.pause()
    assert engine.asked == []


async def test_the_bar_shows_the_keys_that_are_bound(scenes: Callable[[Scene], RunPaths]) -> None:
    async with open_on(scenes("patch_gate"), "gate") as (app, pilot):
        app.set_keymap({"gate.approve": "A", "gate.take-back": "ctrl+z"})
        app.query_one(GatePane)._bar.say("")
        await pilot.pause()
        shown = screen_text(app)
        assert " A  approve" in shown and " ^z  take back" in shown and "^z: " in shown
        await pilot.press("a", "A")
        assert app.query_one(GatePane).verdicts.held is not None
        assert "· ^z takes it back" in screen_text(app)
        app.set_keymap({"app.start": "ctrl+r", "app.gate": "g", "app.end-contract": ","})
        await pilot.press("2")
        await until(pilot, lambda: "press g" in screen_text(app) and "no engine: ^r starts it" in screen_text(app))
        assert "g answers the gate; ^r, or sia-tui resume" in screen_text(app)


async def test_whoever_leaves_a_waiting_engine_is_offered_a_standing_yes(scenes: Callable[[Scene], RunPaths]) -> None:
    paths, engine = scenes("patch_gate"), Engine()
    with hold(paths.lock):
        async with open_on(paths, "live", engine) as (app, pilot):
            await until(pilot, lambda: app.view.alive)
            await pilot.press("q")
            await until(pilot, lambda: isinstance(app.screen, Leaving))
            assert "sql-repair-07 waits at gate-4" in screen_text(app)
            await pilot.press("escape", "q", "u")
            await until(pilot, lambda: isinstance(app.screen, Form))
            assert "approve gate-4, and until" in screen_text(app) and app.here == "gate"
            await pilot.press("escape", "a", "q")
            await pilot.pause()
            assert not isinstance(app.screen, Leaving), "what is answered already needs no standing yes"
            await pilot.press("z", "q", "q")
            await until(pilot, lambda: not app.is_running)
    assert engine.asked == []


async def test_a_verdict_that_came_too_late_is_told_of(tmp_path: Path) -> None:
    """Somebody else decided while this one was held: it is dropped, and the person is told."""
    paths, engine = make_run(tmp_path / "runs" / "r", "patch_gate"), Engine()
    async with open_on(paths, "gate", engine) as (app, pilot):
        await pilot.press("r", "enter")
        with writing(paths.root) as run:
            run.verdict("gate-4", "approve", "from elsewhere")
        await until(pilot, lambda: any("not rejected" in note.message for note in app._notifications))
    assert engine.asked == []


async def test_the_mouse_follows_the_same_rules(scenes: Callable[[Scene], RunPaths]) -> None:
    engine = Engine()
    async with open_on(scenes("patch_gate"), "gate", engine) as (app, pilot):
        await pilot.click("#bar", offset=(3, 1))
        assert app.query_one(GatePane).verdicts.held is not None and engine.asked == []
        await pilot.press("z")
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert {"Branch", "Next hunk", "Next file", "Digest", "Maximise"} <= set(titles)
        last = screen_text(app).splitlines()[-1]
        await pilot.click(offset=(last.index(": more"), WIDE[1] - 1))
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))


async def test_enter_on_a_case_that_changed_sides_reads_both_answers_and_esc_comes_back(tmp_path: Path) -> None:
    """Left the incumbent's, though another patch was tried on the case since."""
    paths = make_run(tmp_path / "runs" / "r", "patch_gate")
    with writing(paths.root) as run:
        incumbent = run.store.state.incumbent
        for tried in "xy":
            run.episode(tried * 64, Case("train-0001", "train", {"text": run.fact()}, 1), 0.0)
    async with open_on(paths, "gate") as (app, pilot):
        pane = app.query_one(GatePane)
        row = next(at for at, line in enumerate(pane._lines) if line.opens == Opens("case", "train-0001"))
        await pilot.press(*["down"] * row, "enter")
        await until(pilot, lambda: isinstance(app.screen, Across) and bool(app.screen._found))
        await settle(pilot)
        left, right = (str(lines.border_title) for lines in app.screen.query(Lines))
        assert left.startswith(f"g{incumbent} · ") and right.startswith("preview · ")
        assert all("on train-0001" in title for title in (left, right))
        await pilot.press("escape")
        await settle(pilot)
        assert app.here == "gate" and app.focused is pane.query_one("#evidence")


async def test_enter_on_a_rollout_reads_it_and_esc_comes_back(scenes: Callable[[Scene], RunPaths]) -> None:
    async with open_on(scenes("plan_gate"), "gate") as (app, pilot):
        pane = app.query_one(GatePane)
        row = next(at for at, line in enumerate(pane._lines) if line.opens)
        await pilot.press(*["down"] * row, "enter")
        await settle(pilot)
        assert app.here == "rollouts" and app.query_one(TrajectoryView).count > 5
        assert "CALL 1 of 1" in screen_text(app)
        await pilot.press("escape")
        await settle(pilot)
        assert app.here == "gate"


async def test_at_a_stop_nothing_can_be_edited_and_nothing_follows_a_yes(tmp_path: Path) -> None:
    """Both are said, and whoever leaves is offered no standing yes that would end the run."""
    paths = make_run(tmp_path / "runs" / "r", "patch_gate")
    with writing(paths.root) as run:
        run.verdict("gate-4", "reject", "no")
        run.store.record(ev.ProposalRefused(run.store.state.steps[-1].id, "ana", "no"))
        run.gate(run.proposal("stop", "nothing left"))
    with hold(paths.lock):
        async with open_on(paths, "gate") as (app, pilot):
            await pilot.press("e")
            assert "to stop has nothing to edit: a yes ends the run, a no pauses it" in screen_text(app)
            await pilot.press("u")
            assert "nothing follows the end of a run: a yes is to that alone" in screen_text(app)
            await until(pilot, lambda: app.view.alive)
            await pilot.press("q")
            await until(pilot, lambda: not app.is_running)
