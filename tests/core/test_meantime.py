"""Knowing more decides nothing: what is asked for comes once, and the story ends as it would have."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given
from hypothesis import strategies as st

from sia_tui.core import events as ev
from sia_tui.core.attribution import attribution, pairs
from sia_tui.core.evidence import Through
from sia_tui.core.fold import advance, fold
from sia_tui.core.meantime import Match, Repeat, Trace, unmatched, while_waiting
from sia_tui.core.state import State
from sia_tui.core.telling import matched, traced
from tests.core.story import RULES, tell_story
from tests.core.test_attribution import in_turn

TRIED = next(step for step in fold(tell_story(lambda options: options[0])).steps if step.preview)


@st.composite
def logs(draw: st.DrawFn) -> list[ev.Recorded]:
    return tell_story(lambda options: draw(st.sampled_from(options)))


@given(logs())
def test_a_withdrawn_gate_is_put_again_under_its_id_and_answered_once(log: list[ev.Recorded]) -> None:
    state = State()
    for entry in log:
        if isinstance(entry.event, ev.EvidenceWanted):
            assert state.waiting is not None and state.waiting.id == entry.event.gate
        state = advance(state, entry)
        if isinstance(entry.event, ev.EvidenceWanted):
            assert state.waiting is None and state.current is not None and state.current.wanted == entry.event
    ids = [gate.id for gate in state.gates]
    assert len(set(ids)) == len(ids) and all(step.wanted is None for step in state.steps)
    for step in state.steps:
        assert {gate.id for gate in step.withdrawn} <= {gate.id for gate in step.gates}
        assert step.review is None or sum(light.name == "critic" for light in step.lights or ()) == 1


@given(logs())
def test_every_kept_pair_has_its_table_and_every_patch_that_changed_something_its_hunks(log: list[ev.Recorded]) -> None:
    state = fold(log)
    assert {found.new for found in state.tables} == {pair.new for pair in pairs(state)}
    for step in state.steps:
        of_many = step.proposal.lever == "harness" and step.measured is not None and step.closed
        assert (step.traced is not None) == of_many


def test_none_of_it_is_measured_where_the_config_says_so_or_the_budget_is_used_up() -> None:
    for rules in (replace(RULES, attribute=False, trace=0), replace(RULES, max_tokens=1)):
        told = tell_story(lambda options: "better" if "better" in options else options[0], rules=rules)
        assert not any(isinstance(entry.event, ev.Attributed | ev.Traced) for entry in told)


def test_the_second_step_of_a_pair_tells_what_each_lever_brought() -> None:
    state = fold(tell_story(in_turn("harness", "weights")))
    tables = [attribution(state, step) for step in state.steps]
    assert tables[0] is None and all(found is not None and found.interaction is not None for found in tables[1:])


def test_only_the_incumbent_is_measured_while_somebody_thinks_and_only_as_often_as_said() -> None:
    state, seen = State(), list[object]()
    for entry in tell_story(lambda options: "indecisive" if "indecisive" in options else options[0]):
        state = advance(state, entry)
        wish = while_waiting(state, 2, 4, 0)
        assert (wish is None) or state.waiting is not None
        while isinstance(wish, Repeat):
            assert wish.generation == state.incumbent
            seen.append(wish)
            again = ev.MeasuredAgain(
                "k", wish.generation, wish.generation, "dev", wish.number, 0.5, 0.4, 0.6, 9, 0.0, 1
            )
            hashes = [gate.hash for gate in state.gates]
            state = advance(state, ev.Recorded(0, entry.at, again))
            assert [gate.hash for gate in state.gates] == hashes
            wish = while_waiting(state, 2, 4, 0)
        assert wish is None or (isinstance(wish, Trace) and state.waiting is not None and state.waiting.kind == "keep")
        assert while_waiting(state, 0, 0, 0) is None
    assert len(seen) == len(set(seen)) and {wish.number for wish in seen if isinstance(wish, Repeat)} == {1, 2}


def test_the_tokens_of_a_dearer_patch_are_spent_on_the_incumbent_first_and_once() -> None:
    state, seen = State(), list[Match]()
    for entry in tell_story(lambda options: "better" if "better" in options else options[0]):
        if isinstance(entry.event, ev.PreviewDone):
            dearer = replace(entry.event.preview, tokens_before=10.0, tokens_after=26.0)
            state = advance(state, replace(entry, event=replace(entry.event, preview=dearer)))
        else:
            state = advance(state, entry)
        wish = while_waiting(state, 1, 4, 2 if seen else 8)
        if isinstance(wish, Match):
            assert state.waiting is not None and state.waiting.kind == "step" and wish.samples == (2 if seen else 3)
            seen.append(wish)
            step, hashes = state.step(wish.proposal), [gate.hash for gate in state.gates]
            assert step.preview is not None
            found = ev.Matched(step.id, state.incumbent or 0, wish.samples, step.preview.n, 0.5, 26.0)
            state = advance(state, ev.Recorded(0, entry.at, found))
            assert [gate.hash for gate in state.gates] == hashes and state.step(step.id).matched == found
            assert not isinstance(while_waiting(state, 1, 4, 8), Match)
    assert len(seen) > 1 and len({wish.proposal for wish in seen}) == len(seen)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 9))
@example(5e-324, 1.0, 4)
def test_as_many_answers_as_take_about_a_patchs_tokens(before: float, after: float, most: int) -> None:
    step = TRIED
    assert step.preview is not None
    samples = unmatched(replace(step, preview=replace(step.preview, tokens_before=before, tokens_after=after)), most)
    assert samples == 0 or 2 <= samples <= most
    if samples:
        assert samples == most or abs(samples * before - after) <= before
    elif before and most > 1:
        assert after <= 1.5 * before


def test_what_it_found_is_said_in_one_line() -> None:
    found = ev.Matched("p", 2, 3, 80, 0.5375, 800.0)
    assert matched(found) == "g2, the best of 3 answers: 53.8 % on 80 train cases"


def test_what_came_through_no_single_hunk_is_said() -> None:
    through = (Through("a", (1,)), Through("b", ()))
    found = ev.Traced("p", 1, ("x:1 +1 -1", "x:9 +2 -0", "y:1 +1 -0"), through, (Through("c", (1, 2)),), (0,), 4)
    assert traced(found) == [
        "hunk 1 (x:1 +1 -1): cannot be told, the rest does not stand without it",
        "hunk 2 (x:9 +2 -0): 1 fixed, 1 broken through it",
        "hunk 3 (y:1 +1 -0): 0 fixed, 1 broken through it",
        "1 of 3 cases looked at came through no single hunk, of 7 that changed",
    ]
