"""The advisor: the regression it learns by, the house rule it starts from, the lever it picks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.agents import make_feedback_agent
from sia_tui.agents.advisor import RATE, SHAPE, AdvisorFeedbackAgent, advise, learn, prior, weigh
from sia_tui.core import events as ev
from sia_tui.core.pulls import FEATURES, LEVERS, Pull, Pulled, Seen, Turn, features, stalls
from sia_tui.core.recall import memory_of
from sia_tui.core.state import blind
from tests.agents.test_lever import SHOWN
from tests.agents.test_lever import blind as picks_blindly
from tests.agents.test_lever import given as record_of
from tests.agents.test_playbook import Given, reading
from tests.core.test_pulls import history
from tests.core.test_pulls import seen as evidence

SEEN = Seen(0.3, {"right": 30, "confused": 40, "not_in_sight": 30}, False)


def rows(lever: Pulled, pays: list[float], run: str = "other", minutes: float = 1.0) -> list[Pull]:
    now = features(lever, SEEN, ())
    return [
        Pull(f"{run}-{lever}-{n}", run, f"{n}", lever, now, pay * minutes, pay > 0, minutes)
        for n, pay in enumerate(pays)
    ]


@given(st.integers(1, 30), st.integers(0, 10**6))
def test_the_posterior_is_the_closed_form(n: int, seed: int) -> None:
    """By least squares over rows and prior together: the prior is as many rows more as there are features."""
    random = np.random.default_rng(seed)
    xs, ys = random.uniform(-1, 1, (n, len(FEATURES))), random.normal(size=n)
    before = prior("harness")
    after = learn(before, xs, ys)
    root = np.linalg.inv(np.linalg.cholesky(before.cov))
    stacked, aims = np.vstack([xs, root]), np.concatenate([ys, root @ before.mean])
    mean, *_ = np.linalg.lstsq(stacked, aims)
    np.testing.assert_allclose(after.mean, mean, atol=1e-8)
    np.testing.assert_allclose(after.cov, np.linalg.inv(stacked.T @ stacked), atol=1e-8)
    assert after.shape == SHAPE + n / 2
    assert after.rate == pytest.approx(RATE + np.sum((aims - stacked @ mean) ** 2) / 2)


@given(st.integers(2, 20), st.integers(0, 10**6), st.data())
def test_rows_may_come_one_after_the_other(n: int, seed: int, data: st.DataObject) -> None:
    random = np.random.default_rng(seed)
    xs, ys, cut = random.uniform(-1, 1, (n, len(FEATURES))), random.normal(size=n), data.draw(st.integers(1, n - 1))
    whole = learn(prior("weights"), xs, ys)
    parts = learn(learn(prior("weights"), xs[:cut], ys[:cut]), xs[cut:], ys[cut:])
    np.testing.assert_allclose(parts.mean, whole.mean, atol=1e-8)
    assert (parts.shape, parts.rate) == (whole.shape, pytest.approx(whole.rate))


@given(evidence, history, st.text(max_size=5))
def test_without_data_it_is_the_house_rule(given: Seen, so_far: list[Turn], seed: str) -> None:
    """The harness until it stalls more often than the weights, whatever else is seen."""
    count = {lever: min(3, stalls(turn for turn in so_far if turn.lever == lever)) for lever in LEVERS}
    advice = weigh((), given, so_far, seed=seed)
    assert advice.lever == ("weights" if count["weights"] < count["harness"] else "harness")
    assert advice.steps == 0 and [pay.minutes for pay in advice.pays] == [None, None]


@pytest.mark.parametrize(("better", "worse"), [LEVERS, LEVERS[::-1]])
def test_the_lever_that_pays_more_is_picked_ever_more_often(better: Pulled, worse: Pulled) -> None:
    def often(n: int) -> float:
        pulls = rows(better, [0.01, 0.07] * n) + rows(worse, [0.0, 0.05] * n)
        picked = [weigh(pulls, SEEN, (), seed=str(seed)).lever for seed in range(300)]
        return picked.count(better) / len(picked)

    shares = [often(n) for n in (1, 4, 20)]
    assert shares[0] < shares[1] < shares[2] and shares[2] > 0.95
    assert shares[0] < 0.98, "with little to go by the other one is tried too"


def test_a_lever_that_was_never_pulled_is_tried_all_the_same() -> None:
    picked = [weigh(rows("harness", [0.02] * 20), SEEN, (), seed=str(seed)).lever for seed in range(200)]
    assert 0.1 < picked.count("weights") / len(picked) < 0.6


def test_the_same_step_of_the_same_run_is_advised_alike() -> None:
    pulls = rows("harness", [0.02, 0.0]) + rows("weights", [0.03, 0.0])
    made = [weigh(pulls, SEEN, (), seed="r/3") for _ in range(3)]
    assert made[0] == made[1] == made[2]
    assert len({weigh(pulls, SEEN, (), seed=f"r/{n}").lever for n in range(30)}) == 2


def test_intervals_narrow_with_what_is_measured_and_are_in_the_pay_s_own_units() -> None:
    few, many = (weigh(rows("weights", [0.02, 0.04] * n), SEEN, ()).pays[1] for n in (2, 50))
    assert many.hi - many.lo < few.hi - few.lo and many.lo < 0.03 < many.hi
    assert many.mean == pytest.approx(0.03, abs=0.003)
    hours = weigh(rows("weights", [0.02 / 60, 0.04 / 60] * 50, minutes=60.0), SEEN, ()).pays[1]
    assert hours.mean == pytest.approx(many.mean / 60) and hours.minutes == 60.0


def test_a_lever_whose_step_would_outlast_the_budget_waits() -> None:
    pulls = rows("harness", [0.01] * 9) + rows("weights", [0.09] * 9, minutes=10.0)
    assert weigh(pulls, SEEN, (), left_min=30.0).lever == "weights"
    late = weigh(pulls, SEEN, (), left_min=5.0)
    assert late.lever == "harness" and late.why == "5 min are left for it"
    assert weigh(pulls, SEEN, (), left_min=0.5).lever == "weights", "where neither fits nobody waits"


def test_only_levers_of_the_run_are_advised() -> None:
    advice = weigh(rows("weights", [0.5] * 20), SEEN, (), levers=("harness",))
    assert advice.lever == "harness" and [pay.lever for pay in advice.pays] == ["harness"]


def remembering(record: Given, pulls: list[Pull]) -> Given:
    return replace(record, memory=memory_of("lawbench", pulls))


async def test_it_picks_the_lever_and_the_playbook_says_what_to_do_with_it() -> None:
    agent = make_feedback_agent("advisor", None)  # type: ignore[arg-type]
    assert isinstance(agent, AdvisorFeedbackAgent)
    assert (await agent.propose(record_of(picks_blindly()))).lever == "harness", "the house rule"
    paying = rows("weights", [0.3] * 40) + rows("harness", [0.0] * 40)
    made = await agent.propose(remembering(record_of(unread()), paying))
    assert made.lever == "weights" and made.plan is not None
    assert "The advisor: weights pays" in made.reason and "over 80 steps of 1 run" in made.reason
    other = rows("weights", [0.0] * 40) + rows("harness", [0.3] * 40)
    assert (await agent.propose(remembering(record_of(picks_blindly()), other))).lever == "harness"


def unread() -> list[Any]:
    """The playbook by itself would mend how replies are read."""
    return [reading(n, None, "no_answer", said="罪名：盗窃罪", shown=SHOWN) for n in range(40)] + picks_blindly()[:20]


async def test_where_there_is_nothing_to_do_with_its_lever_the_next_is_pulled() -> None:
    agent = AdvisorFeedbackAgent()
    strange = replace(record_of(picks_blindly()), files={"harness.py": "pass\n"})
    advice = advise(strange)
    assert advice is not None and advice.lever == "harness"
    assert (await agent.propose(strange)).lever == "weights"
    assert (await agent.propose(record_of(unread(), levers=()))).lever == "stop"
    assert advise(record_of(unread(), levers=())) is None


def test_nothing_of_hidden_or_test_moves_it() -> None:
    record = record_of(picks_blindly())
    found = record.state.generations[0].results
    for split in ("hidden", "test"):
        sealed = {**found, split: ev.Evaluated(0, split, 0.99, 0.9, 1.0, 800, 0.0, {"sealed": 3})}  # type: ignore[dict-item]
        state = replace(record.state, generations=(replace(record.state.generations[0], results=sealed),))
        assert advise(replace(record, state=state)) == advise(replace(record, state=blind(state))) == advise(record)
