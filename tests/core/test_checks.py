"""Each light goes red for what it is there for, and stays green for an honest patch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sia_tui.core import events as ev
from sia_tui.core.checks import check_patch, check_served, check_tried
from sia_tui.core.plans import TrainPlan
from sia_tui.core.proposals import Light
from sia_tui.core.recall import Idea
from sia_tui.core.state import Step
from tests.core.story import proposal

OLD = {"harness.py": "import json\n\nasync def solve(case, llm, tools):\n    return None\n", "prompt.md": "Which?\n"}
CASE = "2014年2月26日，被告人贾某伙同潘某经事先预谋，故意制造交通事故，骗取保险金。"
LABELS = ("盗窃", "诈骗", "保险诈骗", "抢劫")


def lights(new: dict[str, str], earlier: tuple[Step, ...] = (), **changes: object) -> dict[str, Light]:
    made = replace(proposal("voting"), **changes)  # type: ignore[arg-type]
    return {light.name: light for light in check_patch(made, OLD, {**OLD, **new}, [CASE], LABELS, earlier)}


def test_an_honest_patch_is_all_green() -> None:
    new = OLD["harness.py"].replace("return None", "return await llm.chat([])")
    assert {light.level for light in lights({"harness.py": new}).values()} == {"ok"}


@pytest.mark.parametrize(
    "text",
    ["def solve(:\n", "def solve(case, llm, tools):\n    return 1\n", "x = 1\n", "async def solve():\n  pass\n\x00"],
)
def test_what_does_not_parse_is_red(text: str) -> None:
    assert lights({"harness.py": text})["parses"].level == "red"


@pytest.mark.parametrize(
    "line", ["import subprocess", "from os import path", "import requests", "x = __import__('os')", "eval('1')"]
)
def test_reaching_out_is_red(line: str) -> None:
    assert lights({"tools.py": f"{line}\n"})["imports"].level == "red"


@pytest.mark.parametrize(
    "line", ["import re", "import numpy as np", "from sklearn.svm import LinearSVC", "from tools import x"]
)
def test_honest_imports_are_green(line: str) -> None:
    assert lights({"tools.py": f"{line}\n"})["imports"].level == "ok"


def test_a_case_written_into_the_harness_is_red() -> None:
    assert lights({"prompt.md": f"Example: {CASE[8:30]}\n"})["quotes no case"].level == "red"
    assert lights({"prompt.md": "Example: 2014年2月26日\n"})["quotes no case"].level == "ok"


def test_labels_in_the_harness_are_amber_then_red() -> None:
    assert lights({"prompt.md": "such as 盗窃\n"})["names no labels"].level == "amber"
    assert lights({"table.py": "T = ['盗窃', '保险诈骗', '抢劫']\n"})["names no labels"].level == "red"


def test_a_refuted_idea_is_red_on_the_same_commit_and_amber_later() -> None:
    refused = Step("p-1", proposal("voting"), refused=ev.ProposalRefused("p-1", "me", "no"), closed=True)
    assert lights({}, (refused,))["new idea"].level == "red"
    assert lights({}, (refused,), base_commit="c7")["new idea"].level == "amber"
    assert lights({}, (refused,), idea="other")["new idea"].level == "ok"


def test_more_compute_is_amber_and_says_how_much() -> None:
    light = lights({}, predicted_cost={"calls": 5.0})["compute"]
    assert (light.level, light.detail) == ("amber", "calls ×5.0")


@pytest.mark.parametrize(
    "text", ["X = " + "-" * 100_000 + "1\n", "X = " + "(" * 5000 + ")" * 5000 + "\n"], ids=["deep", "nested"]
)
def test_syntax_made_to_exhaust_the_parser_is_red_and_nothing_more(text: str) -> None:
    assert lights({"tools.py": text})["parses"].level == "red"


@pytest.mark.parametrize(
    "files",
    [
        {"os/x.md": "hi\n", "tools.py": "import os\n"},
        {"tools.py": "from pathlib import os\n"},
        {"tools.py": "__builtins__['exec']('1')\n"},
        {"tools.py": "import posix\n"},
    ],
    ids=["disguise", "by the back", "builtins", "posix"],
)
def test_ways_around_the_import_light_are_red_too(files: dict[str, str]) -> None:
    assert lights(files)["imports"].level == "red"


def test_a_detail_is_short_whatever_the_patch() -> None:
    many = "".join(f"import unheard_of_{number}\n" for number in range(3000))
    assert len(lights({"tools.py": many})["imports"].detail) <= 200


@pytest.mark.parametrize(
    ("backend", "staleness", "rank", "said"),
    [
        ("hf", 8, 512, ""),
        ("vllm", 2, 32, ""),
        ("vllm", 3, 32, "staleness 3 needs policy.vllm.adapters 5"),
        ("vllm", 0, 64, "rank 64 needs policy.vllm.rank 64"),
        ("remote", 0, 8, "not ours to train"),
    ],
)
def test_a_plan_whose_adapters_could_not_be_served_is_red(backend: str, staleness: int, rank: int, said: str) -> None:
    plan = TrainPlan("grpo", 1, 1, 2, 2, 8, 1e-4, staleness=staleness, rank=rank)
    light = check_served(plan, backend, adapters=4, rank=32)
    assert (light.level == "red") == bool(said) and said in light.detail


def test_what_another_run_tried_in_vain_is_amber_by_name_or_by_what_it_does() -> None:
    made = replace(proposal("voting"), patch="--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n")
    failed = Idea(
        "p-1", "other", "1", "Voting", "", "votes", "me", "harness", 0, "rolled back", "worse on dev", -0.01, -0.02, 0.0
    )
    [light] = check_tried(made, [failed])
    assert (light.level, light.detail) == (
        "amber",
        "Voting in other: rolled back, -1.0 [-2.0, +0.0] on dev (worse on dev)",
    )
    moved = replace(made, patch="--- a/x\n+++ b/x\n@@ -9 +9 @@\n c\n-a\n+b\n")
    renamed = replace(failed, idea="ballots", change=moved.change)
    assert [light.level for light in check_tried(made, [renamed])] == ["amber"]
    kept = replace(failed, outcome="kept", run="third")
    [light] = check_tried(made, [failed, kept])
    assert light.level == "amber" and light.detail.endswith("; tried in 2 runs, kept in 1")
    assert [light.level for light in check_tried(made, [kept])] == ["ok"]
    assert [light.level for light in check_tried(made, [replace(failed, idea="greedy")])] == ["ok"]
    assert check_tried(made, None) == (), "no light where other runs are not looked at"
