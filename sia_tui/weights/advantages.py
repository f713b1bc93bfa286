"""Advantage estimators: pure functions from rewards to what each episode, or each sampled token, is worth.

Rewards are `(groups, samples)`: a row holds the episodes of one case under one adapter. Everything is computed and
returned in float64. An estimator raises ValueError for a reward that is not finite, for no rewards at all, and, where it
compares an episode with the others of its group, for groups of one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPSILON = 1e-4
"""Added to the spread that rewards are divided by, as TRL does."""
TARGET_KL = math.log(2)
"""Of entropic weighting: how far the weights may be from even, in nats."""
LARGEST_BETA = 1e6
BISECTIONS = 60
TINY = 1e-12


def checked(rewards: Tensor, least: int = 2) -> Tensor:
    """The rewards in float64, once they are `(groups, samples)` with at least `least` samples, and finite."""
    if rewards.dim() != 2 or not rewards.numel():
        raise ValueError(f"rewards must be (groups, samples), got {tuple(rewards.shape)}")
    if rewards.shape[1] < least:
        raise ValueError(f"a group needs at least {least} episodes to be compared with, got {rewards.shape[1]}")
    if not bool(torch.isfinite(rewards).all()):
        raise ValueError("rewards must be finite numbers")
    return rewards.double()


def spread(rewards: Tensor) -> Tensor:
    """Which groups have rewards that differ: `(groups,)` of bool. The others teach a comparison nothing."""
    paid = checked(rewards, least=1)
    return paid.amax(1) > paid.amin(1)


def _where_spread(rewards: Tensor, advantages: Tensor) -> Tensor:
    """Exactly zero for groups whose rewards are equal, whatever rounding left."""
    return torch.where(spread(rewards)[:, None], advantages, torch.zeros_like(advantages))


def grpo(rewards: Tensor) -> Tensor:
    """A_i = (r_i - mean(r)) / (std(r) + EPSILON) inside a group.

    Shao et al. 2024 (arXiv 2402.03300), section 4.1.2; std with Bessel's correction, as in TRL 1.16.
    """
    paid = checked(rewards)
    centred = paid - paid.mean(1, keepdim=True)
    return _where_spread(rewards, centred / (paid.std(1, keepdim=True) + EPSILON))


def dr_grpo(rewards: Tensor) -> Tensor:
    """A_i = r_i - mean(r) inside a group: no division by the spread, which favours cases that are nearly settled.

    Liu et al. 2025 (arXiv 2503.20783), section 3.2. Its other half, a constant in place of an answer's own length, is
    in how tokens are weighted (`groups.Weighting`).
    """
    paid = checked(rewards)
    return _where_spread(rewards, paid - paid.mean(1, keepdim=True))


def rloo(rewards: Tensor) -> Tensor:
    """A_i = r_i - mean of the group's other rewards: REINFORCE with a baseline that leaves the episode itself out.

    Kool et al. 2019; Ahmadian et al. 2024 (arXiv 2402.14740), equation 9.
    """
    paid = checked(rewards)
    others = (paid.sum(1, keepdim=True) - paid) / (paid.shape[1] - 1)
    return _where_spread(rewards, paid - others)


def reinforce(rewards: Tensor) -> Tensor:
    """A_i = r_i - mean of all other rewards of the step, whichever case they are of.

    Williams 1992; the KL to the base that goes with it (r - alpha KL) is taken off token by token, see `shaped`. Groups of
    one will do, one episode alone will not.
    """
    paid = checked(rewards, least=1)
    if paid.numel() < 2:
        raise ValueError("a step of one episode has nothing to be compared with")
    others = (paid.sum() - paid) / (paid.numel() - 1)
    advantages = paid - others
    return advantages if bool(paid.max() > paid.min()) else torch.zeros_like(advantages)


def entropic(rewards: Tensor) -> Tensor:
    """A_i = e_i / (mean of the others' e) - 1 with e = exp(beta (r - max r)): the large wins of a group carry it.

    TTT-Discover (arXiv 2601.16175): beta is each group's own, see `entropic_beta`; the normaliser leaves the episode out.
    Groups whose rewards are equal get zero. Groups are of three at least: of two, ln 2 is reached by no finite beta, and
    the better one would be worth any number.
    """
    paid = checked(rewards, least=3)
    scaled = torch.exp(entropic_beta(rewards)[:, None] * (paid - paid.amax(1, keepdim=True)))
    others = (scaled.sum(1, keepdim=True) - scaled) / (paid.shape[1] - 1)
    return _where_spread(rewards, scaled / (others + TINY) - 1)


def entropic_beta(rewards: Tensor) -> Tensor:
    """`(groups,)`: the beta of each group at which KL(softmax(beta r) || uniform) = ln 2, by doubling, then bisection.

    The KL grows with beta towards ln(samples / number of episodes that share the best reward); where that is below ln 2
    beta is the largest tried, and where rewards are equal it is zero.
    """
    paid = checked(rewards, least=3)
    low, high = torch.zeros_like(paid[:, 0]), torch.ones_like(paid[:, 0])
    while bool((short := (_kl_to_uniform(paid, high) < TARGET_KL) & (high < LARGEST_BETA)).any()):
        high = torch.where(short, high * 2, high)
    high = high.clamp(max=LARGEST_BETA)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = _kl_to_uniform(paid, middle) < TARGET_KL
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.where(spread(rewards), high, torch.zeros_like(high))


def _kl_to_uniform(paid: Tensor, beta: Tensor) -> Tensor:
    """sum_i q_i (log q_i + log K) for q = softmax(beta r), by group."""
    logq = torch.log_softmax(beta[:, None] * paid, dim=1)
    return (logq.exp() * (logq + math.log(paid.shape[1]))).sum(1)


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float) -> Tensor:
    """A_t = sum_l (gamma lambda)^l delta_{t+l}, delta_t = r_t + gamma V_{t+1} - V_t: `(episodes, tokens)`, all of them.

    Schulman et al. 2016 (arXiv 1506.02438), equation 16. `rewards` are what each token was paid, `values` what was
    expected before it; after an episode's last token (`mask` is 1 up to it) nothing is expected. Zero outside the mask.
    Raises ValueError for shapes that differ and for what is not finite.
    """
    if not rewards.shape == values.shape == mask.shape or rewards.dim() != 2:
        raise ValueError(f"shapes differ: {tuple(rewards.shape)}, {tuple(values.shape)}, {tuple(mask.shape)}")
    if not bool(torch.isfinite(rewards).all() and torch.isfinite(values).all()):
        raise ValueError("rewards and values must be finite numbers")
    paid, expected, inside = rewards.double(), values.double() * mask, mask.double()
    advantages = torch.zeros_like(paid)
    later = expected_next = torch.zeros_like(paid[:, 0])
    for place in reversed(range(paid.shape[1])):
        delta = paid[:, place] + gamma * expected_next - expected[:, place]
        later = (delta + gamma * gae_lambda * later) * inside[:, place]
        advantages[:, place], expected_next = later, expected[:, place]
    return advantages


def shaped(logps: Tensor, base_logps: Tensor, weights: Tensor, kl: float, entropy: float) -> Tensor:
    """What the KL to the base and the entropy bonus add to each token's advantage: `(batch, tokens)`.

    mean(x) - x for x = kl (log p - log p_base) + entropy log p, the mean over all tokens by their weights: in expectation
    the gradient of -kl KL(p || p_base) + entropy H(p) over the token's own choice, as TTT-Discover does it for the KL.
    """
    cost = kl * (logps - base_logps) + entropy * logps
    total = weights.sum()
    mean = (cost * weights).sum() / total if bool(total > 0) else torch.zeros((), dtype=cost.dtype)
    return torch.where(weights > 0, mean - cost, torch.zeros_like(cost))
