"""The feed against real runs: it sees what is written, once, and outlives what goes wrong."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sia_tui.core.episodes import Case
from sia_tui.core.events import RunPaused
from sia_tui.store.lock import hold, starting
from sia_tui.store.reader import RunReader
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.tui.feed import Feed, Tail
from sia_tui.tui.heading import heading
from sia_tui.tui.listed import about
from sia_tui.tui.outlook import following
from sia_tui.tui.shelf import Shelf
from sia_tui.tui.view import RECENT, View
from tests.tui.runs import Scene, make_run
from tests.tui.writer import PLAN, writing


def wait(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@pytest.mark.parametrize("scene", ["fresh", "patch_gate", "plan_gate", "training", "keep_gate", "done"])
def test_a_view_tells_the_same_as_a_reader(tmp_path: Path, scene: Scene) -> None:
    paths = make_run(tmp_path / "r", scene)
    reader = RunReader(paths.db)
    view = Tail(reader, paths, None).poll(View("r"))
    state = reader.state()
    assert view.state == state
    assert len(view.recent) + view.dropped == state.cost.episodes and len(view.recent) <= RECENT
    expected = {"patch_gate": "waiting", "plan_gate": "waiting", "keep_gate": "waiting", "done": "done"}
    assert view.mark == expected.get(scene, "new" if scene == "fresh" else "interrupted")


def test_what_is_written_piece_by_piece_folds_to_the_same(tmp_path: Path) -> None:
    with writing(tmp_path / "r") as run:
        run.prepare("r")
        reader = RunReader(tmp_path / "r" / "run.db")
        paths = RunPaths(tmp_path / "r")
        tail, view = Tail(reader, paths, None), View("r")
        view = tail.poll(view)
        run.generation(None, 0.1)
        view = tail.poll(view)
        assert tail.poll(view) is view, "nothing new: the same object"
        name = run.proposal("weights", "train", PLAN)
        run.pilot(name)
        run.verdict(run.gate(name))
        run.train(name, PLAN, 5)
        view = tail.poll(view)
        assert [row.step for row in view.metrics[name]] == list(range(6))
        run.store.metrics(name, 3, {"reward": 9.0})
        view = tail.poll(view)
        assert len(view.metrics[name]) == 6 and view.metrics[name][3].values == {"reward": 9.0}
        assert view.state == reader.state()
        assert view.recent[-1].step == 5 and view.story[-1][1].startswith("training of")


def test_what_is_measured_while_a_gate_waits_is_no_work_of_the_run(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "patch_gate")
    with writing(paths.root) as run:
        run.clock.wait(40)
        run.episode(run.store.state.generations[-1].key, Case("dev-0001", "dev", {"text": "x"}, 1), 0.5)
        told = run.store.state.cost
    assert RunReader(paths.db).state().cost == told


def test_whoever_starts_an_engine_is_seen_until_it_holds_the_run(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    paths = make_run(workspace.run("r").root, "fresh")
    feed, shelf = Feed(paths), Shelf(workspace)
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def said() -> str:
        left, right = heading(feed.view, now, "live")
        return " ".join(text for text, _ in (*left, *right)) + following(feed.view)

    assert feed.view.mark == "reading" and "engine" not in said(), "nothing is known yet"
    feed.start()
    try:
        wait(lambda: feed.view.mark == "new")
        assert "no engine: R starts it" in said()
        with starting(paths.starting), starting(paths.starting):
            wait(lambda: feed.view.mark == "starting")
            assert "no engine" not in said() and "R," not in said()
            shelf.look()
            assert "starting" in "".join(row.plain for row in about(shelf.views[0], now, 80, "R"))
        with hold(paths.lock):
            wait(lambda: feed.view.mark == "running")
            shelf.look()
            assert not shelf.views[0].starting and shelf.views[0].alive
    finally:
        feed.stop()


def test_the_feed_follows_a_writer_and_the_engines_lock(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "training")
    feed = Feed(paths)
    feed.start()
    try:
        wait(lambda: bool(feed.view.state.run))
        feed.seen()
        wait(lambda: feed.view.config is not None)
        assert not feed.view.alive
        with hold(paths.lock):
            wait(lambda: feed.view.alive)
            assert feed.view.mark == "running"
            with writing(paths.root) as run:
                run.store.record(RunPaused("ana"))
            wait(lambda: feed.view.mark == "paused")
        wait(lambda: not feed.view.alive)
    finally:
        feed.stop()


def test_a_run_that_cannot_be_read_is_said_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sia_tui.tui.feed.RETRY_S", 0.05)
    paths = make_run(tmp_path / "r", "plan_gate")
    away = paths.root / "away.db"
    paths.db.rename(away)
    feed = Feed(paths)
    feed.start()
    try:
        wait(lambda: feed.view.error is not None)
        assert "no such run database" in str(feed.view.error)
        away.rename(paths.db)
        wait(lambda: feed.view.error is None and feed.view.mark == "waiting")
    finally:
        feed.stop()


def test_events_that_make_no_run_are_said_by_every_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sia_tui.tui.feed.RETRY_S", 0.05)
    paths = make_run(tmp_path / "runs" / "r", "plan_gate")
    with sqlite3.connect(paths.db) as odd:
        odd.execute("delete from events where kind = 'ProposalMade'")
    odd.close()
    feed, shelf = Feed(paths), Shelf(Workspace(tmp_path))
    feed.start()
    try:
        wait(lambda: feed.view.error is not None)
        shelf.look()
        with pytest.raises(StoreError, match="do not make a run"):
            RunReader(paths.db).digest(None)
        for view in (feed.view, *shelf.views):
            assert "its events do not make a run" in str(view.error)
    finally:
        feed.stop()


def test_thousands_of_episodes_leave_the_newest_in_sight(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "done")
    view = Tail(RunReader(paths.db), paths, None).poll(View("r"))
    assert (len(view.recent), view.dropped) == (RECENT, view.state.cost.episodes - RECENT)
    assert view.recent[-1].split == "test"


def test_what_the_window_shows_is_known_without_textual() -> None:
    code = (
        "import sys\n"
        "import sia_tui.tui.feed, sia_tui.tui.heading, sia_tui.tui.scores, sia_tui.tui.phase, sia_tui.tui.stream\n"
        "import sia_tui.tui.outlook, sia_tui.tui.charts\n"
        "print([name for name in ('textual', 'torch', 'numpy', 'pydantic') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_of_a_run_whose_folder_is_gone_no_engine_is_believed(tmp_path: Path) -> None:
    paths = make_run(tmp_path / "r", "training")
    feed = Feed(paths)
    with hold(paths.lock):
        feed.start()
        try:
            wait(lambda: feed.view.alive)
            shutil.rmtree(paths.root)
            wait(lambda: feed.view.error is not None and not feed.view.alive)
        finally:
            feed.stop()
