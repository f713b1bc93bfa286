"""Which algorithm a pilot's rewards ask for: a few rules in order, of which the first that holds decides.

The rules are those of the SIA method (arXiv 2605.27276, section 7.3), which gives words and no numbers; the numbers here
are ours, each with its reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sia_tui.core.episodes import Scores
from sia_tui.core.plans import Algorithm, Pilot, TrainPlan, estimate
from sia_tui.core.proposals import Light
from sia_tui.core.rewards import Rewards, rewards
from sia_tui.core.starting import Change, house, starting

FEW_USEFUL = 0.5
"""Of the groups: below it most of what is rolled out teaches nothing that compares within a group."""
FEW_SUCCESSES = 2.0
"""In a group of a base without an adapter: what fewer than two pull up is one sample, picked by chance."""
DENSE = 0.5
"""Share of rewards between 0 and 1: at least every other rollout is told how far it came."""
SKEWED = 1.0
"""Skewness from which a distribution counts as highly skewed (Bulmer, Principles of Statistics, 1979)."""
HEAVY_TAIL = 3.0
"""Best tenth over the mean: an exponential distribution, the border between light and heavy tails, has 1 + ln 10 = 3.3."""
AT_STAKE = 0.5
"""Share of the cases that are solved already: above it more can be lost than won."""
SEVERAL_CALLS = 2.0
"""From here on an episode has steps that a value function can share its reward between."""
GRADES = 8
"""Different rewards, as many as a usual group has samples: from here on a place in the group tells less than the reward
itself, whose scale a value function keeps and GRPO's division by the group's spread throws away."""
NIGHT_S = 8 * 3600.0
"""On-policy rollouts are cheap if a whole training of them ends overnight."""

ONLY_RANKED = "only ranked"

VARIANTS: dict[Algorithm, str] = {
    "dr_grpo": "where replies differ much in length, or most cases are nearly always or never solved",
    "rloo": "with two to four samples a case, too few to tell a spread by",
}
"""What a person may pick in GRPO's place, and when: Dr. GRPO divides neither by a group's spread nor by a reply's length,
RLOO has the mean of the others for its baseline."""


@dataclass(frozen=True)
class Setting:
    """What the choice depends on beside the pilot."""

    adapter: bool
    """The incumbent was trained already."""
    scores: Scores = "absolute"
    """What the task says of its verifier's; that they only rank is told from the rewards as well."""


@dataclass(frozen=True)
class Ruling:
    """What one rule says of a pilot."""

    rule: str
    algorithm: Algorithm | None
    """What it leads to; None: to no training."""
    told: str
    """Its condition, each measured number beside its threshold."""
    holds: bool


@dataclass(frozen=True)
class Recommendation:
    algorithm: Algorithm | None
    """None: no algorithm can learn from this."""
    rule: str
    """The first that holds, by name."""
    because: str
    plan: TrainPlan | None
    """Where to start from."""
    changes: tuple[Change, ...]
    """What that differs in from the house's plan of the algorithm, and why."""
    rules: tuple[Ruling, ...]
    """All of them, in their order."""


@dataclass(frozen=True)
class _Seen:
    rewards: Rewards
    pilot: Pilot
    setting: Setting
    plans: Sequence[TrainPlan]

    @property
    def dense(self) -> bool:
        return self.rewards.partial >= DENSE

    @property
    def graded(self) -> str:
        return f"partial credit {_sided(self.rewards.partial, DENSE)}"


def recommend(pilot: Pilot, setting: Setting, plans: Sequence[TrainPlan]) -> Recommendation:
    """The algorithm to train by, and a plan that starts from the house's `plans`.

    With one sample a case nothing is known of groups: the rules that ask about them keep to what is left, and the plan is
    the house's own.
    Raises ValueError for a pilot without cases, rewards that are not finite, or no plans at all.
    """
    found = rewards(pilot)
    ranked = found.ranked or setting.scores == "ranked"
    seen = _Seen(replace(found, ranked=ranked), pilot, setting, plans)
    rulings = tuple(rule(seen) for rule in RULES)
    first = next(ruling for ruling in rulings if ruling.holds)
    if first.algorithm is None:
        return Recommendation(None, first.rule, f"{first.told}; {_remedy(seen.rewards)}", None, (), rulings)
    plan, changes = starting(first.algorithm, seen.rewards, seen.rewards.settled > AT_STAKE, plans)
    return Recommendation(first.algorithm, first.rule, first.told, plan, changes, rulings)


def light(plan: TrainPlan, advised: Recommendation) -> Light:
    """Whether a plan does as its pilot recommends; amber where not, for the person to weigh."""
    if advised.algorithm is None:
        return Light("algorithm", "amber", f"the pilot says that none can learn from this: {advised.because}")
    if advised.algorithm == plan.algorithm or (advised.algorithm == "grpo" and plan.algorithm in VARIANTS):
        return Light("algorithm", "ok", f"{plan.algorithm}, as the pilot recommends: {advised.rule}")
    return Light("algorithm", "amber", f"pilot recommends {advised.algorithm}: {advised.rule} ({advised.because})")


def _no_signal(seen: _Seen) -> Ruling:
    """Groups without a difference anywhere: nothing to compare, and clones of what it does anyway."""
    useful = seen.rewards.useful
    told = f"groups that differ {_share(useful)}, pass@1 {_share(seen.rewards.pass_1)}"
    return Ruling("no signal", None, told, useful == 0)


