"""Each estimator against a reference that shares no code with it."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.weights import advantages as adv

Rewards = list[list[float]]
paid = st.floats(-10, 10, width=16)


@st.composite
def groups(draw: st.DrawFn, least: int = 2) -> Rewards:
    samples = draw(st.integers(least, 6))
    return draw(st.lists(st.lists(paid, min_size=samples, max_size=samples), min_size=1, max_size=4))


def grpo(rewards: Rewards) -> Rewards:
    out = []
    for group in rewards:
        mean = sum(group) / len(group)
        spread = math.sqrt(sum((r - mean) ** 2 for r in group) / (len(group) - 1))
        out.append([(r - mean) / (spread + 1e-4) for r in group])
    return out


def dr_grpo(rewards: Rewards) -> Rewards:
    return [[r - sum(group) / len(group) for r in group] for group in rewards]


def rloo(rewards: Rewards) -> Rewards:
    return [[r - (sum(group) - r) / (len(group) - 1) for r in group] for group in rewards]


def reinforce(rewards: Rewards) -> Rewards:
    flat = [r for group in rewards for r in group]
    return [[r - (sum(flat) - r) / (len(flat) - 1) for r in group] for group in rewards]


REFERENCES: list[tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[Rewards], Rewards]]] = [
    (adv.grpo, grpo),
    (adv.dr_grpo, dr_grpo),
    (adv.rloo, rloo),
    (adv.reinforce, reinforce),
]
ALL = [adv.grpo, adv.dr_grpo, adv.rloo, adv.reinforce, adv.entropic]


@pytest.mark.parametrize(("estimator", "reference"), REFERENCES, ids=lambda f: f.__name__)
@given(rewards=groups())
def test_it_is_its_formula(
    estimator: Callable[[torch.Tensor], torch.Tensor], reference: Callable[[Rewards], Rewards], rewards: Rewards
) -> None:
    found = estimator(torch.tensor(rewards))
    assert torch.allclose(found, torch.tensor(reference(rewards), dtype=torch.float64), atol=1e-9)


@settings(deadline=None)
@given(rewards=groups(3))
def test_entropic_is_its_formula_at_the_beta_whose_kl_is_ln_2(rewards: Rewards) -> None:
    tensor = torch.tensor(rewards, dtype=torch.float64)
    betas, found = adv.entropic_beta(tensor), adv.entropic(tensor)
    for group, beta, row in zip(rewards, betas.tolist(), found.tolist(), strict=True):
        if max(group) == min(group):
            assert beta == 0 and row == [0.0] * len(group)
            continue
        if math.log(len(group) / group.count(max(group))) > math.log(2) + 1e-6:
            assert beta == 1e6 or kl_to_uniform(group, beta) == pytest.approx(math.log(2), abs=1e-6)
        else:
            assert kl_to_uniform(group, beta) <= math.log(2) + 1e-6
        e = [math.exp(max(-700.0, beta * (r - max(group)))) for r in group]
        for place, value in enumerate(row):
            others = sum(e[:place] + e[place + 1 :]) / (len(group) - 1)
            assert value == pytest.approx(e[place] / (others + 1e-12) - 1, rel=1e-6, abs=1e-6)


def kl_to_uniform(group: list[float], beta: float) -> float:
    e = [math.exp(max(-700.0, beta * (r - max(group)))) for r in group]
    q = [value / sum(e) for value in e]
    return sum(p * math.log(p * len(group)) for p in q if p > 0)


def test_entropic_in_closed_form() -> None:
    """Of four, one paid: q = (a, b, b, b) with KL = ln 2 gives e of the unpaid by hand, here solved by Newton's method."""
    t = 0.1
    for _ in range(50):
        z = 1 + 3 * t
        kl = math.log(4) - math.log(z) + 3 * t * math.log(t) / z
        slope = 3 * math.log(t) / z**2
        t -= (kl - math.log(2)) / slope
    found = adv.entropic(torch.tensor([[1.0, 0.0, 0.0, 0.0]]))[0].tolist()
    assert found[0] == pytest.approx(1 / t - 1, rel=1e-5)
    assert found[1:] == pytest.approx([t / ((1 + 2 * t) / 3) - 1] * 3, rel=1e-5)


@settings(deadline=None)
@given(rewards=groups(3), shift=paid, scale=st.sampled_from([0.5, 2.0, 8.0]))
def test_what_a_shift_or_scale_of_the_rewards_does(rewards: Rewards, shift: float, scale: float) -> None:
    tensor = torch.tensor(rewards, dtype=torch.float64)
    for estimator in ALL:
        assert torch.allclose(estimator(tensor + shift), estimator(tensor), rtol=1e-4, atol=1e-4)
    for estimator in (adv.dr_grpo, adv.rloo, adv.reinforce):
        assert torch.allclose(estimator(tensor * scale), estimator(tensor) * scale, atol=1e-9)


