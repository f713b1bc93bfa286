"""The first harnesses of TriMul on a GPU: a plan is rendered, a module is taken as it is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sia_tui.engine.session import SEEDS
from sia_tui.harness.launch import INSIDE
from sia_tui.tasks.trimul.cases import shape_of
from sia_tui.tasks.trimul.gpu import task
from sia_tui.tasks.trimul.grammar_triton import CHOICES, Plan
from sia_tui.tasks.trimul.render_triton import render

ASK = """\
import asyncio, json, sys
from types import SimpleNamespace
import harness
told = json.load(sys.stdin)
class LLM:
    async def chat(self, messages, **limits):
        return SimpleNamespace(text=told["reply"])
answer = asyncio.run(harness.solve(SimpleNamespace(inputs=told["inputs"]), LLM(), None))
print(json.dumps(answer.value))
"""
MADE = task.load(0, 2, None)
INPUTS = dict(MADE.cases[MADE.ids("train")[0]].inputs)


def answered(folder: Path, seed: str, packaged: dict[str, str], reply: str) -> str | None:
    for path in (SEEDS / seed).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    for name, text in packaged.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps({"reply": reply, "inputs": INPUTS}),
        env={**os.environ, "PYTHONPATH": f"{folder}:{INSIDE}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    value: str | None = json.loads(done.stdout)
    return value


def test_letters_are_rendered_for_the_cases_shape(tmp_path: Path) -> None:
    letters = "".join(chr(ord("A") + len(values) - 1) for values in CHOICES.values())
    plan = Plan(**{name: values[-1] for name, values in CHOICES.items()})
    assert answered(tmp_path, "trimul-gpu", dict(MADE.packaged), f" {letters}\n") == render(plan, shape_of(INPUTS))


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (
            "First:\n```\nx\n```\nthen\n```python\ndef custom_kernel(data):\n    ...\n```\nDone.",
            "def custom_kernel(data):\n    ...\n",
        ),
        ("def custom_kernel(data): ...", None),
    ],
)
def test_of_a_reply_the_fenced_module_is_the_answer(tmp_path: Path, reply: str, value: str | None) -> None:
    assert answered(tmp_path, "trimul-module", {}, reply) == value
