"""From constructed pilots: each rule fires where the method says so, and the numbers under it are what brute force finds."""

from __future__ import annotations

import itertools
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.config import load_config
from sia_tui.core import codec
from sia_tui.core import events as ev
from sia_tui.core.advice import page, text
from sia_tui.core.choosing import RULES, Setting, light, recommend
from sia_tui.core.fold import advance
from sia_tui.core.loop import auto_verdict
from sia_tui.core.plans import ALGORITHMS, Algorithm, Pilot, Rehearsal, TrainPlan
from sia_tui.core.proposals import Light, Proposal
from sia_tui.core.rewards import pass_at, rewards
from sia_tui.core.starting import DPO_BETA, KL, MOST_SAMPLES, house
from sia_tui.core.state import Generation, State, Step

CLONING = TrainPlan("best_of_n", 40, 32, 8, 400, 80, 1e-3)
GRPO = TrainPlan("grpo", 20, 16, 8, 2000, 80, 1e-3, eval_every=5)
PLANS = (CLONING, GRPO)
BASE, TRAINED = Setting(adapter=False), Setting(adapter=True)


def pilot(groups: Sequence[Sequence[float]], solves: float = 1.0, calls: float = 1.0, seconds: float = 0.01) -> Pilot:
    """Of these rewards; a case is solved by `solves` or more."""
    samples = len(groups[0])
    counts = [sum(reward >= solves for reward in group) for group in groups]
    return Pilot(
        n=len(groups),
        samples=samples,
        solved=tuple(counts.count(k) for k in range(samples + 1)),
        useful=sum(len(set(group)) > 1 for group in groups) / len(groups),
        seconds=seconds,
        tokens=300.0,
        rewards=tuple(map(tuple, groups)),
        sampled=6.0,
        calls=calls,
        episode_s=0.3,
    )


def solved(*counts: int, samples: int = 8) -> Pilot:
    """Paid 0 or 1: so many cases solved in none of the samples, in one, in two."""
    groups = [(1.0,) * k + (0.0,) * (samples - k) for k, count in enumerate(counts) for _ in range(count)]
    return pilot(groups)


def graded(low: float, high: float, seed: int = 1) -> list[list[float]]:
    draw = random.Random(seed)
    return [[draw.uniform(low, high) for _ in range(8)] for _ in range(40)]


RARE = [[0.0] * 3 + [0.01, 0.02, 0.02, 0.03, 0.9 + number / 1000] for number in range(40)]
LADDER = [random.Random(number).sample([0.0, 0.25, 0.5, 0.75], 4) for number in range(40)]
DENSE, ABLE = graded(0.1, 0.9), graded(0.4, 0.9)
MARKS = [[round(5 * reward) / 5 for reward in group] for group in DENSE]
"""Partial credit in fifths."""


@pytest.mark.parametrize(
    ("seen", "setting", "algorithm", "rule"),
    [
        (solved(37, 3), BASE, "best_of_n", "hardly anything passes"),
        (solved(37, 3), TRAINED, "best_of_n", "hardly anything passes"),
        (solved(24, 2, 2, 2, 2, 2, 2, 2, 2), BASE, "best_of_n", "cold start"),
        (solved(10, 3, 4, 5, 4, 3, 3, 2, 6), BASE, "grpo", "cheap, end score"),
        (solved(20, 2, 2, 2, 2, 2, 2, 2, 6), TRAINED, "grpo", "cheap, end score"),
        (pilot(LADDER), BASE, "dpo", "only ranked"),
        (pilot(DENSE), replace(BASE, scores="ranked"), "dpo", "only ranked"),
        (pilot(RARE, solves=0.5), BASE, "entropic", "rare large wins"),
        (pilot(ABLE, solves=0.5), TRAINED, "reinforce_kl", "dense, much to lose"),
        (pilot(ABLE, solves=0.5, calls=4), TRAINED, "reinforce_kl", "dense, much to lose"),
        (pilot(DENSE), BASE, "ppo", "dense"),
        (pilot(MARKS, calls=4), BASE, "ppo", "dense"),
        (pilot(MARKS), BASE, "grpo", "cheap, end score"),
        (pilot(solved(10, 3, 4, 5, 4, 3, 3, 2, 6).rewards, seconds=60), TRAINED, "best_of_n", "dear rollouts"),
        (pilot(DENSE, seconds=60), TRAINED, "dpo", "dear rollouts"),
        (pilot(ABLE, solves=0.5, seconds=60), TRAINED, "best_of_n", "dear rollouts"),
    ],
)
def test_each_rule_fires_where_the_method_says_so(
    seen: Pilot, setting: Setting, algorithm: Algorithm, rule: str
) -> None:
    advised = recommend(seen, setting, PLANS)
    assert (advised.algorithm, advised.rule) == (algorithm, rule)
    assert advised.plan is not None and advised.plan.algorithm == algorithm
    assert next(ruling for ruling in advised.rules if ruling.holds).told == advised.because
    assert len(advised.rules) == len(RULES) and all(ruling.told for ruling in advised.rules)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (solved(40), "the harness first, easier cases, or more than 8 samples"),
        (solved(0, 0, 0, 0, 0, 0, 0, 0, 40), "everything passes"),
        (solved(20, 0, 0, 0, 0, 0, 0, 0, 20), "passes always and the rest never"),
    ],
)
@pytest.mark.parametrize("setting", [BASE, TRAINED, Setting(False, "ranked")])
def test_where_nothing_can_be_learned_it_says_so_and_what_would_help(seen: Pilot, said: str, setting: Setting) -> None:
    advised = recommend(seen, setting, PLANS)
    assert advised.algorithm is None and advised.plan is None and said in advised.because
    assert light(GRPO, advised).level == "amber"


