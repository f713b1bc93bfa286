"""What pulling a lever paid: a row per step that says something of its lever, read off the log, from train and dev alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.core import codec
from sia_tui.core import events as ev
from sia_tui.core.fold import fold
from sia_tui.core.gates import gate_hash, gate_parts
from sia_tui.core.memo import page
from sia_tui.core.proposals import Proposal
from sia_tui.core.pulls import (
    FEATURES,
    LEVERS,
    MOST_STALLS,
    Advice,
    Pay,
    Pull,
    Pulled,
    Seen,
    Turn,
    features,
    paid,
    said,
    stalls,
)
from sia_tui.core.recall import memory_of, recall, turns
from sia_tui.core.state import MACHINE, State
from tests.core.story import proposal, tell_story

CLASSES = ("right", "confused", "not_in_sight", "wrong", "unparsed", "no_answer", "tool_unused", "crash")
seen = st.builds(Seen, st.floats(0, 1), st.dictionaries(st.sampled_from(CLASSES), st.integers(0, 400)), st.booleans())
history = st.lists(st.builds(Turn, st.sampled_from(LEVERS), st.none() | st.floats(-1, 1)), max_size=8)


@given(st.sampled_from(LEVERS), seen, history)
def test_features_are_few_named_and_of_one_size(lever: Pulled, given: Seen, so_far: list[Turn]) -> None:
    found = features(lever, given, so_far)
    assert tuple(found) == FEATURES and len(FEATURES) <= 10
    assert all(-1 <= value <= 1 for value in found.values())


def test_features_tell_the_levers_apart_by_what_came_of_them() -> None:
    given = Seen(0.25, {"right": 10, "confused": 6, "not_in_sight": 2, "wrong": 8, "unparsed": 4}, True)
    so_far = [Turn("harness", 0.2), Turn("weights", 0.1), Turn("harness", None), Turn("harness", None)]
    scaffold, weights = (features(lever, given, so_far) for lever in LEVERS)
    assert scaffold["headroom"] == weights["headroom"] == 0.75 and weights["adapter"] == 1.0
    assert scaffold["in sight"] == pytest.approx((6 + 8 * 6 / 8) / 20) and scaffold["by format"] == 4 / 20
    assert (scaffold["stalls"], weights["stalls"]) == (2 / MOST_STALLS, 0.0)
    assert (scaffold["last gain"], weights["last gain"]) == (0.0, 0.1)
    assert scaffold["handed over"] == 0.0 and features("harness", given, so_far[:2])["handed over"] == 1.0
    assert stalls(turn for turn in so_far if turn.lever == "harness") == 2


def told(*events: ev.Event) -> State:
    """A run of these events, ten seconds apart."""
    log = [
        ev.RunCreated("r", "lawbench", "c"),
        ev.GenerationCreated(0, None, "c0", "t0", "k0"),
        ev.Evaluated(0, "dev", 0.3, 0.2, 0.4, 100, 0.0, {}),
        *events,
    ]
    return fold(
        ev.Recorded(n, f"2026-01-01T00:{n * 10 // 60:02d}:{n * 10 % 60:02d}+00:00", event)
        for n, event in enumerate(log)
    )


def carried_out(number: int, outcome: str, advice: Advice | None = None) -> list[ev.Event]:
    name, base = f"p-{number}", replace(proposal(f"idea-{number}"), clusters={"right": 3, "unparsed": 7})
    kept = outcome == "better"
    return [
        ev.ProposalMade(name, base, advice),
        ev.GenerationCreated(number, "harness", f"c{number}", "t", f"k{number}", None, 0, name),
        ev.Measured(name, number, outcome, 0.1 if kept else -0.1, -0.2, 0.2, 100, (), ()),
        ev.GenerationKept(number, "better") if kept else ev.GenerationRolledBack(number, "worse"),
    ]


def test_a_step_pays_what_was_kept_of_it_over_the_minutes_it_took() -> None:
    first, second = recall(told(*carried_out(1, "better"), *carried_out(2, "worse"))).pulls
    assert (first.gain, first.kept, first.minutes) == (0.1, True, pytest.approx(0.5)) and first.pay == 0.2
    assert (second.gain, second.kept, second.pay) == (0.0, False, 0.0)
    assert first.features["headroom"] == 0.7 and first.features["by format"] == 1.0
    assert second.features["last gain"] == 0.1 and first.features["last gain"] == 0.0
    assert paid([first, second], "harness") == "2 steps of 1 run, 1 kept, 1.0 min, 10.0 points a minute"
    assert "LEVERS" in page(recall(told(*carried_out(1, "better")))).upper()


def test_what_was_shown_when_it_was_proposed_is_what_is_learned_from() -> None:
    shown = dict.fromkeys(FEATURES, 0.5)
    advice = Advice("harness", "x", (Pay("harness", 0.0, 0.0, 0.0, 0, None, shown),), 0, 0)
    (pull,) = recall(told(*carried_out(1, "better", advice))).pulls
    assert pull.features == shown


@pytest.mark.parametrize(
    ("by", "counts"), [("checks", 1), ("preview", 1), ("training", 1), ("auto", 1), ("ana", 0), (MACHINE, 0)]
)
def test_a_person_s_no_and_a_fault_of_the_machine_say_nothing_of_a_lever(by: str, counts: int) -> None:
    state = told(ev.ProposalMade("p-1", proposal("a")), ev.ProposalRefused("p-1", by, "no"))
    assert len(recall(state).pulls) == len(turns(state)) == counts


def test_to_stop_is_no_lever_and_a_step_under_way_has_paid_nothing_yet() -> None:
    stop = ev.ProposalMade("p-1", Proposal("stop", "s", "", "s", "c0"))
    assert recall(told(stop)).pulls == recall(told(*carried_out(1, "better")[:3])).pulls == ()


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_row_is_a_step_that_was_decided(data: st.DataObject) -> None:
    state = fold(tell_story(lambda options: data.draw(st.sampled_from(options))))
    for pull in recall(state).pulls:
        step = state.step(pull.id)
        assert step.closed and step.ended_s is not None and pull.minutes > 0
        assert pull.kept == (step.generation is not None and state.generations[step.generation].kept)
    of_one = [turn.lever for turn in turns(state) if turn.lever != "both"]
    assert of_one == [pull.lever for pull in recall(state).pulls]


def test_a_person_who_strikes_an_idea_out_strikes_what_it_paid() -> None:
    found = recall(told(*carried_out(1, "better")))
    assert found.pulls and not found.without(["p-1"]).pulls
    assert memory_of("lawbench", found.items) == found


def pay(lever: Pulled, mean: float) -> Pay:
    return Pay(lever, mean, mean - 0.01, mean + 0.01, 3, 1.0)


def test_advice_is_one_line() -> None:
    made = Advice("weights", "the likelier", (pay("harness", 0.004), pay("weights", 0.013)), 14, 3)
    assert said(made) == (
        "weights pays 1.3 [0.3, 2.3] points a minute, harness 0.4 [-0.6, 1.4] over 14 steps of 3 runs; "
        "the likelier: weights"
    )
    assert made.order == ("weights", "harness")
    new = Advice("harness", "the house rule", (replace(pay("harness", 0.0), steps=0),), 0, 0)
    assert said(new) == "nothing was measured yet; the house rule: harness"


def test_a_gate_is_bound_to_the_advice_that_was_shown() -> None:
    made = Advice("weights", "the likelier", (pay("harness", 0.004), pay("weights", 0.013)), 14, 3)
    hashes = {
        gate_hash(gate_parts("step", proposal("a"), "k0", (), None, None, None, advice, None, {}, "c"))
        for advice in (None, made, replace(made, lever="harness"))
    }
    assert len(hashes) == 3


def test_advice_is_read_from_the_log_as_it_was_written() -> None:
    made = Advice("weights", "x", (Pay("weights", 0.1, 0.0, 0.2, 3, None, {"one": 1.0}),), 3, 1)
    event = ev.ProposalMade("p-1", proposal("a"), made)
    assert codec.decode(*codec.encode(event)) == event
    kind, data = codec.encode(event)
    assert codec.decode(kind, {name: value for name, value in data.items() if name != "advice"}).advice is None  # type: ignore[union-attr]


def test_a_row_keeps_nothing_but_numbers_of_the_evidence() -> None:
    (pull,) = recall(told(*carried_out(1, "better"))).pulls
    assert isinstance(pull, Pull) and all(isinstance(value, float) for value in pull.features.values())
