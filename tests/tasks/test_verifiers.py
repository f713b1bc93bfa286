"""An environment of the verifiers package becomes a task. The whole road needs that package, which tests do not install."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sia_tui.engine.session import SEEDS
from sia_tui.tasks import own, verifiers_reward, verifiers_task
from sia_tui.tasks.task import TaskError

TOY = """
import verifiers as vf
from datasets import Dataset

def load_environment(n=30):
    rows = [{"question": f"say {i} words of {chr(97 + i % 26) * 9}", "answer": f"word {i}", "info": {"i": i}} for i in range(n)]
    def exact(completion, answer, info, **kwargs) -> float:
        return 2.0 * (completion[-1]["content"] == answer == f"word {info['i']}")
    return vf.SingleTurnEnv(dataset=Dataset.from_list(rows), rubric=vf.Rubric(funcs=[exact], weights=[0.5]))
"""


def test_a_python_without_the_package_is_told_in_a_line() -> None:
    if find_spec("verifiers"):
        pytest.skip("verifiers is installed here")
    with pytest.raises(TaskError, match="the verifiers package is not installed there"):
        verifiers_task.read("toy", {}, sys.executable)


def test_a_prompt_is_what_the_system_says_and_the_rest_as_text() -> None:
    said = [("system", "Be brief."), ("user", "1 + 1?"), ("assistant", "2"), ("user", "2 + 2?")]
    prompt = [{"role": role, "content": text} for role, text in said]
    assert verifiers_task._inputs(prompt[:2]) == {"system": "Be brief.", "input": "1 + 1?"}
    several = verifiers_task._inputs(prompt)["input"]
    assert several == "user: 1 + 1?\n\nassistant: 2\n\nuser: 2 + 2?"
    with pytest.raises(TaskError, match="more than text"):
        verifiers_task._inputs([{"role": "user", "content": [{"type": "image_url"}]}])


@pytest.mark.skipif(
    not find_spec("verifiers"), reason="the verifiers package is not installed (pip install verifiers==0.1.9.post3)"
)
async def test_its_rubric_judges_and_its_answers_are_gold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    brought = verifiers_task.bring("toy", "toy", {"n": 24}, sys.executable, None, tmp_path / "task", SEEDS)
    assert (brought.cases, brought.own_answers) == (24, 1.0)
    line = own.read_cases(tmp_path / "task" / "cases.jsonl")[3]
    monkeypatch.chdir(tmp_path / "task")
    paid = [await verifiers_reward.judge(said, {"id": line.id, "gold": line.gold}) for said in (line.gold, "word 999")]
    assert [one["reward"] for one in paid] == [1.0, 0.0] and "exact" in paid[0]["metrics"]
