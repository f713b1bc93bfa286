"""Whose answer it is, which id a case goes by, and what a trajectory may hold."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sia_tui.core.episodes import Attempt, Call, Case, HarnessError, Score
from sia_tui.engine import rollout as rollouts
from sia_tui.engine.crew import Crew, Harness
from sia_tui.engine.lots import Trial
from sia_tui.engine.rollout import MOST_DISTURBED, Terms, _Pass
from sia_tui.harness.attempts import Attempts
from sia_tui.harness.workers import Outcome
from sia_tui.policy.client import Closed, GatewayDied
from sia_tui.tasks.judge import Judge
from sia_tui.tasks.verifier import VerifierDied, VerifierFailed, VerifierProcess

CALL = Call((), "A", (1,), (2,), (-0.1,), None, 0.7, 1.0, 24, "stop", 0.1)

DEAD = """
import hashlib, json, os, sys
print(json.dumps({"ready": hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest()}), flush=True)
sys.stdin.readline()
"""
"""A verifier that is gone as soon as it is asked."""


class Verifier:
    async def score(self, case: str, answer: object) -> Score:
        return Score(1.0, None, {}, {"expected": "盗窃", "answer": "盗窃"})


def rollout(done: list[tuple[Attempt, Score]], key: str = "k", verifier: Any = None) -> Any:
    place: Any = SimpleNamespace(verifier=verifier or Verifier(), level="bwrap", gateway=SimpleNamespace(lanes=2))
    harness, crew = Harness(Path(), {}, key), cast(Crew, None)
    return _Pass(place, harness, crew, lambda: False, Terms(None), lambda _, *both: done.append(both))  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(("calls", "source"), [((), "tool"), ((CALL,), "policy")])
async def test_an_answer_without_a_call_is_never_the_policys(calls: tuple[Call, ...], source: str) -> None:
    done: list[tuple[Attempt, Score]] = []
    await rollout(done)._finish(
        Trial(Case("c", "train", {}, 0)), Outcome("盗窃", "policy", (), {}, None, 0.1), calls, "bwrap"
    )
    assert done[0][0].source == source


@pytest.mark.parametrize(("split", "held"), [("train", True), ("dev", False), ("hidden", False), ("test", False)])
async def test_the_expected_answer_is_kept_of_train_alone(split: Any, held: bool) -> None:
    done: list[tuple[Attempt, Score]] = []
    await rollout(done)._finish(Trial(Case("c", split, {})), Outcome("盗窃", "policy", (), {}, None, 0.1), (), "bwrap")
    assert ("expected" in done[0][1].detail) == held and "answer" in done[0][1].detail


def test_a_case_goes_by_another_id_in_every_generation() -> None:
    case = Case("c1", "dev", {"text": "…"})
    names = {rollout([], key)._unnamed(Trial(case)).id for key in ("a", "b", "a")}
    assert len(names) == 2 and "c1" not in names
    assert rollout([], "a")._unnamed(Trial(case, 1)).id not in names


async def test_what_a_dead_verifier_did_not_judge_is_no_episode(tmp_path: Path) -> None:
    source, done = tmp_path / "dead.py", list[tuple[Attempt, Score]]()
    source.write_text(DEAD)
    async with VerifierProcess(tmp_path / "v", {"c": "盗窃"}, ("盗窃",), Judge(source)) as verifier:
        asked = rollout(done, verifier=verifier)
        with pytest.raises(VerifierDied, match="ended with code 0"):
            await asked._finish(
                Trial(Case("c", "train", {}, 0)), Outcome("盗窃", "policy", (), {}, None, 0.1), (), "bwrap"
            )
    assert done == []


async def test_what_the_compiler_said_is_in_the_trajectory_and_its_silence_is_nobodys_zero() -> None:
    async def says(answer: str) -> str:
        if answer == "late":
            raise VerifierFailed("gone")
        return "an error"

    for answer, faulty in (("x", False), ("late", True)):
        done: list[tuple[Attempt, Score]] = []
        asked, trial = rollout(done), Trial(Case("c", "train", {}, 0))
        asked._attempts[trial] = Attempts(says, 1)
        await asked._attempts[trial].ask(answer)
        finish = asked._finish(trial, Outcome("y", "policy", (), {}, None, 0.1), (CALL,), "bwrap")
        if faulty:
            with pytest.raises(VerifierFailed, match="gone"):
                await finish
        else:
            await finish
        assert [call.result for attempt, _ in done for call in attempt.tool_calls] == ([] if faulty else ["an error"])


class Gateway:
    lanes = 2

    def __init__(self, disturbed: int = 0, *, answers: bool = False) -> None:
        """In how many tries a call stays unanswered, or is answered late."""
        self.disturbed, self._answers = disturbed, answers
        self.opened: list[tuple[int, int]] = []
        """Calls and tokens that each try had."""

    async def open_lane(self, *_: Any, max_calls: int, max_total_tokens: int, **__: Any) -> None:
        self.opened.append((max_calls, max_total_tokens))

    async def leave_lane(self, lane: int) -> Closed:
        self.disturbed -= 1
        why = "503 busy" if self.disturbed >= 0 else ""
        return Closed((CALL,), delayed=why) if self._answers else Closed((CALL,), why)


class Stopped:
    """A worker whose first case runs out of time while everything stands still, as under SIGSTOP."""

    alive, level, node = True, "bwrap", ""

    def __init__(self, stands_still: bool) -> None:
        self.tries, self._stands_still = 0, stands_still

    async def solve(self, slot: int, case: Case, deadline_s: float, attempts: object) -> Outcome:
        self.tries += 1
        if self.tries > 1:
            return Outcome("盗窃", "policy", (), {}, None, 0.1)
        await asyncio.sleep(0.03)
        if self._stands_still:
            time.sleep(0.3)  # noqa: ASYNC251 - nothing else runs meanwhile, which is the point
        await asyncio.sleep(0.03)
        return Outcome(None, "policy", (), {}, HarnessError("timeout", "late"), 9.0)


def beside(done: list[tuple[Attempt, Score]], gateway: Gateway) -> Any:
    asked: Any = rollout(done)
    asked._place = SimpleNamespace(
        verifier=Verifier(),
        level="bwrap",
        gateway=gateway,
        compiler=None,
        seed=0,
        config=SimpleNamespace(max_calls=4, max_tokens=99, deadline_s=9.0),
    )
    return asked


@pytest.mark.parametrize("stands_still", [True, False])
async def test_time_in_which_the_process_was_stopped_is_nobodys(
    stands_still: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollouts, "PULSE_S", 0.01)
    monkeypatch.setattr(rollouts, "STOPPED_S", 0.1)
    done, worker, gateway = list[tuple[Attempt, Score]](), Stopped(stands_still), Gateway()
    asked = beside(done, gateway)
    pulse = asyncio.create_task(asked.notice_stops())
    post, trial = cast(Any, SimpleNamespace(worker=worker, lanes=(0,))), Trial(Case("c", "train", {}, 0))
    while not await asked._episode(post, 0, 0, trial):
        assert asked._spent[trial] == ((), 0.0), "it has its whole time again"
    pulse.cancel()
    assert gateway.opened == [(4, 99)] * worker.tries, "and all of its calls and tokens"
    assert [len(attempt.calls) for attempt, _ in done] == [1]
    assert (worker.tries, [attempt.answer for attempt, _ in done]) == ((2, ["盗窃"]) if stands_still else (1, [None]))


class Late:
    """A worker whose cases run out of time."""

    alive, level, node = True, "bwrap", ""

    def __init__(self) -> None:
        self.had: list[float] = []

    async def solve(self, slot: int, case: Case, deadline_s: float, attempts: object) -> Outcome:
        self.had.append(deadline_s)
        return Outcome(None, "policy", (), {}, HarnessError("timeout", "late"), 9.0)


@pytest.mark.parametrize("answers", [False, True])
@pytest.mark.parametrize("disturbed", [0, 1, MOST_DISTURBED])
async def test_what_the_server_cut_short_is_no_episode_and_has_all_its_time_again(
    disturbed: int, answers: bool
) -> None:
    """One that answers late every time is late for good, and one that does not answer is lost."""
    done, worker = list[tuple[Attempt, Score]](), Late()
    asked = beside(done, Gateway(disturbed, answers=answers))
    post, trial = cast(Any, SimpleNamespace(worker=worker, lanes=(0,))), Trial(Case("c", "train", {}, 0))
    recorded = answers or disturbed < MOST_DISTURBED
    with nullcontext() if recorded else pytest.raises(GatewayDied, match="unanswered: 503 busy"):
        await asked._to_the_end(post, trial)
    assert worker.had == [9.0] * min(disturbed + 1, MOST_DISTURBED) and len(done) == recorded
