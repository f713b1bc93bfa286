"""Whose answer it is, which id a case goes by, and what a trajectory may hold."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sia_tui.core.episodes import Attempt, Call, Case, Score
from sia_tui.engine.crew import Crew, Harness
from sia_tui.engine.rollout import Terms, Trial, _Pass
from sia_tui.harness.attempts import Attempts
from sia_tui.harness.workers import Outcome
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
    await rollout(done)._finish(Trial(Case("c", "train", {}, 0)), Outcome("盗窃", "policy", (), {}, None, 0.1), calls)
    assert done[0][0].source == source


@pytest.mark.parametrize(("split", "held"), [("train", True), ("dev", False), ("hidden", False), ("test", False)])
async def test_the_expected_answer_is_kept_of_train_alone(split: Any, held: bool) -> None:
    done: list[tuple[Attempt, Score]] = []
    await rollout(done)._finish(Trial(Case("c", split, {})), Outcome("盗窃", "policy", (), {}, None, 0.1), ())
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
            await asked._finish(Trial(Case("c", "train", {}, 0)), Outcome("盗窃", "policy", (), {}, None, 0.1), ())
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
        finish = asked._finish(trial, Outcome("y", "policy", (), {}, None, 0.1), (CALL,))
        if faulty:
            with pytest.raises(VerifierFailed, match="gone"):
                await finish
        else:
            await finish
        assert [call.result for attempt, _ in done for call in attempt.tool_calls] == ([] if faulty else ["an error"])
