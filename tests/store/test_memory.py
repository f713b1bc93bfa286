"""workspace.db: what runs learned can be made again from them, what people wrote stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.core import events as ev
from sia_tui.core.fold import fold
from sia_tui.core.recall import recall
from sia_tui.core.state import State
from sia_tui.store.memory import add_note, edits, learned, rebuild, remember, restore, strike
from sia_tui.store.openings import record_opening
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import Workspace
from tests.core.story import tell_story


@st.composite
def logs(draw: st.DrawFn) -> list[ev.Recorded]:
    return tell_story(lambda options: draw(st.sampled_from(options)))


@settings(max_examples=10, deadline=None)
@given(logs(), st.lists(st.integers(0, 60), max_size=3))
def test_made_again_is_what_was_written_step_by_step(
    tmp_path_factory: pytest.TempPathFactory, log: list[ev.Recorded], cuts: list[int]
) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("w"))
    for cut in [*cuts, len(log)]:
        remember(workspace.db, fold(log[:cut]))
        remember(workspace.db, fold(log[:cut]))
    after = learned(workspace.db, "lawbench")
    assert after == recall(fold(log))
    assert rebuild(workspace, "lawbench", [fold(log)]) == 1 and learned(workspace.db, "lawbench") == after


def run(name: str, split: str = "split", task: str = "lawbench") -> State:
    state = fold(tell_story(lambda options: options[0]))
    assert state.task_ready is not None
    return replace(state, run=name, task=task, task_ready=replace(state.task_ready, split_hash=split))


def test_runs_are_kept_apart_by_task_split_and_name(tmp_path: Path) -> None:
    db = tmp_path / "workspace.db"
    for state in (run("a"), run("b", split="other"), run("c", task="else"), run("d")):
        remember(db, state)

    def of(**wanted: str) -> set[str]:
        return {idea.run for idea in learned(db, "lawbench", **wanted).ideas}

    assert of() == {"a", "b", "d"} and of(split="split") == {"a", "d"} and of(split="split", but="a") == {"d"}
    rebuild(Workspace(tmp_path), "lawbench", [run("d"), run("c", task="else")])
    assert of() == {"d"} and learned(db, "else").ideas, "runs that are gone are forgotten, other tasks are not touched"


def test_a_person_s_part_survives_being_made_again(tmp_path: Path) -> None:
    db, state = tmp_path / "workspace.db", run("a")
    assert edits(db, "lawbench").struck == frozenset() and learned(db, "lawbench").items == ()
    remember(db, state)
    made = add_note(db, "lawbench", "answer in Chinese", "ana", "2026")
    idea = learned(db, "lawbench").ideas[0].id
    strike(db, "lawbench", [idea, made.id])
    rebuild(Workspace(tmp_path), "lawbench", [state])
    kept = edits(db, "lawbench")
    assert kept.notes.constraints == (made,) and kept.struck == {idea, made.id}
    restore(db, "lawbench", [idea])
    assert add_note(db, "lawbench", "answer in Chinese", "bo", "2027").id == made.id
    assert edits(db, "lawbench").struck == frozenset() and edits(db, "lawbench").notes.constraints == (made,)


def test_it_shares_the_file_with_the_openings_of_test(tmp_path: Path) -> None:
    db = tmp_path / "workspace.db"
    assert record_opening(db, "a", "h") == 0
    assert edits(db, "lawbench").notes.items == ()
    remember(db, run("a"))
    assert record_opening(db, "b", "h") == 1 and learned(db, "lawbench").ideas


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    db = tmp_path / "workspace.db"
    db.write_bytes(b"not a database at all" * 100)
    for read in (lambda: learned(db, "lawbench"), lambda: edits(db, "lawbench"), lambda: remember(db, run("a"))):
        with pytest.raises(StoreError, match="it was left as it is"):
            read()
    assert db.read_bytes() == b"not a database at all" * 100
