"""Which lever the playbook pulls: by what fails, and by what each could gain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sia_tui.agents.lever import glance
from sia_tui.agents.playbook import PlaybookFeedbackAgent
from sia_tui.agents.protocol import Reading
from sia_tui.core import events as ev
from sia_tui.core.choosing import Setting, recommend
from sia_tui.core.episodes import Score
from sia_tui.core.plans import Pilot, TrainPlan
from sia_tui.core.state import Generation, State, Step
from tests.agents.test_playbook import BRIEF, Given, reading, refuted

CLONING = TrainPlan("best_of_n", 40, 32, 8, 400, 80, 1e-3)
PAIRED = [[0.0, 0.25, 0.5, 0.75]] * 9
"""Every case is paid the same places."""
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


def piloted(rewards: list[list[float]], refused: bool = True) -> Step:
    """A cloning step on this generation whose pilot was paid these rewards; a person said no to it."""
    n, samples = len(rewards), len(rewards[0])
    useful = sum(len(set(group)) > 1 for group in rewards) / n
    seen = Pilot(n, samples, (n, *[0] * samples), useful, 0.1, 90.0, rewards=tuple(map(tuple, rewards)))
    made = refuted("best_of_n")
    made = replace(made, proposal=replace(made.proposal, lever="weights"))
    done = ev.PilotDone(made.id, seen, 60.0, recommend(seen, Setting(adapter=False), PLANS))
    return replace(made, pilot=done, refused=made.refused if refused else None)


async def test_the_last_pilot_on_the_generation_goes_before_what_single_samples_show() -> None:
    agent = PlaybookFeedbackAgent()
    made = await agent.propose(given(blind(), piloted(PAIRED)))
    assert made.plan == replace(CLONING, algorithm="dpo", kl=0.1) and made.idea == "dpo"
    assert "the last pilot on this generation asks for it: only ranked" in made.reason
    elsewhere = replace(piloted(PAIRED), proposal=replace(piloted(PAIRED).proposal, base_commit="older"))
    assert (await agent.propose(given(blind(), elsewhere))).idea == "best_of_n"


async def test_where_the_pilot_found_nothing_to_learn_no_training_is_proposed_there_again() -> None:
    made = await PlaybookFeedbackAgent().propose(given(blind(), piloted([[0.0] * 4] * 9), levers=("weights",)))
    assert made.lever == "stop" and "no algorithm can learn from it" in made.reason


async def test_dense_rewards_are_seen_in_what_was_measured_anyway() -> None:
    read = [replace(one, score=Score(0.3 + n / 200, "wrong", {}, one.score.detail)) for n, one in enumerate(blind())]
    made = await PlaybookFeedbackAgent().propose(given(read))
    assert (made.lever, made.idea) == ("weights", "ppo")
    marks = [replace(one, score=replace(one.score, reward=round(one.score.reward, 1))) for one in read]
    assert (await PlaybookFeedbackAgent().propose(given(marks))).idea == "grpo"
    many = [replace(one, attempt=replace(one.attempt, calls=one.attempt.calls * 3)) for one in marks]
    assert (await PlaybookFeedbackAgent().propose(given(many))).idea == "ppo"
    tool = [replace(one, attempt=replace(one.attempt, source="tool")) for one in read]
    assert glance(tool).rewards == ((0.0,),) * 60


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


async def test_a_run_trains_only_by_what_it_may() -> None:
    brief = replace(BRIEF, plans=PLANS, levers=("weights",), algorithms=("ppo", "rloo"))
    assert brief.offered == () and replace(brief, algorithms=("grpo",)).offered == PLANS[1:]
    agent, asked = PlaybookFeedbackAgent(), given(blind())
    assert (await agent.propose(replace(asked, brief=brief))).idea == "ppo"
    after = given(blind(), refuted("ppo"))
    assert (await agent.propose(replace(after, brief=brief))).idea == "rloo"
    assert (await agent.propose(replace(given(blind(), refuted("ppo"), refuted("rloo")), brief=brief))).lever == "stop"


async def test_a_lever_that_the_run_may_not_pull_is_left_alone() -> None:
    agent = PlaybookFeedbackAgent()
    assert (await agent.propose(given(blind(), levers=("harness",)))).lever != "weights"
    unread = [reading(n, None, "no_answer", said="罪名：盗窃罪") for n in range(60)]
    assert (await agent.propose(given(unread, levers=("weights",)))).idea == "best_of_n"
    both = (refuted("best_of_n"), refuted("grpo"))
    assert (await agent.propose(given(unread, *both, levers=("weights",)))).lever == "stop"


async def test_a_task_whose_scores_only_rank_is_trained_by_pairs() -> None:
    ranked = given(blind())
    ranked = replace(ranked, brief=replace(ranked.brief, scores="ranked"))
    assert (await PlaybookFeedbackAgent().propose(ranked)).idea == "dpo"
