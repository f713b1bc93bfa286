"""The losses against a reference written by other means, and the laws that they and the split keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import poisson
from sklearn.metrics import mean_squared_error
from sklearn.preprocessing import normalize

from sia_tui.tasks.denoise import protocol
from sia_tui.tasks.denoise.nulls import magic
from sia_tui.tasks.denoise.protocol import fault, judge, measure, split_molecules
from sia_tui.tasks.denoise.simulator import Tissue


def reference_mse(test: np.ndarray, denoised: np.ndarray) -> float:
    """By scikit-learn: rows to an L1 norm of 1e4, log1p, mean squared error."""
    scaled = [np.log1p(normalize(np.asarray(values, dtype=float), norm="l1") * 10000) for values in (test, denoised)]
    return float(mean_squared_error(*scaled))


def reference_poisson(train: np.ndarray, test: np.ndarray, denoised: np.ndarray) -> float:
    """Entry by entry, in plain Python, the logarithm being the held-out count's."""
    factor = sum(map(sum, test.tolist())) / sum(map(sum, train.tolist()))
    terms = [
        held - answer * factor * math.log(held + 1e-6)
        for held_row, answer_row in zip(test.tolist(), denoised.tolist(), strict=True)
        for held, answer in zip(held_row, answer_row, strict=True)
    ]
    return math.fsum(terms) / len(terms)


