"""What a plan may say, and what it should take."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core import events as ev
from sia_tui.core.checks import check_plan
from sia_tui.core.gates import Gate
from sia_tui.core.loop import auto_verdict
from sia_tui.core.plans import Pilot, TrainPlan, estimate
from sia_tui.core.proposals import Proposal
from sia_tui.core.state import MACHINE, Step

PLAN = TrainPlan("grpo", 20, 16, 8, 2000, 80, 1e-3, eval_every=5)
PILOT = Pilot(4, 8, (1, 0, 0, 0, 2, 0, 0, 0, 1), 0.5, 0.1, 300.0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("samples", 1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("rank", 513),
        ("clip", 0.0),
    ],
)
def test_a_value_out_of_range_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"plan: {field} must lie in"):
        replace(PLAN, **{field: value})


def test_an_algorithm_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="'magic' is not one of"):
        replace(PLAN, algorithm="magic")  # type: ignore[arg-type]


def test_a_plan_says_what_it_changes() -> None:
    assert replace(PLAN, steps=30, clip=0.3).changes(PLAN) == {"steps": (20, 30), "clip": (0.2, 0.3)}
    assert PLAN.changes(PLAN) == {}


def test_a_pilot_tells_chances() -> None:
    assert PILOT.pass_1 == (2 * 4 + 8) / 32 and PILOT.pass_n == 0.75


@given(st.integers(1, 200), st.integers(1, 64), st.integers(2, 16), st.integers(1, 50))
def test_an_estimate_counts_every_rollout(steps: int, cases: int, samples: int, every: int) -> None:
    plan = replace(PLAN, steps=steps, cases_per_step=cases, samples=samples, eval_every=every)
    looks = 1 + len([step for step in range(1, steps + 1) if step % every == 0 or step == steps])
    assert estimate(plan, PILOT, 1.0).rollouts == steps * cases * samples + looks * plan.held_out
    cloning = replace(plan, algorithm="best_of_n")
    assert estimate(cloning, PILOT, 1.0).rollouts == plan.cases * samples + looks * plan.held_out
    assert estimate(plan, PILOT, 2.0).seconds == pytest.approx(estimate(plan, PILOT, 1.0).seconds + steps)


def proposal(plan: TrainPlan | None, **changes: Any) -> Proposal:
    return replace(Proposal("weights", "t", "r", "grpo", "c0", plan=plan), **changes)


def test_lights_on_a_plan() -> None:
    lights = {light.name: light.level for light in check_plan(proposal(PLAN), 2900, 80, ())}
    assert set(lights.values()) == {"ok"}
    assert [light.level for light in check_plan(proposal(None), 2900, 80, ())] == ["red"]
    assert [light.level for light in check_plan(proposal(PLAN, patch="--- a"), 2900, 80, ())] == ["red"]
    assert [light.level for light in check_plan(proposal(PLAN, lever="both"), 2900, 80, ())] == ["red"]
    for cases, held_out, level in ((1000, 80, "amber"), (2900, 40, "amber"), (2900, 7, "red"), (1, 80, "red")):
        assert {light.name: light.level for light in check_plan(proposal(PLAN), cases, held_out, ())}[
            "train cases"
        ] == level


def test_a_plan_that_failed_on_this_generation_is_not_made_again() -> None:
    failed = Step("p", proposal(PLAN), refused=ev.ProposalRefused("p", "training", "the weights did not move"))
    assert any(light.level == "red" for light in check_plan(proposal(PLAN), 2900, 80, [failed]))
    assert not any(light.level == "red" for light in check_plan(proposal(replace(PLAN, steps=21)), 2900, 80, [failed]))
    assert not any(light.level == "red" for light in check_plan(proposal(PLAN, base_commit="c1"), 2900, 80, [failed]))


def test_a_plan_survives_its_way_through_the_log() -> None:
    event = ev.ProposalMade("p-1", proposal(PLAN))
    kind, data = ev.encode(event)
    assert data["proposal"]["plan"] == asdict(PLAN) and ev.decode(kind, data) == event


def test_the_machines_failure_says_nothing_of_the_idea() -> None:
    fault = Step("p", proposal(PLAN), refused=ev.ProposalRefused("p", MACHINE, "the trainer died"))
    assert not fault.refuted and replace(fault, refused=ev.ProposalRefused("p", "training", "did not move")).refuted


def test_the_automatic_gate_keeps_to_the_budget_and_to_what_can_be_learned() -> None:
    gate = Gate("gate-1", "step", "p", "h" * 64, {})
    step = Step("p", proposal(PLAN), pilot=ev.PilotDone("p", PILOT, 120.0), gates=(gate,))
    assert auto_verdict(step, 121.0)[0] == "approve"
    assert auto_verdict(step, 119.0) == ("reject", "the training should take 2.0 min, and 2.0 are left of the budget")
    hopeless = replace(PILOT, solved=(4, 0, 0, 0, 0, 0, 0, 0, 0))
    assert auto_verdict(replace(step, pilot=ev.PilotDone("p", hopeless, 1.0)), 1e9)[0] == "reject"
