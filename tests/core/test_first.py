"""The Meta-Agent's first harness: a step that is asked about and counts for nothing; generation 0 either way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sia_tui.core import events as ev
from sia_tui.core import loop
from sia_tui.core.fold import advance
from sia_tui.core.gates import Gate, Verdict, VerdictKind
from sia_tui.core.proposals import Light
from sia_tui.core.state import State
from sia_tui.tui.asked import decision, question, title
from tests.core.story import RULES, START, proposal

WRITES = replace(RULES, meta_writes=True, max_steps=1, critic=False)
GATE = Gate("gate-1", "step", "p-1", "0123456789abcdef", {})
READY = (
    ev.RunCreated("r", "lawbench", "config"),
    ev.TaskReady("split", "test", "verifier", {"train": 10}),
    ev.BaselinesMeasured({"majority": 0.01}),
    ev.PolicyReady("nano", "sha", "serving"),
)
ASKED = (
    ev.ProposalMade("p-1", replace(proposal("first-harness"), first=True, predicted_gain=None)),
    ev.ProposalChecked("p-1", (Light("parses", "ok"),), "c1", "t1"),
    ev.GateOpened(GATE),
)


def after(*events: ev.Event) -> State:
    state = State()
    for number, event in enumerate(events, 1):
        state = advance(state, ev.Recorded(number, START.isoformat(), event))
    return state


def answered(kind: VerdictKind) -> ev.VerdictGiven:
    return ev.VerdictGiven(Verdict("gate-1", kind, "me", "no tools", "now"))


def test_it_is_written_checked_and_asked_about() -> None:
    assert loop.next_action(after(*READY), WRITES) == loop.WriteFirst()
    assert loop.next_action(after(*READY), RULES) == loop.PlantSeed(), "the house's, where no model writes"
    assert loop.next_action(after(*READY, ASKED[0]), WRITES) == loop.Check("p-1")
    assert loop.next_action(after(*READY, *ASKED[:2]), WRITES) == loop.OpenGate("p-1", "step"), "there is no preview"
    assert loop.next_action(after(*READY, *ASKED), WRITES) == loop.AwaitVerdict("gate-1")


def test_a_critic_is_asked_about_it_unless_its_gate_is_open_already() -> None:
    criticised = replace(WRITES, critic=True)
    assert loop.next_action(after(*READY, *ASKED[:2]), criticised) == loop.AskCritic("p-1")
    assert loop.next_action(after(*READY, *ASKED), criticised) == loop.AwaitVerdict("gate-1"), "asked as it was shown"


def test_a_yes_makes_it_generation_0_and_no_step_is_spent() -> None:
    yes = (*READY, *ASKED, answered("approve"))
    assert loop.next_action(after(*yes), WRITES) == loop.PlantSeed()
    state = after(*yes, ev.GenerationCreated(0, None, "c1", "t1", "k1", proposal="p-1"))
    assert state.current is None and state.best is not None and state.best.kept and state.made == ()
    assert loop.next_action(state, WRITES) == loop.Evaluate(0, "dev")


def test_a_no_leaves_the_houses_and_does_not_ask_again() -> None:
    no = (*READY, *ASKED, answered("reject"))
    assert loop.next_action(after(*no), WRITES) == loop.Refuse("p-1", "me", "no tools")
    state = after(*no, ev.ProposalRefused("p-1", "me", "no tools"))
    assert state.current is None and loop.next_action(state, WRITES) == loop.PlantSeed()


@pytest.mark.parametrize("brief", [False, True])
def test_the_question_is_about_a_beginning(brief: bool) -> None:
    asked = question(after(*READY, *ASKED))
    assert asked is not None and title(asked).endswith("start from this harness?")
    told = "\n".join("".join(text for text, _ in row.pieces) for row in decision(asked, brief))
    assert "gNone" not in told and "house's own first harness" in told
