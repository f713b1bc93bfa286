"""What of an episode is trained, how much it weighs, and that a shared beginning is trained once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.weights.protocol import Rollout, SampledCall
from sia_tui.weights.sequences import Row, batch, merged, parts, rows, sequences, shared


def call(prompt: tuple[int, ...], said: tuple[int, ...]) -> SampledCall:
    return SampledCall(messages=(), prompt_ids=prompt, completion_ids=said, logprobs=(-1.0,) * len(said))


def episode(*calls: SampledCall) -> Rollout:
    return Rollout(case="c0", sample=0, reward=1.0, solved=True, calls=calls)


def test_a_call_that_goes_on_from_another_is_trained_with_it() -> None:
    [row] = sequences(episode(call((1, 2), (5, 6)), call((1, 2, 5, 6, 3, 4), (7,))))
    assert (row.prompt_ids, row.completion_ids) == ((1, 2), (5, 6, 3, 4, 7))
    assert row.weights == pytest.approx((0.25, 0.25, 0, 0, 0.5))
    assert row.logprobs == (-1, -1, 0, 0, -1)


def test_a_template_that_drops_an_earlier_turn_begins_another_sequence() -> None:
    thinking = call((1, 2), (90, 91, 5))
    found = sequences(episode(thinking, call((1, 2, 5, 3), (7,))))
    assert [(row.prompt_ids, row.completion_ids) for row in found] == [((1, 2), (90, 91, 5)), ((1, 2, 5, 3), (7,))]


def test_votes_on_one_prompt_stay_apart_and_the_right_one_goes_on() -> None:
    found = sequences(episode(call((1,), (5,)), call((1,), (6,)), call((1, 6, 2), (7,))))
    assert [row.completion_ids for row in found] == [(5,), (6, 2, 7)]


lengths = st.lists(st.integers(0, 4), min_size=1, max_size=5)


@given(st.lists(lengths, min_size=1, max_size=4))
def test_an_episode_counts_once_whatever_its_calls_and_tokens(made: list[list[int]]) -> None:
    episodes = [
        (episode(*(call((place, at), tuple(range(n))) for at, n in enumerate(calls))), float(place))
        for place, calls in enumerate(made)
    ]
    found = rows(episodes)
    spoke = [calls for calls in made if any(calls)]
    assert len(found) == len(spoke)
    for some, calls in zip(found, spoke, strict=True):
        assert sum(weight for row in some for weight in row.weights) == pytest.approx(1 / len(spoke))
        per_call = [sum(row.weights) for row in some]
        assert per_call == pytest.approx([1 / len(spoke) / sum(n > 0 for n in calls)] * len(some))


def test_dr_grpo_weighs_every_token_alike() -> None:
    found = rows([(episode(call((1,), (5, 6, 7))), 1.0), (episode(call((1,), (8,))), -1.0)], "constant", 10)
    assert [weight for some in found for row in some for weight in row.weights] == pytest.approx([1 / 20] * 4)


def row(tokens: tuple[int, ...], advantage: float, weight: float) -> Row:
    size = len(tokens)
    return Row((1,), tokens, (-1.0,) * size, (weight / size,) * size, (advantage,) * size)


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.5, 2.0]), st.sampled_from([0.1, 0.3]), st.integers(1, 3))))
def test_merging_equal_rows_keeps_each_sign_s_sum(made: list[tuple[float, float, int]]) -> None:
    before = [row((token, 9), advantage, weight) for advantage, weight, token in made]
    after = merged(before)
    assert sum(one.count for one in after) == len(before)
    for token in (1, 2, 3):
        for sign in (True, False):
            sums = [
                [
                    one.advantages[0] * one.weights[0]
                    for one in some
                    if one.completion_ids[0] == token and (one.advantages[0] > 0) == sign
                ]
                for some in (before, after)
            ]
            assert sum(sums[1]) == pytest.approx(sum(sums[0])) and len(sums[1]) <= 1


def test_what_need_not_be_computed_is_told() -> None:
    chained = episode(call((1, 2), (5, 6)), call((1, 2, 5, 6, 3, 4), (7,)))
    assert shared([chained], sequences(chained)) == pytest.approx(1 - 7 / 11)
    same = [episode(call((1, 2), (5,)))] * 4
    assert shared(same, merged(one for some in rows([(one, 1.0) for one in same]) for one in some)) == 0.75
    assert shared([], []) == 0.0


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12), st.integers(1, 60))
def test_parts_hold_every_row_once_and_no_more_than_they_may(sizes: list[tuple[int, int]], cells: int) -> None:
    made = [Row((1,) * p, (2,) * c, (0.0,) * c, (0.1,) * c, (1.0,) * c) for p, c in sizes]
    found = list(parts(made, cells))
    assert sorted(place for part in found for place in part) == list(range(len(made)))
    for part in found:
        wide = max(len(made[p].prompt_ids) for p in part) + max(len(made[p].completion_ids) for p in part)
        assert len(part) == 1 or wide * len(part) <= cells


def test_a_batch_is_padded_outwards_and_marks_what_was_sampled() -> None:
    [chained] = sequences(episode(call((1, 2), (5,)), call((1, 2, 5, 3), (7,))))
    made = batch([chained, row((8,), 2.0, 0.5)], pad=0)
    assert made["prompt_ids"].tolist() == [[1, 2], [0, 1]] and made["prompt_mask"].tolist() == [[1, 1], [0, 1]]
    assert made["completion_ids"].tolist() == [[5, 3, 7], [8, 0, 0]]
    assert made["completion_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert made["tool_mask"].tolist() == [[1, 0, 1], [1, 0, 0]]
    assert torch.allclose(made["weights"], torch.tensor([[0.5, 0.0, 0.5], [0.5, 0.0, 0.0]]))
