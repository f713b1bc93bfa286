"""A proposal that a person changed: another one, told to the agents, its dropped hunks known again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sia_tui.core import events as ev
from sia_tui.core.amending import NotAmended, amended, check_dropped
from sia_tui.core.fold import fold
from sia_tui.core.gates import Gate, Verdict
from sia_tui.core.hunks import hunks, partial
from sia_tui.core.plans import TrainPlan
from sia_tui.core.proposals import Proposal
from sia_tui.core.refusals import refusals, repeated
from sia_tui.core.state import State

PATCH = """--- a/x.py
+++ b/x.py
@@ -1,2 +1,2 @@
-a
+A
 b
@@ -8,2 +8,3 @@
 h
+H
 i
"""
PLAN = TrainPlan("grpo", 30, 16, 8, 2000, 80, 4e-5)


def at_gate(proposal: Proposal) -> tuple[State, Gate]:
    gate = Gate("gate-1", "step", "p-1", "h" * 64, {})
    events = [ev.ProposalMade("p-1", proposal), ev.GateOpened(gate)]
    return told(State(run="r"), *events), gate


def told(state: State, *events: ev.Event) -> State:
    return fold((ev.Recorded(at, f"2026-01-01T00:00:{at:02d}+00:00", event) for at, event in enumerate(events)), state)


def test_a_partial_patch_takes_the_place_of_the_whole() -> None:
    was = Proposal("both", "t", "r", "i", "c0", patch=PATCH, plan=PLAN, predicted_gain=0.1, predicted_range=(0, 1))
    state, gate = at_gate(was)
    events = amended(state, gate, "ana", partial(PATCH, [0]), {"learning_rate": 2e-5})
    state = told(state, *events)
    old, new = state.steps
    assert state.current is new and state.waiting is None and old.closed and state.made == (new,)
    assert old.amended is not None and not old.amended.edited and state.amends(new) is old
    assert [hunk.told for hunk in old.amended.dropped] == ["x.py:8 +1 -0"]
    title = f"{PLAN.algorithm}, LoRA r {PLAN.rank}, {PLAN.steps} steps, instead of: t"
    same = replace(was, title=title, patch=partial(PATCH, [0]), plan=replace(PLAN, learning_rate=2e-5))
    assert new.proposal == replace(same, predicted_gain=None, predicted_range=None), "which was of the whole"
    assert not old.refuted, "its idea is not to be refused for this"
    _, again = amended(replace(state, steps=(replace(new, id="p-1"),)), gate, "bo", PATCH, None)
    assert again.proposal.title == "t, changed by bo", "each title is of the last change"  # type: ignore[union-attr]


def test_what_comes_back_is_amber_and_counted() -> None:
    state, gate = at_gate(Proposal("harness", "t", "r", "i", "c0", patch=PATCH))
    assert check_dropped(PATCH, state.steps) == ()
    state = told(state, *amended(state, gate, "ana", partial(PATCH, [0]), None))
    assert [light.level for light in check_dropped(partial(PATCH, [0]), state.steps)] == ["ok"]
    moved = PATCH.replace("@@ -8,2 +8,3 @@", "@@ -18,2 +18,3 @@")
    (light,) = check_dropped(moved, state.steps)
    assert light.level == "amber" and light.detail == "a person (ana) dropped x.py:8 +1 -0 in p-1"
    state = told(state, ev.ProposalMade("p-3", Proposal("harness", "t", "r", "i", "c0", patch=moved)))
    (light,) = check_dropped(moved, state.steps)
    assert light.detail.endswith("in p-1, back for the 2. time")
    (dropped,) = refusals(state)
    assert (dropped.step, dropped.by, dropped.hunk, dropped.returned) == ("p-1", "ana", "x.py:8 +1 -0", 1)
    assert repeated(state, state.step("p-3")) is None, "of a dropped hunk the light tells"


def test_a_refused_patch_that_comes_back_in_part_is_known() -> None:
    state, gate = at_gate(Proposal("harness", "t", "r", "i", "c0", patch=PATCH))
    no = ev.VerdictGiven(Verdict(gate.id, "reject", "ana", "too dear", ""))
    state = told(state, no, ev.ProposalRefused("p-1", "ana", "too dear"))
    again = Proposal("harness", "another", "r", "j", "c0", patch=partial(PATCH, [1]))
    state = told(state, ev.ProposalMade("p-2", again))
    (was,) = refusals(state)
    assert (was.step, was.hunk, was.note, was.returned) == ("p-1", "", "too dear", 1)
    assert repeated(state, state.step("p-2")) == (was, 1) and len(was.digests) == 2
    assert repeated(state, state.step("p-1")) is None


def test_an_edited_hunk_is_edited_and_not_dropped() -> None:
    state, gate = at_gate(Proposal("harness", "t", "r", "i", "c0", patch=PATCH))
    closed, _ = amended(state, gate, "ana", PATCH.replace("@@ -1,2 +1,2 @@\n-a", "@@ -1,2 +1,3 @@\n+0\n-a"), None)
    assert isinstance(closed, ev.ProposalAmended) and closed.edited and closed.dropped == ()
    assert len(hunks(PATCH)) == 2


@pytest.mark.parametrize(
    ("patch", "plan", "why"),
    [
        (PATCH, None, "nothing of it is changed"),
        (None, {}, "nothing of it is changed"),
        ("no diff", None, "no unified diff"),
        (None, {"learning_rate": 7}, r"learning_rate must lie in \[1e-08, 0.1\], got 7"),
        (None, {"learning_rate": "high"}, "not supported"),
        (None, {"speed": 7}, "speed"),
    ],
)
def test_what_is_no_change_is_refused_in_words(patch: str | None, plan: dict[str, object] | None, why: str) -> None:
    state, gate = at_gate(Proposal("both", "t", "r", "i", "c0", patch=PATCH, plan=PLAN))
    with pytest.raises(NotAmended, match=why):
        amended(state, gate, "ana", patch, plan)
    with pytest.raises(NotAmended, match="about a result"):
        amended(state, replace(gate, kind="keep"), "ana", partial(PATCH, [0]), None)