def test_partial_credit_teaches_before_anything_passes() -> None:
    advised = recommend(pilot(DENSE), BASE, PLANS)
    assert rewards(pilot(DENSE)).pass_n == 0 and advised.algorithm == "ppo"


def test_equal_wins_are_never_large_ones() -> None:
    """Rewards of 0 and 1 are as skewed as they are sparse, and there is nothing in them to weigh."""
    seen = solved(14, 12, 14)
    assert rewards(seen).skew > 1 and rewards(seen).tail > 3 and rewards(seen).useful == 26 / 40
    assert recommend(seen, TRAINED, PLANS).algorithm == "grpo"


NANO = load_config(Path(__file__).parents[2] / "configs" / "lawbench-nano.yaml").weights.plans(0)
BLIND = solved(22, 11, 4, 2, 1)
"""As measured before the first training: pass@1 9 %, pass@8 45 %, no group always solved."""
CLONED = solved(8, 5, 4, 3, 3, 3, 4, 4, 6)


def test_the_nano_run_is_told_to_clone_first_and_then_grpo() -> None:
    assert BLIND.pass_1 == pytest.approx(0.09, abs=0.01) and BLIND.pass_n == pytest.approx(0.45)
    assert recommend(BLIND, BASE, NANO).algorithm == "best_of_n"
    assert (
        light(next(plan for plan in NANO if plan.algorithm == "best_of_n"), recommend(BLIND, BASE, NANO)).level == "ok"
    )
    assert CLONED.pass_1 == pytest.approx(0.5, abs=0.05)
    advised = recommend(CLONED, TRAINED, NANO)
    assert advised.algorithm == "grpo" and advised.changes == ()
    assert advised.plan == next(plan for plan in NANO if plan.algorithm == "grpo")


@pytest.mark.parametrize(
    ("blind", "cloned"),
    [
        ((20, 15, 4, 1, 0, 0, 0, 0, 0), (12, 3, 2, 1, 3, 3, 6, 7, 3)),
        ((9, 6, 2, 2, 0, 0, 1, 0, 0), (10, 1, 3, 1, 2, 1, 1, 1, 0)),
    ],
    ids=["lawbench-nano", "lawbench-nano-quick"],
)
def test_pilots_as_runs_have_logged_them_are_told_the_same(blind: tuple[int, ...], cloned: tuple[int, ...]) -> None:
    """Before the cold start and after it, default seeds."""
    assert recommend(solved(*blind), BASE, NANO).algorithm == "best_of_n"
    assert recommend(solved(*cloned), TRAINED, NANO).algorithm == "grpo"


