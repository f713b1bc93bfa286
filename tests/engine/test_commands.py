"""What people ask of a run, against a real run.db: carried out or refused, always answered."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from sia_tui.core import events as ev
from sia_tui.core import loop
from sia_tui.core.consent import chained
from sia_tui.core.gates import Gate
from sia_tui.core.meantime import Gather
from sia_tui.core.proposals import Proposal
from sia_tui.core.standing import says
from sia_tui.core.text import clean
from sia_tui.engine.commands import heed
from sia_tui.engine.session import Session
from sia_tui.engine.settle import settle
from sia_tui.engine.step import propose, refuse
from sia_tui.harness.repository import HarnessRepository
from sia_tui.store.lock import RunHeld, hold, is_held
from sia_tui.store.reader import RunReader, append_command
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from tests.core.story import RULES, answer
from tests.tui.runs import make_run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    """A run at its first gate."""
    with RunStore(tmp_path / "run.db") as store:
        store.record(ev.RunCreated("r", "lawbench", "c"))
        go_on(store)
        yield store


def go_on(store: RunStore) -> None:
    """Every choice of the world is its first one: harness proposals, green lights, better results."""
    while not isinstance(action := loop.next_action(store.state, RULES), loop.AwaitVerdict | loop.Ended):
        store.record(*answer(action, store.state, lambda options: options[0]))


def ask(store: RunStore, tmp_path: Path, kind: str, *, fault: str | None = None, **body: object) -> tuple[bool, str]:
    number = append_command(tmp_path / "run.db", kind, "me", body)
    heed(store, RunPaths(tmp_path), lambda proposal: fault)
    found = RunReader(tmp_path / "run.db").answer_to(number)
    assert found is not None
    return found.ok, found.message


def test_yes_and_no_bind_to_the_hash(store: RunStore, tmp_path: Path) -> None:
    gate = store.state.waiting
    assert gate is not None
    assert ask(store, tmp_path, "approve", gate=gate.id, hash="wrong-hash")[0] is False
    assert store.state.waiting == gate
    assert ask(store, tmp_path, "reject", gate=gate.id, hash=gate.hash, note="no") == (True, "rejected gate-1")
    assert ask(store, tmp_path, "approve", gate=gate.id, hash=gate.hash)[1].startswith(
        "gate gate-1 is answered already"
    )
    go_on(store)
    assert store.state.steps[0].refused is not None and store.state.steps[0].refused.reason == "no"
    assert store.state.waiting is not None and store.state.waiting.id == "gate-2"


def test_a_verdict_says_who_wrote_it_and_what_they_saw(store: RunStore, tmp_path: Path) -> None:
    gate = store.state.waiting
    assert gate is not None
    assert ask(store, tmp_path, "approve", gate=gate.id, hash=gate.hash, uid=4321, seen="s" * 99)[0]
    rows = RunReader(tmp_path / "run.db").written().rows
    given = json.loads(rows[-1].data)
    assert (given["uid"], given["seen"], given["hash"]) == (4321, "s" * 64, gate.hash)
    assert given["before"] == chained(rows[:-1])


def test_a_risk_is_accepted_by_a_rows_name_and_for_a_reason(store: RunStore, tmp_path: Path) -> None:
    assert "there are: splits" in ask(store, tmp_path, "accept-risk", row="golden", reason="x")[1]
    assert ask(store, tmp_path, "accept-risk", row="gold", reason=" ")[0] is False
    assert ask(store, tmp_path, "accept-risk", row="gold", reason="a sample") == (
        True,
        "the risk of gold is accepted: a sample",
    )
    (risk,) = store.state.risks
    assert (risk.row, risk.reason, risk.by) == ("gold", "a sample", "me") and risk.at


def test_pause_resume_and_stop_only_where_they_make_sense(store: RunStore, tmp_path: Path) -> None:
    assert ask(store, tmp_path, "resume") == (False, "the run is running, not paused")
    assert ask(store, tmp_path, "pause")[0] and store.state.status == "paused"
    assert ask(store, tmp_path, "pause") == (False, "the run is paused")
    assert ask(store, tmp_path, "resume")[0] and store.state.status == "running"
    assert ask(store, tmp_path, "stop")[0]
    assert store.state.waiting is None, "a run that is broken off asks nothing any more"
    go_on(store)
    assert store.state.status == "stopped" and store.state.test_opened is None
    assert ask(store, tmp_path, "stop") == (False, "the run is stopped")


def test_going_back_settles_the_open_gate_first(store: RunStore, tmp_path: Path) -> None:
    gate = store.state.waiting
    assert gate is not None
    assert ask(store, tmp_path, "rollback", generation=0) == (False, "g0 is the incumbent already")
    assert ask(store, tmp_path, "rollback", generation=7) == (False, "no generation g7")
    assert ask(store, tmp_path, "approve", gate=gate.id, hash=gate.hash)[0]
    go_on(store)
    assert store.state.incumbent == 1 and store.state.waiting is not None
    assert ask(store, tmp_path, "rollback", generation=0) == (True, "g0 is the incumbent")
    assert store.state.incumbent == 0 and store.state.waiting is None
    refused = store.state.steps[1].refused
    assert refused is not None and refused.reason == "went back to g0"


@pytest.mark.parametrize(
    ("kind", "body"), [("fly", {}), ("approve", {}), ("rollback", {"generation": "x"}), ("defer", {})]
)
def test_nonsense_is_answered_and_changes_nothing(
    store: RunStore, tmp_path: Path, kind: str, body: dict[str, object]
) -> None:
    before = store.state
    ok, message = ask(store, tmp_path, kind, **body)
    assert not ok and message and store.state == before


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("approve", '{"gate": "gate-1", "hash": "\\ud800"}'),
        ("approve", '{"gate": "\\ud800", "hash": "x"}'),
        ("reject", '{"gate": "gate-1", "hash": "HASH", "note": "\\ud800"}'),
        ("\x9b31m", "{}"),
        ("pause", "[]"),
        ("pause", "null"),
        ("pause", "[" * 100_000),
        ("pause", b"\xff"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_words_that_are_none_are_answered_and_stop_nobody(
    store: RunStore, tmp_path: Path, kind: str, body: str | bytes
) -> None:
    gate = store.state.waiting
    assert gate is not None
    said = body.replace("HASH", gate.hash) if isinstance(body, str) else body
    with closing(sqlite3.connect(tmp_path / "run.db")) as rows, rows:
        row = ("2026", "x", kind, said)
        words = "insert into commands (at, by, kind, body) values (?, ?, ?, cast(? as text))"
        number = rows.execute(words, row).lastrowid
    assert ask(store, tmp_path, "defer", gate=gate.id)[0]
    answered = RunReader(tmp_path / "run.db").answer_to(number or 0)
    assert answered is not None and not answered.ok and store.state.waiting == gate
    assert answered.message == clean(answered.message) and len(answered.message) < 400


def test_putting_off_is_no_verdict(store: RunStore, tmp_path: Path) -> None:
    gate = store.state.waiting
    assert gate is not None and ask(store, tmp_path, "defer", gate=gate.id)[0]
    assert store.state.waiting == gate


def test_a_gate_that_more_evidence_is_wanted_for_is_put_again_under_another_hash(
    store: RunStore, tmp_path: Path
) -> None:
    """The preview of this world grows from 5 cases to 10 of 10; then there is nothing left to ask for."""
    first = store.state.waiting
    assert first is not None and ask(store, tmp_path, "more-evidence", gate="gate-9")[0] is False
    assert ask(store, tmp_path, "more-evidence")[1].startswith("gate-1 is put again with its preview on as many")
    assert store.state.waiting is None, "nobody can answer what is not asked"
    for kind in ("approve", "more-evidence"):
        ok, said = ask(store, tmp_path, kind, gate=first.id, hash=first.hash)
        assert not ok and said == "gate gate-1 waits for the evidence that me wanted, and is then put again"
    assert ask(store, tmp_path, "more-evidence") == (False, "no gate is open")
    assert ask(store, tmp_path, "pause")[0] and ask(store, tmp_path, "resume")[0]
    step = store.state.current
    assert step is not None and step.preview is not None and step.preview.n == 5
    assert loop.next_action(store.state, RULES) == Gather(step.id)
    store.record(ev.PreviewDone(step.id, replace(step.preview, n=10)))
    parts = {**first.parts, "preview": "another"}
    store.record(ev.GateOpened(Gate(first.id, "step", step.id, "another-hash", parts)))
    ok, said = ask(store, tmp_path, "approve", gate=first.id, hash=first.hash)
    assert not ok and said.endswith("since then changed: preview")
    assert ask(store, tmp_path, "more-evidence") == (False, "the preview is over all 10 train cases already")
    assert ask(store, tmp_path, "approve", gate=first.id, hash="another-hash")[0]


def test_a_training_is_cut_short_once_and_only_while_there_is_one(store: RunStore, tmp_path: Path) -> None:
    assert ask(store, tmp_path, "stop-training") == (False, "no training is under way")
    step = store.state.current
    assert step is not None
    store.record(ev.TrainingBegan(step.id, None))
    assert ask(store, tmp_path, "stop-training")[0] and store.state.step(step.id).cut_short_by == "me"
    assert ask(store, tmp_path, "stop-training") == (False, "me has asked for it already")


def test_an_amended_patch_is_checked_before_it_takes_the_place_of_the_open_one(store: RunStore, tmp_path: Path) -> None:
    gate, step = store.state.waiting, store.state.current
    assert gate is not None and step is not None
    body = {"gate": gate.id, "hash": gate.hash, "patch": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"}
    assert ask(store, tmp_path, "amend", **{**body, "hash": "wrong-hash"})[0] is False
    assert ask(store, tmp_path, "amend", **body, fault="applies: not here") == (
        False,
        "gate-1 stays open: applies: not here",
    )
    assert store.state.waiting == gate
    assert ask(store, tmp_path, "amend", **body)[0] and store.state.waiting is None
    go_on(store)
    assert store.state.current is not None and store.state.current.proposal.patch == body["patch"]
    asked = store.state.waiting
    assert asked is not None and asked.id == "gate-2" and asked.hash != gate.hash
    assert store.state.current.preview is not None and store.state.current.review is not None, "tried again"
    assert ask(store, tmp_path, "approve", gate=gate.id, hash=gate.hash)[1].startswith("gate gate-1 is answered")


def test_a_standing_yes_approves_what_is_asked_and_is_ended_by_a_person(store: RunStore, tmp_path: Path) -> None:
    gate = store.state.waiting
    assert gate is not None
    store.record(ev.EpisodeDone("e-1", store.state.generations[0].key, "train", 900))
    limits = {"levers": ["harness"], "steps": 2, "tokens": 500}
    body = {"gate": gate.id, "hash": gate.hash, "contract": limits}
    assert ask(store, tmp_path, "end-contract") == (False, "no contract stands")
    assert ask(store, tmp_path, "contract", **{**body, "contract": {"steps": 0}})[0] is False
    assert ask(store, tmp_path, "contract", **{**body, "hash": "wrong-hash"})[0] is False
    assert store.state.waiting == gate and store.state.contract is None
    assert ask(store, tmp_path, "contract", **body)[0]
    assert store.state.steps[0].verdicts[-1].by == "me" and store.state.contract is not None
    go_on(store)
    said = says(store.state)
    assert said is not None and said.kind == "yes" and said.why.startswith("1 of 2")
    with closing(RunReader(tmp_path / "run.db")) as reader:
        seen = reader.state()
    assert seen.contract is not None and seen.contract.cost.tokens == store.state.contract.cost.tokens >= 900, (
        "what was spent before it is no part of it, also to readers that count no single episode"
    )
    assert ask(store, tmp_path, "end-contract")[0] and says(store.state) is None
    assert store.state.contract_ended == "ended by me" and store.state.waiting is not None


def test_a_standing_yes_beforehand_answers_what_will_be_asked(store: RunStore, tmp_path: Path) -> None:
    """By whoever leaves while a step is made: what is asked already they say yes to by its hash."""
    gate, limits = store.state.waiting, {"levers": ["harness"], "steps": 2, "dev": 1.0}
    assert gate is not None
    assert ask(store, tmp_path, "contract", contract=limits) == (
        False,
        "gate-1 waits: a standing yes begins with that, by its hash",
    )
    assert ask(store, tmp_path, "approve", gate=gate.id, hash=gate.hash)[0]
    while not isinstance(action := loop.next_action(store.state, RULES), loop.Propose):
        store.record(*answer(action, store.state, lambda options: options[0]))
    assert ask(store, tmp_path, "contract", contract=limits)[1].startswith("approved beforehand: harness")
    [made] = [entry.event for entry in RunReader(tmp_path / "run.db").log() if isinstance(entry.event, ev.ContractMade)]
    assert made.uid == os.getuid(), "no verdict says who it was"
    assert ask(store, tmp_path, "contract", contract=limits) == (False, "a contract stands already; end it first")
    go_on(store)
    said = says(store.state)
    assert store.state.waiting is not None and said is not None
    assert said.kind == "yes", "what was measured before it is no part of it"


def test_another_lever_is_asked_for_by_closing_this_one_on_the_generation(store: RunStore, tmp_path: Path) -> None:
    gate = store.state.waiting
    assert gate is not None and store.state.closed_levers == frozenset()
    assert ask(store, tmp_path, "reject", gate=gate.id, hash=gate.hash, note="train", other_lever=True)[0]
    assert store.state.closed_levers == {"harness"}
    go_on(store)
    second = store.state.waiting
    assert second is not None and ask(store, tmp_path, "approve", gate=second.id, hash=second.hash)[0]
    go_on(store)
    assert store.state.incumbent == 1 and store.state.closed_levers == frozenset(), "on that generation alone"


OWN = "--- a/h.py\n+++ b/h.py\n@@ -1 +1 @@\n-x\n+y\n"


async def test_a_persons_own_patch_waits_for_its_turn_and_comes_before_the_agents_next(
    store: RunStore, tmp_path: Path
) -> None:
    gate = store.state.waiting
    assert gate is not None
    said = ask(store, tmp_path, "propose", patch=OWN, title="Try y", reason="x is worn out")
    assert said[0] and "after p-1" in said[1]
    assert ask(store, tmp_path, "propose", patch=OWN, title="The same") == (
        False,
        "the same change waits for its turn already",
    )
    assert store.state.waiting == gate, "what is asked stays asked"
    assert ask(store, tmp_path, "approve", gate=gate.id, hash=gate.hash)[0]
    while not isinstance(action := loop.next_action(store.state, RULES), loop.Propose):
        store.record(*answer(action, store.state, lambda options: options[0]))
    await propose(cast(Session, SimpleNamespace(state=store.state, record=store.record)))
    best, step = store.state.best, store.state.current
    assert step is not None and best is not None and store.state.wanted == ()
    asked = step.proposal
    assert (asked.title, asked.agent, asked.patch, asked.predicted_gain) == ("Try y", "person:me", OWN, None)
    assert best.index == 1 and asked.base_commit == best.commit, "it was wanted of g0, and is tried on what serves"


async def test_a_persons_own_patch_comes_before_the_question_whether_to_end(store: RunStore, tmp_path: Path) -> None:
    """At its gate, and while that question is still being made ready; a no to it pauses nothing then."""
    gate, best = store.state.waiting, store.state.best
    assert gate is not None and best is not None
    assert ask(store, tmp_path, "reject", gate=gate.id, hash=gate.hash, note="no")[0]
    while not isinstance(action := loop.next_action(store.state, RULES), loop.Propose):
        store.record(*answer(action, store.state, lambda options: options[0]))
    store.record(ev.ProposalMade("p-stop", Proposal("stop", "nothing left", "", "stop", best.commit)))
    go_on(store)
    stop = store.state.waiting
    assert stop is not None and stop.proposal == "p-stop"
    said = ask(store, tmp_path, "propose", patch=OWN, title="Try y")
    assert said[0] and "before the run may end: p-stop is put aside" in said[1]
    session = cast(Session, SimpleNamespace(state=store.state, record=store.record))
    action = loop.next_action(store.state, RULES)
    assert action == loop.Refuse("p-stop", "me", "wants “Try y” tried first")
    refuse(session, store.state.step("p-stop"), action.by, action.reason)
    assert store.state.status == "running" and isinstance(loop.next_action(store.state, RULES), loop.Propose)
    session.state = store.state
    await propose(session)
    go_on(store)
    asked, step = store.state.waiting, store.state.current
    assert asked is not None and step is not None and step.proposal.title == "Try y" and asked.proposal == step.id


def test_a_persons_proposal_is_a_step_more_than_the_budget_has_but_takes_no_more_time(
    store: RunStore, tmp_path: Path
) -> None:
    assert ask(store, tmp_path, "propose", patch=OWN, title="Try y")[0]
    over = replace(RULES, max_steps=1)
    while not isinstance(action := loop.next_action(store.state, over), loop.Propose):
        assert not isinstance(action, loop.Finish)
        store.record(*answer(action, store.state, lambda options: options[0]))
    ended = loop.next_action(store.state, replace(over, max_tokens=0))
    assert (
        isinstance(ended, loop.Finish) and ended.reason == "token budget of 0 spent; 1 proposed by a person not tried"
    )


def test_nobody_proposes_where_time_tokens_or_money_are_spent(store: RunStore, tmp_path: Path) -> None:
    append_command(tmp_path / "run.db", "propose", "me", {"patch": OWN, "title": "Try y"})
    (said,) = heed(store, RunPaths(tmp_path), rules=replace(RULES, max_tokens=0))
    assert "token budget of 0 spent" in said and store.state.wanted == ()


def test_an_earlier_patch_is_revived_with_its_words_and_its_fate(store: RunStore, tmp_path: Path) -> None:
    gate = store.state.waiting
    assert gate is not None
    ask(store, tmp_path, "reject", gate=gate.id, hash=gate.hash, note="too dear")
    go_on(store)
    refused = store.state.steps[0]
    assert ask(store, tmp_path, "propose", patch=OWN, revives=refused.id, reason="Now it pays.")[0]
    made = store.state.wanted[0].proposal
    assert made.title == refused.proposal.title and "refused by me (too dear)" in made.reason
    assert made.reason.startswith("Now it pays. me revives")
    assert made.idea != refused.proposal.idea and refused.id in made.idea, "a refuted idea is not refused unasked"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"patch": "x", "title": "t"}, "no unified diff"),
        ({"patch": OWN, "title": " "}, "has a title"),
        ({"patch": OWN, "revives": "p-9"}, "no step with a patch"),
        ({"title": "t"}, "malformed"),
    ],
)
def test_what_is_no_proposal_is_said(store: RunStore, tmp_path: Path, body: dict[str, str], said: str) -> None:
    ok, message = ask(store, tmp_path, "propose", **body)
    assert not ok and said in message and store.state.wanted == ()


def test_what_the_checks_refuse_is_refused_at_once(store: RunStore, tmp_path: Path) -> None:
    assert ask(store, tmp_path, "propose", fault="parses: not", patch=OWN, title="t") == (False, "parses: not")


def test_a_command_long_after_an_engine_was_killed_is_not_paid_as_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    paths = workspace.run("r")
    paths.root.mkdir(parents=True)
    with RunStore(paths.db) as store:
        monkeypatch.setattr("sia_tui.store.writer.now", lambda: "2026-01-01T00:00:00.000+00:00")
        store.record(ev.RunCreated("r", "lawbench", "c"), ev.EngineStarted(1, "h", "bwrap"))
        monkeypatch.setattr("sia_tui.store.writer.now", lambda: "2026-01-01T00:00:30.000+00:00")
        store.progress("reading the task", 0, 0, "2026-01-01T00:00:00.000+00:00")
    monkeypatch.setattr("sia_tui.store.writer.now", lambda: "2026-01-02T00:00:00.000+00:00")
    append_command(paths.db, "pause", "ana", {})
    settle(workspace, paths)
    with closing(RunReader(paths.db)) as reader:
        state = reader.state()
        assert state.status == "paused" and state.cost.wall_s == 30.0
        assert reader.digest(None).wall_s == 30.0
    settle(workspace, paths)
    with closing(RunReader(paths.db)) as reader:
        assert len(reader.log()) == 4, "nothing is said where nothing was asked"


def test_whoever_answers_where_no_engine_is_alive_is_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window that is left just then would ask about what no engine does; an engine keeps out for so long all the same."""
    paths = make_run(Workspace(tmp_path).runs / "r", "patch_gate")
    seen: list[bool] = []

    def answers(*_: object, **__: object) -> None:
        seen.append(is_held(paths.lock))
        with pytest.raises(RunHeld), hold(paths.lock):
            pass

    monkeypatch.setattr("sia_tui.engine.settle.heed", answers)
    settle(Workspace(tmp_path), paths)
    assert seen == [False]


def test_a_verdict_is_answered_although_somebody_moved_the_runs_branch(tmp_path: Path) -> None:
    """By a commit of their own: what the log says is what is so, and an engine says so before it goes on."""
    workspace = Workspace(tmp_path)
    paths = make_run(workspace.runs / "sql-repair-07", "patch_gate")
    repository, seed = HarnessRepository.plant(workspace.harness_repository, "task", {"harness.py": b"one\n"})
    repository.git.swap(f"refs/heads/{RunReader(paths.db).state().run}", None, seed)
    gate = RunReader(paths.db).state().waiting
    assert gate is not None
    asked = append_command(paths.db, "approve", "p", {"gate": gate.id, "hash": gate.hash, "note": ""})
    settle(workspace, paths)
    reader = RunReader(paths.db)
    answer, state = reader.answer_to(asked), reader.state()
    assert answer is not None and answer.ok, answer
    assert state.waiting is None and repository.resolve(f"refs/heads/{state.run}") == seed