@st.composite
def splits(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train, test and an answer; no cell is empty, and the two sides are not the same cell by cell."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(2, 12)), draw(st.integers(3, 20)))
    train = rng.poisson(draw(st.floats(0.3, 8.0)), shape)
    test = rng.poisson(draw(st.floats(0.2, 3.0)), shape)
    rows = np.arange(shape[0])
    train[rows, 0] += 1
    test[rows, 1] += 2
    return train, test, rng.gamma(1.0, 2.0, shape) + 1e-3


@given(splits())
def test_the_losses_are_the_references(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    train, test, answer = drawn
    assert protocol.mse(test, answer) == pytest.approx(reference_mse(test, answer), rel=1e-9)
    assert protocol.poisson(train, test, answer) == pytest.approx(reference_poisson(train, test, answer), rel=1e-9)


@given(splits())
def test_no_denoising_is_0_and_the_held_out_counts_are_1(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    train, test, _ = drawn
    nothing, perfect = measure(train, test, train.astype(float)), measure(train, test, test.astype(float))
    for name in ("mse_norm", "poisson_norm"):
        assert nothing[name] == pytest.approx(0.0, abs=1e-9)
        assert perfect[name] == pytest.approx(1.0, abs=1e-9)


@given(splits())
def test_the_likelihood_is_told_from_the_mean_profile(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """A Poisson's own, by scipy, on answers of the right total; the mean profile is 1, no denoising 0 or its mirror."""
    train, test, answer = drawn
    profile = np.array([[row.sum() * column.sum() for column in train.T] for row in train]) / train.sum()
    losses = []
    for values in (train, profile, answer):
        scaled = values * (test.sum() / values.sum()) + 1e-6
        losses.append(-poisson.logpmf(test, scaled).mean() - gammaln(test + 1).mean() - 1e-6)
    assume(abs(losses[0] - losses[1]) > 1e-9)
    assert measure(train, test, profile)["likelihood_norm"] == pytest.approx(1.0, abs=1e-9)
    assert measure(train, test, train.astype(float))["likelihood_norm"] == pytest.approx(
        0 if losses[0] > losses[1] else 2
    )
    expected = 1 - (losses[2] - losses[1]) / abs(losses[0] - losses[1])
    assert measure(train, test, answer)["likelihood_norm"] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(splits(), st.floats(1e-6, 1e3))
def test_size_changes_the_published_poisson_loss_alone(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray], factor: float
) -> None:
    """It is linear in the answer, through mean(test) at nothing: an answer is as good for it as it is small."""
    train, test, answer = drawn
    one, other = measure(train, test, answer), measure(train, test, answer * factor)
    assert other["mse_norm"] == pytest.approx(one["mse_norm"], abs=1e-6)
    assert other["likelihood_norm"] == pytest.approx(one["likelihood_norm"], rel=1e-6, abs=1e-6)
    at_nothing = test.mean()
    expected = at_nothing + factor * (protocol.poisson(train, test, answer) - at_nothing)
    assert protocol.poisson(train, test, answer * factor) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(splits())
def test_answers_near_one_value_of_the_published_rule_as_they_shrink(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    train, test, answer = drawn
    limit = protocol.vanishing_norm(train, test)
    assert measure(train, test, answer * 1e-12)["poisson_norm"] == pytest.approx(limit, rel=1e-6, abs=1e-6)


def test_the_published_rule_tells_small_answers_from_large_ones_and_not_good_from_bad(tissue: Tissue) -> None:
    assert tissue.rates is not None
    rates = tissue.rates * tissue.train.sum(axis=1, keepdims=True)
    truth = measure(tissue.train, tissue.test, rates)
    assert abs(truth["poisson_norm"]) < 0.3, "the true rates stand where no denoising does"
    assert measure(tissue.train, tissue.test, rates * 1e-3)["poisson_norm"] > 0.97
    assert measure(tissue.train, tissue.test, magic(tissue.train))["poisson_norm"] > 0.97
    assert measure(tissue.train, tissue.test, magic(tissue.train, reverse=False))["poisson_norm"] < 0.97
    assert measure(tissue.train, tissue.test, np.full(tissue.train.shape, 1e-6))["poisson_norm"] > 0.97


def test_nothing_predicts_held_out_molecules_better_than_the_true_rates(tissue: Tissue) -> None:
    assert tissue.rates is not None
    rates = tissue.rates * tissue.train.sum(axis=1, keepdims=True)
    true = measure(tissue.train, tissue.test, rates)["likelihood_norm"]
    mean = np.repeat(tissue.train.mean(axis=0, keepdims=True), len(tissue.train), axis=0)
    rivals = (tissue.train.astype(float), magic(tissue.train), magic(tissue.train, reverse=False), mean, rates**2)
    assert all(measure(tissue.train, tissue.test, rival)["likelihood_norm"] < true for rival in rivals)


def test_a_split_keeps_every_molecule_and_sends_nine_in_ten_to_train() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(20.0, (200, 100))
    train, test = split_molecules(counts, rng)
    assert ((train >= 0) & (test >= 0)).all() and (train + test == counts).all()
    share = train.sum() / counts.sum()
    assert abs(share - 0.9) < 4 * math.sqrt(0.09 / counts.sum())
    expected = 0.09 * counts.sum()
    assert ((train - 0.9 * counts) ** 2).sum() == pytest.approx(expected, rel=0.05), "each molecule falls by itself"


@pytest.mark.parametrize("counts", [[[0.5, 1.0]], [[-1, 2]], [[float("nan"), 1.0]], [1, 2]])
def test_what_is_no_count_is_not_split(counts: object) -> None:
    with pytest.raises(ValueError, match="integers"):
        split_molecules(np.asarray(counts), np.random.default_rng(0))


def test_every_illegal_answer_has_its_failure_kind(small: Tissue) -> None:
    good = magic(small.train)
    changed = {kind: good.copy() for kind in ("nan", "infinite", "negative", "over_large", "empty")}
    changed["nan"][3, 4] = np.nan
    changed["infinite"][3, 4] = np.inf
    changed["negative"][3, 4] = -1e-300
    changed["over_large"][3, 4] = small.train.sum() * 1.01
    changed["empty"][3] = 0.0
    wrong: dict[str, list[object]] = {kind: [values] for kind, values in changed.items()}
    wrong["shape"] = [good.T, good[:-1], good.ravel(), good[None]]
    wrong["dtype"] = [good.astype(object), good.astype(complex), good > 0, good.tolist(), None, good.astype("U8")]
    wrong["empty"] += [good * 1e-300, np.zeros_like(good), good.astype(np.float64) * 0]
    for kind, answers in wrong.items():
        for answer in answers:
            assert fault(small.train, answer) == kind
            verdict = judge(small.train, small.test, answer)
            assert (verdict["reward"], verdict["failure"]) == (0.0, kind)
    assert fault(small.train, good) is None
    assert fault(small.train, good.astype(np.float32)) is None
    assert fault(small.train, small.train) is None


def test_negative_zero_is_zero(small: Tissue) -> None:
    good = magic(small.train)
    signed = np.where(good < np.median(good), -0.0, good)
    plain = np.where(good < np.median(good), 0.0, good)
    assert judge(small.train, small.test, signed) == judge(small.train, small.test, plain)


def test_the_reward_is_mse_norm_where_both_floors_hold(tissue: Tissue) -> None:
    small, large = magic(tissue.train), magic(tissue.train, reverse=False)
    paid = judge(tissue.train, tissue.test, small)
    assert paid["failure"] is None and paid["reward"] == paid["metrics"]["mse_norm"] > 0
    assert judge(tissue.train, tissue.test, large)["failure"] == "poisson"
    peaked = judge(tissue.train, tissue.test, small**3)
    assert (peaked["reward"], peaked["failure"]) == (0.0, "likelihood")
    assert peaked["metrics"]["mse_norm"] > paid["reward"], "the published loss would pay more for it"
    assert judge(tissue.train, tissue.test, tissue.train * 1e-6)["failure"] == "no_gain"


@settings(max_examples=30)
@given(splits())
def test_a_reward_is_a_share(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    train, test, answer = drawn
    assert 0.0 <= judge(train, test, answer)["reward"] <= 1.0