def test_a_plan_is_changed_only_where_a_measurement_says_so_and_says_which() -> None:
    few = recommend(solved(37, 3), BASE, PLANS)
    assert few.plan == replace(CLONING, samples=MOST_SAMPLES) and few.changes[0].field == "samples"
    assert recommend(BLIND, BASE, PLANS).plan == replace(CLONING, samples=12)
    held = recommend(pilot(ABLE, solves=0.5), TRAINED, PLANS)
    assert held.plan == replace(GRPO, algorithm="reinforce_kl", kl=KL)
    assert "solved already" in held.changes[0].why
    own = replace(GRPO, algorithm="reinforce_kl", kl=0.1, steps=7)
    assert recommend(pilot(ABLE, solves=0.5), TRAINED, (*PLANS, own)).plan == own
    pairs = recommend(pilot(LADDER), BASE, PLANS)
    assert pairs.plan == replace(CLONING, algorithm="dpo", kl=DPO_BETA)
    wins = recommend(pilot(RARE, solves=0.5), BASE, PLANS)
    assert wins.plan == replace(GRPO, algorithm="entropic", samples=10)


def test_one_sample_a_case_knows_no_groups_and_changes_no_number() -> None:
    once = pilot([[1.0]] * 9 + [[0.0]] * 91)
    assert recommend(once, BASE, PLANS).plan == CLONING and recommend(once, TRAINED, PLANS).plan == GRPO
    assert recommend(pilot([[0.0]] * 100), BASE, PLANS).algorithm == "best_of_n"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_where_the_house_has_no_plan_the_nearest_is_taken(algorithm: Algorithm) -> None:
    near = CLONING if algorithm in ("best_of_n", "dpo") else GRPO
    assert house(algorithm, PLANS) == replace(near, algorithm=algorithm)
    assert house(algorithm, (GRPO,)) == replace(GRPO, algorithm=algorithm)
    with pytest.raises(ValueError, match="no plan"):
        house(algorithm, ())


