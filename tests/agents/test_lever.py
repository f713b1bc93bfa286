"""Which lever the playbook pulls: by what fails, and by what each could gain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sia_tui.agents.playbook import PlaybookFeedbackAgent
from sia_tui.agents.protocol import Reading
from sia_tui.core import events as ev
from sia_tui.core.plans import TrainPlan
from sia_tui.core.state import Generation, State, Step
from tests.agents.test_playbook import BRIEF, Given, reading, refuted

CLONING = TrainPlan("best_of_n", 40, 32, 8, 400, 80, 1e-3)
PLANS = (CLONING, replace(CLONING, algorithm="grpo", cases=2000))
SHOWN = ["盗窃", "诈骗", "抢劫"]
DEV = ev.Evaluated(0, "dev", 0.3, 0.2, 0.4, 800, 0.0, {})


def given(read: list[Reading], *steps: Step, adapter: str | None = None, levers: Any = ("harness", "weights")) -> Given:
    best = Generation(0, None, "c0", "t0", "k0", adapter, None, None, True, {"dev": DEV})
    state = State("r", generations=(best,), incumbent=0, steps=steps)
    return Given(read, state, brief=replace(BRIEF, plans=PLANS, levers=levers))


def blind() -> list[Reading]:
    """The right charge always stands first; the policy picks every place equally often."""
    return [reading(n, SHOWN[n % 3], None if n % 3 == 0 else "wrong", shown=SHOWN) for n in range(60)]


async def test_a_choice_that_no_scaffold_mends_asks_for_the_weights_with_the_evidence() -> None:
    made = await PlaybookFeedbackAgent().propose(given(blind()))
    assert (made.lever, made.idea, made.plan, made.patch) == ("weights", "best_of_n", CLONING, None)
    assert "100 % of the failures" in made.reason and "right in 100 %" in made.reason
    assert made.predicted_gain == pytest.approx(0.6 * (1 - 1 / 3))
    wrong = {read.episode for read in blind() if read.score.failure}
    assert made.evidence and set(made.evidence) <= wrong


async def test_the_cold_start_is_cloning_and_what_has_an_adapter_is_sharpened_by_grpo() -> None:
    agent = PlaybookFeedbackAgent()
    assert (await agent.propose(given(blind(), adapter="sha"))).idea == "grpo"
    assert (await agent.propose(given(blind(), refuted("best_of_n")))).idea == "grpo"
    both = (refuted("best_of_n"), refuted("grpo"))
    assert (await agent.propose(given(blind(), *both))).lever != "weights"


@pytest.mark.parametrize(
    "read",
    [
        [reading(n, None, "no_answer", said="罪名：盗窃罪", shown=SHOWN) for n in range(40)] + blind()[:20],
        [reading(n, "诈骗", shown=["诈骗", "抢劫"]) for n in range(40)] + blind()[:20],
    ],
    ids=["unparsed", "not in sight"],
)
async def test_failures_of_the_scaffold_ask_for_the_harness(read: list[Reading]) -> None:
    assert (await PlaybookFeedbackAgent().propose(given(read))).lever == "harness"


async def test_a_training_must_promise_more_than_dev_can_tell_or_wait_its_turn() -> None:
    """Trusting the first already: what is left to learn is less than noise."""
    read = [
        reading(n, "盗窃", None if n % 20 else "wrong", shown=SHOWN, expected="盗窃" if n % 20 else "诈骗")
        for n in range(60)
    ]
    made = await PlaybookFeedbackAgent().propose(given(read))
    assert made.lever != "weights"


async def test_a_lever_that_the_run_may_not_pull_is_left_alone() -> None:
    agent = PlaybookFeedbackAgent()
    assert (await agent.propose(given(blind(), levers=("harness",)))).lever != "weights"
    unread = [reading(n, None, "no_answer", said="罪名：盗窃罪") for n in range(60)]
    assert (await agent.propose(given(unread, levers=("weights",)))).idea == "best_of_n"
    both = (refuted("best_of_n"), refuted("grpo"))
    assert (await agent.propose(given(unread, *both, levers=("weights",)))).lever == "stop"
