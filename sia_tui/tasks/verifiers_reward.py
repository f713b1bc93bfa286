"""A reward that asks the rubric of an environment of the `verifiers` package (its 0.1 line: `load_environment`, `Rubric`).

Stands alone on the standard library and that package: `tasks import` runs this very file to read an environment's rows, and
copies it into the task as its `rewards.py`, beside `environment.json`.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections import defaultdict
from contextlib import nullcontext
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

SPEC = "environment.json"
TRIED = 8


class Unsuited(Exception):
    """An environment that cannot become a task; the message is one line."""


async def judge(answer: str, case: dict[str, Any]) -> dict[str, Any]:
    """The rubric's weighted sum for this one completion, over the sum of its positive weights, cut to 0 to 1."""
    env, rows = _opened(str(Path.cwd()))
    return await scored(env, rows[case["id"]], answer)


async def scored(env: Any, row: dict[str, Any], answer: str) -> dict[str, Any]:
    state: dict[str, Any] = {
        **row,
        "completion": [{"role": "assistant", "content": answer}],
        "trajectory": [],
        "is_completed": True,
        "timing": defaultdict(float),
    }
    judging = env.rubric.score_rollout
    # Until 0.1.10 it takes a semaphore too.
    await (judging(state, nullcontext()) if "score_sem" in signature(judging).parameters else judging(state))
    metrics = {name: float(value) for name, value in (state.get("metrics") or {}).items()}
    share = float(state["reward"]) / _scale(env)
    if not math.isfinite(share):
        raise ValueError(f"the rubric gave {state['reward']}, which is no reward")
    return {"reward": min(1.0, max(0.0, share)), "metrics": metrics}


@cache
def _opened(folder: str) -> tuple[Any, dict[str, dict[str, Any]]]:
    spec = json.loads(Path(folder, SPEC).read_text(encoding="utf-8"))
    return load(spec["environment"], spec["arguments"]), spec["rows"]


def load(name: str, arguments: dict[str, Any]) -> Any:
    """A single-turn environment whose rubric judges a rollout by itself. Raises Unsuited."""
    try:
        import verifiers
    except ImportError as error:
        raise Unsuited(f"the verifiers package is not installed there ({error})") from None
    if not hasattr(verifiers, "load_environment"):
        raise Unsuited("this verifiers has no load_environment: its 0.1 line is understood, as verifiers==0.1.9.post3")
    env = verifiers.load_environment(name, **arguments)
    if not isinstance(env, verifiers.SingleTurnEnv):
        raise Unsuited(f"{name} is a {type(env).__name__}: only single-turn environments become tasks")
    if any(one._get_group_reward_funcs() for one in getattr(env.rubric, "rubrics", [env.rubric])):
        raise Unsuited(f"{name} judges rollouts in groups: a task's reward judges one answer by itself")
    if _scale(env) <= 0:
        raise Unsuited(f"no weight of {name}'s rubric is positive")
    return env


def _scale(env: Any) -> float:
    weights: list[float] = env.rubric._get_reward_weights()
    return sum(weight for weight in weights if weight > 0)


def rows(env: Any, most: int) -> list[dict[str, Any]]:
    """Its first `most` training rows: prompt (messages), answer, info, task."""
    found = env.get_dataset(most)
    return [
        {
            "prompt": [{"role": said["role"], "content": said["content"]} for said in row["prompt"]],
            "answer": row.get("answer") or "",
            "info": row.get("info") or {},
            "task": row.get("task") or "default",
        }
        for row in found
    ]


async def own_answers(env: Any, found: list[dict[str, Any]]) -> float:
    """What the environment's answers earn on the mean, given as completions just as they stand, on a few rows."""
    paid = [(await scored(env, row, row["answer"]))["reward"] for row in found[:TRIED]]
    return float(sum(paid)) / len(paid)


def main() -> None:
    """`python verifiers_reward.py ENVIRONMENT ARGUMENTS MOST`: {"rows", "own_answers"}, or {"unsuited"}, as one line."""
    name, arguments, most = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    try:
        env = load(name, arguments)
        found = rows(env, most)
        print(json.dumps({"rows": found, "own_answers": asyncio.run(own_answers(env, found)) if found else 0.0}))
    except Unsuited as error:
        print(json.dumps({"unsuited": str(error)}))


if __name__ == "__main__":
    main()
