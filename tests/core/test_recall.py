"""What a run taught: every step that is over and nothing else, from dev alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.core import events as ev
from sia_tui.core.fold import fold
from sia_tui.core.memo import edited, listed, page
from sia_tui.core.proposals import Proposal
from sia_tui.core.recall import Constraint, Memory, memory_of, note, recall
from sia_tui.core.state import MACHINE, State, blind
from tests.core.story import tell_story


@st.composite
def logs(draw: st.DrawFn) -> list[ev.Recorded]:
    return tell_story(lambda options: draw(st.sampled_from(options)))


@settings(max_examples=25)
@given(logs(), st.data())
def test_nothing_of_hidden_or_test_changes_what_is_remembered(log: list[ev.Recorded], data: st.DataObject) -> None:
    def other(entry: ev.Recorded) -> ev.Recorded:
        event = entry.event
        if isinstance(event, ev.Evaluated) and event.split in ("hidden", "test"):
            event = replace(event, mean=data.draw(st.floats(0, 1)), failures={"sealed": 3})
        if isinstance(event, ev.BaselinesTested):
            event = ev.BaselinesTested({"majority": 0.99})
        return replace(entry, event=event)

    assert recall(fold(map(other, log))) == recall(fold(log)) == recall(blind(fold(log)))


@settings(max_examples=25)
@given(logs())
def test_every_step_that_is_over_is_an_idea_and_every_measured_promise_a_forecast(log: list[ev.Recorded]) -> None:
    state = fold(log)
    found = recall(state)
    over = {step.id: step for step in state.made if step.closed and step.proposal.lever != "stop"}
    assert {idea.id for idea in found.ideas} == over.keys()
    for idea in found.ideas:
        step = over[idea.id]
        assert (idea.outcome == "refused") == (step.refused is not None) and idea.why
        assert (idea.outcome == "kept") == (step.generation is not None and state.generations[step.generation].kept)
    promised = {name for name, step in over.items() if step.measured and step.proposal.predicted_gain is not None}
    assert {made.id for made in found.forecasts} == promised
    amended = [step for step in state.steps if step.amended]
    told = [said for said in found.constraints if said.text.startswith("dropped hunk x.py:1")]
    assert [said.about for said in told] == [step.proposal.title for step in amended], "the agents are told"


@settings(max_examples=25)
@given(logs(), st.randoms())
def test_memory_does_not_depend_on_the_order_it_was_learned_in(log: list[ev.Recorded], random: object) -> None:
    found = recall(fold(log))
    items = list(found.items)
    random.shuffle(items)  # type: ignore[attr-defined]
    assert memory_of(found.task, items) == found == found.joined(found) == found.without(())


def test_what_the_machine_broke_is_no_idea() -> None:
    at = [
        ev.RunCreated("r", "lawbench", "c"),
        ev.ProposalMade("p-1", Proposal("weights", "train", "", "grpo", "c0")),
        ev.ProposalRefused("p-1", MACHINE, "died three times"),
    ]
    state = fold(ev.Recorded(n, f"2026-01-01T00:00:0{n}+00:00", event) for n, event in enumerate(at))
    assert recall(state).ideas == ()


def test_failures_are_told_from_their_first_generation_to_their_last() -> None:
    step = ev.ProposalMade(
        "p-1", Proposal("harness", "a", "", "a", "c0", clusters={"right": 5, "timeout": 3, "crash": 0})
    )
    later = ev.ProposalMade(
        "p-2", Proposal("stop", "b", "", "b", "c1", clusters={"right": 7, "timeout": 1, "wrong": 2})
    )
    made = [ev.GenerationCreated(n, None, f"c{n}", "t", f"k{n}") for n in (0, 1)]
    at = [ev.RunCreated("r", "lawbench", "c"), *made, step, later]
    state = fold(ev.Recorded(n, f"2026-01-01T00:00:0{n}+00:00", event) for n, event in enumerate(at))
    found = {cluster.failure: cluster for cluster in recall(state).clusters}
    assert {name: dict(cluster.counts) for name, cluster in found.items()} == {
        "timeout": {"g0": 3, "g1": 1},
        "wrong": {"g1": 2},
    }
    assert (found["timeout"].first, found["timeout"].last) == ("g0", "g1")
    assert "g0 to g1 in r: g0 3, g1 1" in page(recall(state))


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).filter(lambda text: " ".join(text.split()))


@settings(max_examples=25)
@given(st.lists(words, unique_by=lambda text: note("t", text, "", "").id, max_size=5), st.data())
def test_a_list_that_nobody_touched_says_what_it_said(texts: list[str], data: st.DataObject) -> None:
    memory = memory_of("t", [note("t", text, "ana", "2026") for text in texts])
    struck = (
        frozenset(data.draw(st.sets(st.sampled_from([item.id for item in memory.items])))) if texts else frozenset()
    )
    said = edited(listed(memory, struck), memory)
    assert (said.struck, said.added) == (struck, ())


def test_a_list_is_edited_line_by_line() -> None:
    memory = memory_of(
        "t", [Constraint("c-1", "r", "1", "too dear", "ana", "gate-1", "votes"), note("t", "old", "ana", "2")]
    )
    old = memory.constraints[1].id
    said = edited(f"# a remark\n\ndrop c-1 whatever\n+ answer in Chinese\nkeep {old}\n", memory)
    assert (said.struck, said.added) == ({"c-1"}, ("answer in Chinese",))
    assert edited("keep c-1\n", memory).struck == {old}, "a line taken out is dropped"
    assert edited("+ old\n", memory).struck == {"c-1"}, "the same text again is the same note, told again"
    for wrong, why in (("forget c-1", "line 1: expected"), ("\nkeep c-9", "line 2: no item 'c-9'"), ("+", "line 1")):
        with pytest.raises(ValueError, match=why):
            edited(wrong, memory)


def test_a_page_shows_no_control_character() -> None:
    state = State("r", task="t")
    hostile = note("t", "a\x1b[2J\nb", "me\x07", "1")
    assert page(recall(state)) == page(Memory("t")) == "nothing remembered yet"
    assert all(char.isprintable() or char == "\n" for char in page(memory_of("t", [hostile])))
