"""The playbook reads trajectories as written down: each failure gets its class, each rule its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from sia_tui.agents.diagnosis import classify, diagnose
from sia_tui.agents.playbook import PlaybookFeedbackAgent, PlaybookMetaAgent
from sia_tui.agents.protocol import Brief, Reading
from sia_tui.core import events as ev
from sia_tui.core.episodes import Attempt, Call, Case, HarnessError, Score, ToolCall
from sia_tui.core.proposals import Dropped, Proposal
from sia_tui.core.recall import Memory
from sia_tui.core.state import Generation, State, Step

SEED = Path(__file__).parents[2] / "harness_repo" / "lawbench"
BRIEF = Brief("lawbench", "charges", ("盗窃", "诈骗", "抢劫"), {"盗窃": "theft"})


def reading(
    number: int,
    answer: str | None = None,
    failure: str | None = "wrong",
    said: str = "A",
    shown: list[str] | None = None,
    expected: str | None = "盗窃",
    error: HarnessError | None = None,
    split: Literal["train", "dev"] = "train",
) -> Reading:
    call = Call(({"role": "user", "content": "?"},), said, (1,), (2,), (-0.1,), None, 0.7, 1.0, 24, "stop", 0.1)
    tools = (ToolCall("rank", "'…', 3", repr(shown), 0.01),) if shown else ()
    attempt = Attempt(Case(f"c{number}", split, {"text": "…"}), answer, "policy", (call,), tools, error, 0.2, "bwrap")
    return Reading(
        f"e{number}", attempt, Score(float(failure is None), failure, {}, {"expected": expected} if expected else {})
    )


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (reading(1, "盗窃", None), "right"),
        (reading(1, None, "timeout", error=HarnessError("timeout", "late")), "timeout"),
        (reading(1, None, "exception", error=HarnessError("exception", "boom")), "crash"),
        (reading(1, None, "no_answer", said="  "), "no_answer"),
        (reading(1, None, "no_answer", said="无法判断"), "no_answer"),
        (reading(1, None, "no_answer", said="罪名：盗窃罪"), "unparsed"),
        (reading(1, "偷东西", "not_a_label"), "not_a_label"),
        (reading(1, "诈骗"), "tool_unused"),
        (reading(1, "诈骗", shown=["诈骗", "抢劫"]), "not_in_sight"),
        (reading(1, "诈骗", shown=["诈骗", "盗窃"]), "confused"),
        (reading(1, "诈骗", shown=["诈骗", "盗窃"], expected=None), "wrong"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_failure_has_its_class(made: Reading, kind: str) -> None:
    assert classify(made) == kind


def test_a_diagnosis_counts_ranks_and_picks() -> None:
    shown = ["诈骗", "盗窃", "抢劫"]
    found = diagnose(
        [reading(1, "诈骗", shown=shown), reading(2, "盗窃", None, shown=shown), reading(3, "抢劫", shown=shown)]
    )
    assert found.counts == {"confused": 2, "right": 1} and found.shown == 3
    assert list(found.ranks) == [1, 1, 1] and list(found.picks) == [0, 1, 2]
    assert found.in_sight(1) == 0 and found.in_sight(2) == 1
    assert found.expect(found.habit()) == pytest.approx(found.accuracy)
    assert found.expect([0, 1, 0]) == pytest.approx(1.0)
    assert found.confusions[("盗窃", "诈骗")] == 1


def seed() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in SEED.iterdir() if path.is_file()}


@dataclass(frozen=True)
class Given:
    """A record made of given readings."""

    readings: list[Reading]
    state: State
    files: Mapping[str, str] = field(default_factory=seed)
    brief: Brief = BRIEF
    memory: Memory = field(default_factory=Memory)

    def trajectories(self, split: str, generation: int | None = None) -> Iterator[Reading]:
        return (made for made in self.readings if made.attempt.case.split == split)

    def rollouts(self, step: str) -> Iterator[Reading]:
        return iter(())


def state(*steps: Step) -> State:
    return State(
        "r", generations=(Generation(0, None, "c0", "t0", "k0", None, None, None, True),), incumbent=0, steps=steps
    )


def refuted(idea: str, commit: str = "c0") -> Step:
    made = Proposal("harness", idea, "", idea, commit)
    return Step(f"p-{idea}", made, refused=ev.ProposalRefused(f"p-{idea}", "me", "no"), closed=True)


async def test_an_unused_search_is_the_first_thing_it_mends() -> None:
    read = [reading(n, None, "no_answer", said="罪名：诈骗罪") for n in range(40)]
    made = await PlaybookFeedbackAgent().propose(Given(read, state()))
    assert (made.lever, made.idea, made.base_commit) == ("harness", "shortlist", "c0")
    assert made.patch is not None and "+++ b/shortlist.py" in made.patch and "+SIZE = 10" in made.patch
    assert made.predicted_gain and set(made.evidence) <= {r.episode for r in read} and made.clusters == {"unparsed": 40}
    assert "40 never asked the search" in made.reason


async def test_a_refuted_idea_is_not_proposed_again_on_that_commit_nor_a_third_time_anywhere() -> None:
    read = [reading(n, "诈骗") for n in range(40)]
    agent = PlaybookFeedbackAgent()
    assert (await agent.propose(Given(read, state(refuted("shortlist", "older"))))).idea == "shortlist"
    assert (await agent.propose(Given(read, state(refuted("shortlist"))))).lever == "stop"
    twice = state(refuted("shortlist", "older"), refuted("shortlist", "old"))
    assert (await agent.propose(Given(read, twice))).lever == "stop"


async def test_nothing_left_to_mend_is_said_with_its_reason() -> None:
    made = await PlaybookFeedbackAgent().propose(
        Given([reading(n, "盗窃", None, shown=["盗窃"]) for n in range(9)], state())
    )
    assert made.lever == "stop" and made.patch is None and "9 right" in made.reason


async def test_a_stop_says_what_a_person_dropped_of_a_patch() -> None:
    """The rest of it did not stand, and the idea is not proposed again: what was dropped was never tried."""
    amended = ev.ProposalAmended("p-1", "p-2", "gate-1", "ana", (Dropped("harness.py:3 +1 -0", "d", "+x"),))
    was = Step("p-1", Proposal("harness", "Show a list", "", "shortlist", "c0"), amended=amended, closed=True)
    made = await PlaybookFeedbackAgent().propose(
        Given([reading(n, "诈骗") for n in range(40)], state(was, refuted("shortlist")))
    )
    assert made.lever == "stop" and "Declined by a person on this generation" in made.reason
    assert "harness.py:3 +1 -0 of “Show a list”" in made.reason


async def test_the_first_harness_is_the_houses_own() -> None:
    assert (await PlaybookMetaAgent().first_harness(BRIEF, seed(), None)).files == seed()  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no harness for task lawbench"):
        await PlaybookMetaAgent().first_harness(BRIEF, {}, None)  # type: ignore[arg-type]