def _only_ranked(seen: _Seen) -> Ruling:
    told = "the task says so" if seen.setting.scores == "ranked" else "every group is paid the same values"
    return Ruling(ONLY_RANKED, "dpo", told if seen.rewards.ranked else "rewards are absolute", seen.rewards.ranked)


def _rare_large_wins(seen: _Seen) -> Ruling:
    """Two different rewards have no large win; groups that do not differ have nothing to weigh."""
    found, useful = seen.rewards, seen.rewards.useful
    holds = found.values > 2 and found.skew >= SKEWED and found.tail >= HEAVY_TAIL
    told = (
        f"{found.values} different rewards, skew {_sided(found.skew, SKEWED, '+.1f')}, best tenth "
        f"{_sided(found.tail, HEAVY_TAIL, '.1f')} × the mean, groups that differ {_sided(useful, FEW_USEFUL)}"
    )
    return Ruling("rare large wins", "entropic", told, holds and (useful is None or useful >= FEW_USEFUL))


def _hardly_passes(seen: _Seen) -> Ruling:
    """Partial credit is let by: it teaches before anything passes."""
    found = seen.rewards
    holds = found.samples > 1 and found.pass_n > 0 and found.expected < 1 and not seen.dense
    told = f"successes a group {_sided(found.expected, 1, '.1f')}, {seen.graded}"
    return Ruling("hardly anything passes", "best_of_n", told, holds)


def _cold_start(seen: _Seen) -> Ruling:
    """A base that picks blindly agrees with itself seldom and is right seldom."""
    found, useful = seen.rewards, seen.rewards.useful
    blind = useful is None or (found.pass_n > 0 and (useful < FEW_USEFUL or found.expected < FEW_SUCCESSES))
    told = (
        f"{'an' if seen.setting.adapter else 'no'} adapter, groups that differ {_sided(useful, FEW_USEFUL)}, successes a "
        f"group {_sided(found.expected, FEW_SUCCESSES, '.1f')}, {seen.graded}"
    )
    return Ruling("cold start", "best_of_n", told, not seen.setting.adapter and blind and not seen.dense)


def _dear(seen: _Seen) -> Ruling:
    """What is rolled out once and for all costs least: successes to clone, or else pairs."""
    hours, night = _rollout_hours(seen), NIGHT_S / 3600
    algorithm: Algorithm = "best_of_n" if seen.rewards.pass_n > 0 else "dpo"
    told = f"hours of rollouts {_sided(hours, night, '.2g')}"
    return Ruling("dear rollouts", algorithm, told, hours is not None and hours > night)


def _dense_at_risk(seen: _Seen) -> Ruling:
    settled = seen.rewards.settled
    told = f"{seen.graded}, solved already {_sided(settled, AT_STAKE)}"
    return Ruling("dense, much to lose", "reinforce_kl", told, seen.dense and settled > AT_STAKE)


def _dense(seen: _Seen) -> Ruling:
    """A value function has something to learn: how far single calls got, or a scale of rewards."""
    calls, values = seen.pilot.calls, seen.rewards.values
    told = (
        f"{seen.graded}, calls an episode {_sided(calls, SEVERAL_CALLS, '.1f')}, "
        f"different rewards {_sided(values, GRADES, 'd')}"
    )
    return Ruling("dense", "ppo", told, seen.dense and (calls >= SEVERAL_CALLS or values >= GRADES))


def _cheap(seen: _Seen) -> Ruling:
    hours, night = _rollout_hours(seen), NIGHT_S / 3600
    told = f"one reward an episode, hours of rollouts {_sided(hours, night, '.2g')}"
    return Ruling("cheap, end score", "grpo", told, hours is None or hours <= night)


RULES: tuple[Callable[[_Seen], Ruling], ...] = (
    _no_signal,
    _only_ranked,
    _rare_large_wins,
    _hardly_passes,
    _cold_start,
    _dear,
    # All that follow learn from fresh rollouts each step.
    _dense_at_risk,
    _dense,
    _cheap,
)


def _rollout_hours(seen: _Seen) -> float | None:
    """Of a GRPO training by the house's plan; side by side, as only a pilot is timed."""
    if seen.rewards.samples == 1:
        return None
    return estimate(house("grpo", seen.plans), seen.pilot, 0.0).seconds / 3600


def _remedy(found: Rewards) -> str:
    if found.pass_n == 0:
        return (
            "nothing passes and nothing is there to clone, so no algorithm can learn from it. What would help: the harness "
            f"first, easier cases, or more than {found.samples} samples a case"
        )
    if found.pass_1 == 1:
        return "everything passes, so nothing is left to learn here. What would help: harder cases"
    return (
        "what passes passes always and the rest never, so there is nothing to compare, and clones would repeat what it "
        f"does. What would help: more than {found.samples} samples a case, a higher temperature, or the harness"
    )


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{100 * value:.1f} %"


def _sided(value: float | None, threshold: float, form: str = "") -> str:
    """The measured number, and on which side of the threshold it lies."""
    if value is None:
        return "not measured"
    side = "<" if value < threshold else "=" if value == threshold else ">"
    if form:
        return f"{value:{form}} {side} {threshold:g}"
    return f"{100 * value:.1f} {side} {100 * threshold:g} %"
