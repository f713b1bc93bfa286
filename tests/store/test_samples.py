"""Which rollouts of a training are put before a person."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.episodes import Purpose
from sia_tui.store.reader import EpisodeRow
from sia_tui.store.samples import chosen, in_turns


def row(id: int, case: str, step: int, reward: float, purpose: str = "train", sample: int = 0) -> EpisodeRow:
    failure = None if reward == 1 else "wrong"
    answer = f"{reward:g}"
    return EpisodeRow(
        *(f"e-{id}", "k", case, "train", 1, reward, failure, "policy", answer, 9, 0.1, "bwrap"),
        *("p-1", purpose, step, sample, "2026-01-05T07:00:00+00:00"),
    )


PURPOSES = get_args(Purpose)
ROWS = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.integers(0, 4),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.sampled_from(PURPOSES),
        st.integers(0, 2),
    ),
    max_size=60,
).map(lambda made: [row(number, *fields) for number, fields in enumerate(made)])


@given(ROWS, st.integers(1, 8))
def test_cases_take_turns(rows: list[EpisodeRow], most: int) -> None:
    found = in_turns(rows, most)
    assert len(found) == min(most, len(rows))
    often, cases = Counter(item.case_id for item in found), Counter(item.case_id for item in rows)
    assert all(often[case] >= min(cases[case], max(often.values()) - 1) for case in cases)


@given(ROWS, st.integers(1, 4))
def test_what_is_chosen_is_what_it_is_called(rows: list[EpisodeRow], each: int) -> None:
    found = chosen(rows, each)
    learned = [row for row in rows if row.purpose == "train"] or [row for row in rows if row.purpose == "pilot"]
    once = [sample.row.id for sample in found if sample.before is None]
    assert len(set(once)) == len(once) == min(len(learned), 3 * each) and set(once) <= {row.id for row in learned}
    assert all(count <= each for count in Counter(sample.kind for sample in found).values())
    best = [sample.row.reward for sample in found if sample.kind == "best paid"]
    assert not learned or max(best) == max(row.reward for row in learned)
    for sample in found:
        if sample.before is not None:
            new, old = sample.row, sample.before
            assert (new.case_id, new.sample) == (old.case_id, old.sample)
            assert new.purpose == old.purpose != "pilot" and (new.step or 0) > (old.step or 0)
            assert sample.change == new.reward - old.reward and new.answer != old.answer
    assert chosen(rows, each) == found, "random is the same whenever it is asked"


def test_what_the_rewards_teach_is_told_by_what_was_learned_from() -> None:
    rows = [row(number, f"c{number}", 0, 1.0, "pilot") for number in range(9)]
    rows += [row(20 + number, f"c{number}", number % 3, 0.5) for number in range(20)]
    rows += [
        row(50 + number, f"h{number}", 9 * late, float(late), "held_out") for number in range(9) for late in (0, 1)
    ]
    found = chosen(rows)
    taught = {sample.kind: sample.row.purpose for sample in found if sample.kind != "changed most"}
    assert taught == {"best paid": "train", "worst": "train", "random": "train"}
    assert {sample.row.purpose for sample in found if sample.kind == "changed most"} == {"held_out"}


def test_until_there_is_a_rollout_of_its_own_the_pilots_stand_for_a_training() -> None:
    rows = [row(number, f"c{number % 3}", 0, number / 9, "pilot") for number in range(9)]
    rows += [row(20, "h", 0, 1.0, "held_out")]
    found = chosen(rows)
    assert {(sample.row.purpose, sample.before) for sample in found} == {("pilot", None)}
    assert found[0].row.reward == max(one.reward for one in rows if one.purpose == "pilot")
    assert chosen(rows, at=0) == []


def test_the_largest_change_is_first_and_the_middle_is_not_looked_at() -> None:
    made = [(0, 0.0), (1, 1.0), (2, 0.5)]
    rows = [row(number, "a", step, reward, "held_out") for number, (step, reward) in enumerate(made)]
    rows += [row(10, "b", 0, 1.0, "held_out"), row(11, "b", 2, 0.0, "held_out"), row(12, "b", 1, 1.0)]
    changed = [sample for sample in chosen(rows) if sample.before]
    assert [(sample.row.case_id, sample.change) for sample in changed] == [("b", -1.0), ("a", 0.5)]


def test_of_one_step_only_its_own_are_chosen() -> None:
    rows = [row(number, f"c{number}", number % 3, 1.0) for number in range(30)]
    found = chosen(rows, at=2)
    assert found and all(sample.row.step == 2 for sample in found)
