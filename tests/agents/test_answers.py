"""From a model's answer to a proposal: its edits become a diff that git applies, and what cannot stand is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sia_tui.agents.llm.answers import Edit, Invalid, Plan, Proposed, edited, planned, proposal
from sia_tui.config import WeightsConfig
from sia_tui.core.diffs import patch
from sia_tui.harness.repository import HarnessRepository

FILES = {"harness.py": "async def solve(case, llm, tools):\n    return None\n", "prompt.md": "Say: {facts}\n"}
SURFACE = ("*.py", "*.md")
PLANS = WeightsConfig().plans(0)


def said(**fields: Any) -> Proposed:
    whole: dict[str, Any] = {
        "lever": "harness",
        "title": "another prompt",
        "reason": "the prompt misleads in 40 of 60 failures",
        "idea": "other-prompt",
        "evidence": ["e-1"],
        "edits": [{"path": "prompt.md", "find": "Say", "text": "Answer"}],
        "gain": 0.05,
        "gain_low": 0.0,
        "gain_high": 0.1,
        "refuted_by": "no gain on dev",
    }
    return Proposed.model_validate(whole | fields)


def made(**fields: Any) -> Any:
    return proposal(said(**fields), FILES, SURFACE, PLANS, ("harness", "weights"), "c0ffee", frozenset({"e-1"}))


def test_edits_become_a_patch() -> None:
    found = made()
    assert found.patch == "--- a/prompt.md\n+++ b/prompt.md\n@@ -1 +1 @@\n-Say: {facts}\n+Answer: {facts}\n"
    assert (
        found.refuted_by == "no gain on dev" and found.predicted_range is not None and found.predicted_range[0] <= 0.05
    )
    assert found.predicted_gain == 0.05 and found.base_commit == "c0ffee" and found.plan is None


def test_a_plan_is_the_houses_with_changes() -> None:
    found = made(lever="weights", edits=[], plan={"algorithm": "grpo", "steps": 7, "rank": 16})
    house = next(plan for plan in PLANS if plan.algorithm == "grpo")
    assert (found.plan.steps, found.plan.rank, found.plan.alpha) == (7, 16, 32)
    assert found.plan.learning_rate == house.learning_rate and found.patch is None


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no edits": ({"edits": []}, "needs edits"),
    "a plan too": ({"plan": {"algorithm": "grpo"}}, "takes no plan"),
    "no plan": ({"lever": "weights", "edits": []}, "needs a plan"),
    "evidence of nowhere": ({"evidence": ["e-2"]}, "e-2"),
    "no evidence": ({"evidence": []}, "at least one episode"),
    "a gain outside its range": ({"gain": 0.5}, "between gain_low and gain_high"),
    "out of the folder": ({"edits": [{"path": "../x.py", "text": "x"}]}, "may not be written"),
    "an absolute path": ({"edits": [{"path": "/etc/x.py", "text": "x"}]}, "may not be written"),
    "another kind of file": ({"edits": [{"path": "x.so", "text": "x"}]}, "may not be written"),
    "text that is not there": ({"edits": [{"path": "prompt.md", "find": "Sing", "text": "x"}]}, "0 times"),
    "text that is there twice": ({"edits": [{"path": "prompt.md", "find": "a", "text": "x"}]}, "2 times"),
    "a file that is not there": ({"edits": [{"path": "y.md", "find": "a", "text": "x"}]}, "no such file"),
    "no change": ({"edits": [{"path": "prompt.md", "find": "Say", "text": "Say"}]}, "change nothing"),
    "code that does not parse": ({"edits": [{"path": "x.py", "text": "def"}]}, "does not parse"),
    "no solve": ({"edits": [{"path": "harness.py", "text": "x = 1"}]}, "defines no"),
    "a plan out of range": (
        {"lever": "weights", "edits": [], "plan": {"algorithm": "grpo", "learning_rate": 9.0}},
        "learning_rate",
    ),
}


@pytest.mark.parametrize(("fields", "reason"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_stand_is_named(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(Invalid, match=reason):
        made(**fields)


def test_a_lever_the_run_may_not_pull_is_refused() -> None:
    with pytest.raises(Invalid, match="harness only"):
        proposal(
            said(lever="weights", edits=[], plan={"algorithm": "grpo"}),
            FILES, SURFACE, PLANS, ("harness",), "c", frozenset({"e-1"}),
        )  # fmt: skip


@pytest.mark.parametrize("field", [{"gain": float("nan")}, {"idea": "No Spaces"}, {"lever": "prompt"}, {"x": 1}])
def test_a_malformed_answer_is_no_answer(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        said(**field)


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(Invalid, match="cannot be trained here"):
        planned(Plan(algorithm="ppo"), [plan for plan in PLANS if plan.algorithm != "ppo"])


LINES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\r\x00\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=12),
    max_size=8,
)


@settings(max_examples=25)
@given(old=LINES, new=LINES, fresh=LINES, end=st.booleans())
def test_git_makes_of_the_patch_the_files_that_were_meant(
    tmp_path_factory: pytest.TempPathFactory, old: list[str], new: list[str], fresh: list[str], end: bool
) -> None:
    """Whatever the lines: changed, added and removed files come out as they were meant."""
    root: Path = tmp_path_factory.mktemp("git")
    before = {"harness.py": FILES["harness.py"], "a.md": "\n".join(old) + "\n", "gone.md": "x\n"}
    after = {
        "harness.py": FILES["harness.py"],
        "a.md": "\n".join(new) + ("\n" if end else "!"),
        "b.md": "\n".join(fresh) + "\n",
    }
    for path, text in before.items():
        (root / "seeds" / "task").mkdir(parents=True, exist_ok=True)
        (root / "seeds" / "task" / path).write_text(text, encoding="utf-8", newline="")
    repository, seed = HarnessRepository.plant(
        root / "harness", "task", HarnessRepository.package_in(root / "seeds" / "task")
    )
    tree = repository.patched_tree(seed, "task", patch(before, after), SURFACE)
    assert repository.files(tree, "task") == after


def test_edits_are_made_in_order() -> None:
    edits = [Edit(path="prompt.md", find="Say", text="Ask"), Edit(path="prompt.md", find="Ask", text="Tell")]
    assert edited(FILES, edits, SURFACE)["prompt.md"] == "Tell: {facts}\n"