@pytest.mark.parametrize("faulty", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_is_refused(faulty: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        recommend(pilot([[0.0, faulty], [1.0, 0.0]]), BASE, PLANS)


paid = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
shapes = st.integers(2, 6).flatmap(
    lambda samples: st.lists(st.lists(paid, min_size=samples, max_size=samples), min_size=1, max_size=12)
)


@given(shapes, st.booleans(), st.floats(0, 5), st.randoms())
def test_neither_order_of_cases_nor_of_samples_matters(
    groups: list[list[float]], adapter: bool, calls: float, order: random.Random
) -> None:
    mixed = [order.sample(group, len(group)) for group in order.sample(groups, len(groups))]
    one, other = (recommend(pilot(some, calls=calls), Setting(adapter), PLANS) for some in (groups, mixed))
    assert one == other


@given(shapes)
def test_the_histogram_holds_every_case(groups: list[list[float]]) -> None:
    found = rewards(pilot(groups))
    assert sum(found.histogram) == found.cases == len(groups)
    told = next(row.text for row in page(pilot(groups), None)[0].rows if row.label == "pass rates")
    assert sum(int(part.split()[-1]) for part in told.split(" · ")) == len(groups)


@given(shapes)
def test_pass_at_k_is_what_drawing_k_of_the_samples_finds_and_never_falls(groups: list[list[float]]) -> None:
    seen, n = pilot(groups), len(groups[0])
    chances = [pass_at(seen, k) for k in range(1, n + 1)]
    for k, chance in enumerate(chances, 1):
        drawn = [any(reward >= 1 for reward in some) for group in groups for some in itertools.combinations(group, k)]
        assert chance == pytest.approx(sum(drawn) / len(drawn))
    assert all(later >= sooner - 1e-12 for sooner, later in itertools.pairwise(chances))
    assert chances[0] == pytest.approx(seen.pass_1) and chances[-1] == pytest.approx(seen.pass_n)
    for k in (0, n + 1):
        with pytest.raises(ValueError, match="cannot be told"):
            pass_at(seen, k)


@given(shapes, st.floats(0.5, 4), st.floats(0, 3))
def test_the_shape_of_rewards_is_that_of_their_scaled_and_moved_copy(
    groups: list[list[float]], scale: float, moved: float
) -> None:
    found = rewards(pilot(groups))
    copy = rewards(pilot([[scale * reward + moved for reward in group] for group in groups]))
    assert (copy.skew, copy.excess, copy.tail) == pytest.approx((found.skew, found.excess, found.tail), abs=1e-6)


def test_moments_and_tail_of_known_rewards() -> None:
    flat = [reward for group in RARE for reward in group]
    mean, spread = statistics.fmean(flat), statistics.pstdev(flat)
    found = rewards(pilot(RARE))
    assert found.skew == pytest.approx(statistics.fmean(((r - mean) / spread) ** 3 for r in flat))
    assert found.excess == pytest.approx(statistics.fmean(((r - mean) / spread) ** 4 for r in flat) - 3)
    assert found.tail == pytest.approx(statistics.fmean(sorted(flat)[-32:]) / mean)
    even = rewards(pilot([[number / 100 for number in range(101)]]))
    assert even.skew == pytest.approx(0) and even.tail == pytest.approx(0.95 / 0.5)


def test_a_light_weighs_the_plan_against_the_pilot() -> None:
    asked = recommend(pilot(LADDER), BASE, PLANS)
    told = light(GRPO, asked)
    assert told.level == "amber" and told.detail.startswith("pilot recommends dpo: only ranked")
    groups = recommend(CLONED, TRAINED, PLANS)
    variants = [light(replace(GRPO, algorithm=name), groups).level for name in ("grpo", "dr_grpo", "rloo", "ppo")]
    assert variants == ["ok", "ok", "ok", "amber"]


@pytest.mark.parametrize(
    ("seen", "plan", "kind", "note"),
    [
        (pilot(DENSE), GRPO, "approve", "no red light"),
        (pilot(DENSE), CLONING, "reject", "solved no case"),
        (solved(40), GRPO, "reject", "no algorithm can learn from it"),
    ],
)
def test_the_automatic_gate_trains_only_where_the_plan_can_learn(
    seen: Pilot, plan: TrainPlan, kind: str, note: str
) -> None:
    done = ev.PilotDone("p", seen, 1.0, recommend(seen, BASE, PLANS))
    step = Step("p", Proposal("weights", "t", "r", plan.algorithm, "c0", plan=plan), pilot=done)
    told = auto_verdict(step, 60.0)
    assert told[0] == kind and note in told[1]


def recorded(event: ev.Event) -> ev.Recorded:
    return ev.Recorded(1, "2026-01-05T07:00:00+00:00", event)


def test_the_pilot_lights_its_light_and_its_advice_stays_with_the_generation() -> None:
    step = Step("p", Proposal("weights", "t", "r", "grpo", "c0", plan=GRPO), lights=(Light("plan", "ok"),))
    born = [Generation(at, None, f"c{at}", "t", f"k{at}", None, None, None, True) for at in range(2)]
    state = State("r", generations=tuple(born), incumbent=0, steps=(step,))
    advised = recommend(pilot(LADDER), BASE, PLANS)
    after = advance(state, recorded(ev.PilotDone("p", pilot(LADDER), 60.0, advised)))
    assert [told.level for told in after.steps[0].lights or ()] == ["ok", "amber"]
    assert after.advised == advised and state.advised is None
    assert replace(after, incumbent=1).advised is None


def test_a_pilot_survives_the_log_and_one_of_an_earlier_version_is_read() -> None:
    done = replace(pilot(RARE), rehearsal=Rehearsal(2, 64, 2.1, 1.9, 12.0))
    event = ev.PilotDone("p", done, 60.0, recommend(done, BASE, PLANS))
    kind, data = codec.encode(event)
    assert codec.decode(kind, data) == event
    old = {"n": 4, "samples": 2, "solved": [1, 2, 1], "useful": 0.5, "seconds": 0.1, "tokens": 90.0, "episodes": ["e1"]}
    read = codec.decode("PilotDone", {"id": "p", "pilot": old, "expected_s": 60.0})
    assert isinstance(read, ev.PilotDone) and read.advised is None and read.pilot.rewards == ()
    assert read.pilot.rehearsal is None
    assert rewards(read.pilot).pass_1 == 0.5 and rewards(read.pilot).values == 2
    assert [section.title for section in page(read.pilot, None)] == ["REWARDS"]


def test_the_page_has_every_rule_with_the_one_that_fired_marked() -> None:
    advised = recommend(BLIND, BASE, PLANS)
    measured, start, rules = page(BLIND, advised)
    assert [row.mark for row in rules.rows].count("chosen") == 1 and len(rules.rows) == len(RULES)
    told = text((measured, start, rules))
    assert "▸ hardly anything passes → best_of_n" in told and "8 → 12: a group of 8 expects 0.7 successes" in told
    ranked = recommend(BLIND, Setting(False, "ranked"), PLANS)
    assert "only ranked" in next(row.text for row in page(BLIND, ranked)[0].rows if row.label == "scale")
    assert next(row.text for row in measured.rows if row.label == "scale") == "absolute"
    assert "@1 9.1 %, @4" in told and "no training" in text(page(solved(9), recommend(solved(9), BASE, PLANS)))