@pytest.mark.parametrize("estimator", ALL, ids=lambda f: f.__name__)
def test_equal_rewards_teach_exactly_nothing(estimator: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert estimator(torch.full((3, 5), 0.1)).tolist() == [[0.0] * 5] * 3


@pytest.mark.parametrize("estimator", ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("wrong", [[[1.0, math.nan, 0.0]], [[math.inf, 0.0, 1.0]], [[]], [1.0, 0.0]])
def test_what_is_no_reward_is_refused(estimator: Callable[[torch.Tensor], torch.Tensor], wrong: object) -> None:
    with pytest.raises(ValueError, match="rewards must be"):
        estimator(torch.tensor(wrong) if wrong != [[]] else torch.zeros(1, 0))


@pytest.mark.parametrize("estimator", [e for e in ALL if e is not adv.reinforce], ids=lambda f: f.__name__)
def test_a_group_of_one_has_nothing_to_be_compared_with(estimator: Callable[[torch.Tensor], torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="a group needs at least"):
        estimator(torch.tensor([[1.0], [0.0]]))


def test_two_are_too_few_for_entropic_weights() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        adv.entropic(torch.tensor([[1.0, 0.0]]))


def test_reinforce_compares_with_the_whole_step() -> None:
    assert adv.reinforce(torch.tensor([[1.0], [0.0]])).tolist() == [[1.0], [-1.0]]
    assert adv.reinforce(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))[0, 0] > 0
    with pytest.raises(ValueError, match="one episode"):
        adv.reinforce(torch.tensor([[1.0]]))


series = st.lists(st.tuples(paid, paid), min_size=1, max_size=6)


@given(st.lists(series, min_size=1, max_size=3), st.sampled_from([0.9, 1.0]), st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_gae_is_the_discounted_sum_of_deltas(
    episodes: list[list[tuple[float, float]]], gamma: float, lam: float
) -> None:
    longest = max(map(len, episodes))
    laid = torch.zeros(3, len(episodes), longest)
    for place, episode in enumerate(episodes):
        laid[:, place, : len(episode)] = torch.tensor([[r, v, 1.0] for r, v in episode]).T
        laid[:2, place, len(episode) :] = 7.0  # what lies outside the mask must not matter
        laid[0, place, len(episode) :] = 0.0
    found = adv.gae(*laid, gamma, lam)
    for place, episode in enumerate(episodes):
        values = [v for _, v in episode] + [0.0]
        deltas = [r + gamma * values[t + 1] - values[t] for t, (r, _) in enumerate(episode)]
        for t in range(len(episode)):
            wanted = sum((gamma * lam) ** (at - t) * deltas[at] for at in range(t, len(episode)))
            assert float(found[place, t]) == pytest.approx(wanted, abs=1e-5)
        assert not found[place, len(episode) :].any()


def test_gae_refuses_what_is_no_number_and_shapes_that_differ() -> None:
    good = torch.ones(1, 2)
    with pytest.raises(ValueError, match="finite"):
        adv.gae(good * math.nan, good, good, 1.0, 1.0)
    with pytest.raises(ValueError, match="shapes"):
        adv.gae(good, torch.ones(1, 3), good, 1.0, 1.0)


def test_shaping_pulls_towards_the_base_and_adds_nothing_on_the_whole() -> None:
    logps, base = torch.tensor([[-0.1, -2.0, 0.0]]), torch.tensor([[-1.0, -1.0, 0.0]])
    weights = torch.tensor([[0.25, 0.75, 0.0]])
    found = adv.shaped(logps, base, weights, 0.5, 0.0)
    assert found[0, 0] < 0 < found[0, 1] and found[0, 2] == 0
    assert float((found * weights).sum()) == pytest.approx(0, abs=1e-6)
    spread = adv.shaped(logps, base, weights, 0.0, 0.1)
    assert spread[0, 0] < 0 < spread[0, 1]


def test_shaping_is_the_gradient_of_kl_and_entropy() -> None:
    """Over a whole distribution: sum p A grad log p equals the gradient of -kl KL(p || base) + c H(p)."""
    torch.manual_seed(0)
    raw, base = torch.randn(6, dtype=torch.float64, requires_grad=True), torch.randn(6, dtype=torch.float64)
    logp, logbase = raw.log_softmax(0), base.log_softmax(0)
    p = logp.exp()
    wanted = torch.autograd.grad(-0.3 * (p * (logp - logbase)).sum() - 0.2 * (p * logp).sum(), raw, retain_graph=True)
    weights = p.detach()[None]
    gains = adv.shaped(logp.detach()[None], logbase[None], weights, 0.3, 0.2)
    found = torch.autograd.grad((weights[0] * gains[0] * logp).sum(), raw)
    assert torch.allclose(found[0], wanted[0], atol=1e-10)
