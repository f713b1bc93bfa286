"""A recorded run played: at every moment the window shows what a live one would have shown."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.cli.main import main
from sia_tui.cli.recording import save, unpack
from sia_tui.core.fold import fold
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.browse import Browser, Wanted
from sia_tui.store.reader import RunReader, counted
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tui.ascii import Ascii
from sia_tui.tui.film import CUT_S, Film, film
from sia_tui.tui.manners import Manners
from sia_tui.tui.replay import Replay
from sia_tui.tui.replayed import ReplayApp
from sia_tui.tui.screens.gate import GatePane
from sia_tui.tui.widgets.scrubber import Scrubber, track
from tests.tui.desk import SMALL, screen_text, settle
from tests.tui.opened import until
from tests.tui.runs import make_run

START = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = st.sampled_from(["EpisodeDone", "GateOpened", "GenerationKept", "ProposalRefused", "RunEnded"])


@given(st.lists(st.tuples(st.integers(0, 500), KINDS), min_size=1), st.floats(0, 10_000), st.integers(1, 60))
def test_a_film_loses_no_moment_and_waits_for_none_too_long(
    recorded: list[tuple[int, str]], at_s: float, width: int
) -> None:
    told = [((START + timedelta(seconds=second)).isoformat(), kind) for second, kind in recorded]
    played = film(told)
    assert list(played.moments) == sorted({at for at, _ in told})
    assert all(0 < after - before <= CUT_S for before, after in pairwise(played.seconds))
    assert [played.moment(second) for second in played.seconds] == list(played.moments)
    assert len(played.marks) == sum(kind != "EpisodeDone" for _, kind in told)
    after = played.next_mark(at_s)
    assert after is None or after.at_s > at_s
    assert (
        sum(len(piece if isinstance(piece, str) else piece[0]) for piece in track(played, at_s, width).pieces) == width
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return make_run(tmp_path_factory.mktemp("runs") / "done", "done")


@given(data=st.data())
def test_a_run_read_at_a_moment_is_what_was_recorded_by_then(done: RunPaths, data: st.DataObject) -> None:
    with closing(RunReader(done.db)) as whole:
        log, moments = whole.log(), [at for at, _ in whole.timeline()]
        at = data.draw(st.sampled_from(moments))
        with closing(RunReader(done.db, lambda: at)) as then, closing(Browser(done.db, lambda: at)) as browser:
            assert then.state() == counted(fold([entry for entry in log if entry.at <= at]), then.tally())
            assert all(row.at <= at for row in browser.rows(list(browser.numbers(Wanted(sealed=False)))).values())
            assert then.progress() is None and then.tally().episodes == len(browser.numbers(Wanted(sealed=False)))


def test_playing_stops_at_gates_and_at_the_end(done: RunPaths) -> None:
    now = 0.0
    replay = Replay(done, lambda: now)
    gates = [mark.at_s for mark in replay.film.marks if mark.kind == "gate"]
    stops = []
    for _ in range(len(gates) + 1):
        replay.play()
        now += 1e6
        replay.advance()
        assert not replay.playing
        stops.append(replay.at_s)
    assert stops == [*gates, replay.film.length_s] and replay.ended
    replay.play()
    assert replay.playing and replay.at_s == 0, "from the end it begins anew"
    replay.jump(1)
    assert replay.at_s == replay.film.marks[0].at_s
    replay.step(-1)
    replay.step(1)
    assert replay.at_s == replay.film.marks[0].at_s
    replay.jump(-1)
    assert replay.at_s == 0


class Interrupted(Film):
    """A film in which somebody seeks while it moves on."""

    seeking: ClassVar[Thread | None] = None
    replay: ClassVar[Replay | None] = None

    @property
    def length_s(self) -> float:
        if Interrupted.seeking is None and Interrupted.replay is not None:
            Interrupted.seeking = Thread(target=Interrupted.replay.seek, args=(0.25,))
            Interrupted.seeking.start()
            Interrupted.seeking.join(0.2)
        return super().length_s


def test_a_seek_while_it_moves_on_is_not_lost(done: RunPaths) -> None:
    now = 0.0
    replay = Replay(done, lambda: now)
    replay.play()
    now += 1e-3
    replay.film = Interrupted(replay.film.moments, replay.film.seconds, replay.film.marks)
    Interrupted.replay = replay
    replay.advance()
    assert Interrupted.seeking is not None
    Interrupted.seeking.join(10)
    assert replay.at_s == 0.25


def test_a_jump_while_it_plays_stays_at_its_mark(done: RunPaths) -> None:
    now = 0.0
    replay = Replay(done, lambda: now)
    replay.play()
    for mark in replay.film.marks[:3]:
        replay.playing = True
        replay.jump(1)
        now += 1e6
        replay.advance()
        assert (replay.at_s, replay.playing) == (mark.at_s, False)
    replay.play()
    replay.jump(-1)
    now += 1e6
    replay.advance()
    assert (replay.at_s, replay.playing) == (replay.film.marks[1].at_s, False)
    replay.play()
    replay.seek(replay.at_s + 1e-3)
    assert replay.playing, "between marks it plays on"


def test_it_has_the_manners_of_whoever_looks_at_it(
    recorded: tuple[Workspace, RunPaths], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "sia-tui" / "config.yaml"
    mine.parent.mkdir()
    mine.write_text("ui: {theme: sia-light}\nkeys: {replay.play: f5}\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("sia_tui.cli.replaying.fits", lambda: True)
    made: list[ReplayApp] = []
    monkeypatch.setattr(ReplayApp, "run", lambda app: made.append(app))  # noqa: PLW0108 (a method is bound)
    where = ["--workspace", str(recorded[0].root)]
    assert main(["--ascii", "replay", recorded[1].name, *where]) == 0
    [app] = made
    assert app.theme == "sia-light" and app._keymap == {"replay.play": "f5"}
    assert any(isinstance(one, Ascii) for one in app._filters)
    mine.write_text("ui: {theme: sia-light, colour: red}\n")
    assert main(["replay", recorded[1].name, *where]) == 2, "a fault of the person's file is said"


async def test_it_names_its_keys_as_they_are_bound(done: RunPaths) -> None:
    app = ReplayApp(done, Replay(done), Manners(keys={"replay.play": "f5"}))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "f5 plays · , . step · < > jump · ( ) speed" in screen_text(app))
        assert "f5 plays on" in app._over().message
        assert " 05 Jan 07:" in screen_text(app), "a recording is of another day"


async def test_a_small_window_names_speed_and_what_steps(done: RunPaths) -> None:
    app = ReplayApp(done, Replay(done))
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "┃" in screen_text(app))
        [row] = [row for row in screen_text(app).splitlines() if "┃" in row and "×10" in row]
        assert ", . step · < > jump · ( ) speed" in row and row.count("─") + row.count("━") > 10


async def test_the_window_goes_to_and_fro_and_decides_nothing(done: RunPaths) -> None:
    replay = Replay(done)
    app = ReplayApp(done, replay)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.view.state.run != "")
        replay.playing = False
        replay.seek(replay.film.length_s)
        await until(pilot, lambda: app.view.over)
        whole = app.view.state.cost.episodes
        app.action_pane("rollouts")
        await settle(pilot)
        assert f"{whole} rollouts" in screen_text(app)
        gate = next(mark for mark in replay.film.marks if mark.kind == "gate")
        replay.seek(gate.at_s)
        await until(pilot, lambda: app.view.state.waiting is not None)
        await settle(pilot)
        seen = app.view.state.cost.episodes
        assert seen < whole and f"{whole} rollouts" not in screen_text(app)
        app.action_pane("gate")
        await settle(pilot)
        assert app.ask_now("approve", {}).ok is False
        verdict = app.view.answer
        assert verdict is not None and "gate-1: approve by ana" in verdict[1]
        shown = screen_text(app)
        assert "answered 30 s later, at 07:" in shown and "gate-1: approve by ana" in shown
        assert "▲ GATE waits 0 s" in shown and "on dev? · waits 0 s" in shown, "by the recording's clock"
        assert "other lever" not in shown
        await pilot.press("a", "space")
        assert app.query_one(GatePane).verdicts.held is None
        for pane, key in (("gate", "e"), ("history", "b"), ("history", "u"), ("live", "x"), ("live", "R")):
            app.clear_notifications()
            app.action_pane(pane)
            await settle(pilot)
            titles = {command.title for command in app.get_system_commands(app.screen)}
            assert titles.isdisjoint(
                {"Approve", "Edit", "Go back to", "Branch off", "Revive", "Start engine", "Pause/resume"}
            )
            assert "Play/pause" in titles and "go back to" not in screen_text(app)
            await pilot.press(key)
            assert ["this is a recording" in str(note.message) for note in app._notifications] == [True], key
        app.action_pane("gate")
        await settle(pilot)
        await pilot.press("1")
        assert app.here == "gate" and "1 home" not in screen_text(app) and " RECORDING " in screen_text(app)
        await pilot.press("full_stop", "2")
        await until(pilot, lambda: app.view.state.waiting is None)
        await settle(pilot)
        assert app.view.progress is not None and app.view.progress.phase in screen_text(app)
        await pilot.press("greater_than_sign", "right_parenthesis")
        assert replay.speed == 20 and replay.at_s > gate.at_s
        await pilot.click(Scrubber, offset=(60, 0))
        assert 0.3 < replay.at_s / replay.film.length_s < 0.9


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Workspace, RunPaths]:
    """A finished run whose branch has a history."""
    workspace = Workspace(tmp_path / "workspace")
    paths = workspace.run("sql-repair-07")
    make_run(paths.root, "done")
    repository, seed = HarnessRepository.plant(workspace.harness_repository, "toy", {"harness.py": b"pass\n"})
    repository.start_run(paths.name, seed, paths.worktree)
    return workspace, paths


def test_a_recording_holds_the_run_and_its_history(recorded: tuple[Workspace, RunPaths], tmp_path: Path) -> None:
    workspace, paths = recorded
    out = tmp_path / "recording.zip"
    assert save(workspace, paths, out, most_rollouts=7) == out.stat().st_size
    there, found = unpack(out, tmp_path / "there")
    with closing(RunReader(paths.db)) as before, closing(RunReader(found.db)) as after:
        assert after.state() == before.state() and after.timeline() == before.timeline()
        rollouts = [step.id for step in before.state().steps if before.sampled(step.id)]
        kept = sum(len(list(after.rollouts(step))) for step in rollouts)
        assert kept == 7 < sum(len(list(before.rollouts(step))) for step in rollouts)
        assert after.progress() is None
    repository = HarnessRepository(there.harness_repository)
    assert repository.resolve(f"refs/heads/{paths.name}") == HarnessRepository(workspace.harness_repository).resolve(
        "seed"
    )


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:900])


def _without_config(path: Path) -> None:
    with zipfile.ZipFile(path) as old:
        kept = {name: old.read(name) for name in ("run.db", "harness.bundle")}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in {**kept, "../outside": b"x"}.items():
            new.writestr(name, content)


def _foreign(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as new:
        for name in ("run.db", "config.yaml", "harness.bundle", "../outside"):
            new.writestr(name, b"nothing of the kind")


@pytest.mark.parametrize("spoil", [_cut, _without_config, _foreign])
def test_what_is_no_recording_is_refused_in_one_line(
    recorded: tuple[Workspace, RunPaths], tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    out, there = tmp_path / "recording.zip", tmp_path / "there"
    save(*recorded, out)
    spoil(out)
    there.mkdir()
    with pytest.raises(StoreError) as said:
        unpack(out, there)
    assert "\n" not in str(said.value) and not (tmp_path / "outside").exists()
