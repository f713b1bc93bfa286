"""A task of one's own, from two files to a measured run, as a new user would go."""

from __future__ import annotations

import json
from random import Random

import pytest
import yaml

from tests.e2e.conftest import Desk
from tests.e2e.killing import paths_of

REWARD = """
def exact(answer, case):
    return float(answer.strip().lower() == case["gold"])
"""
HOLLOW = """
def exact(answer, case):
    return float(case["gold"] in answer.lower())
"""
"""Pays whoever names all labels."""
WORDS = {"fruit": ("apple", "pear", "plum"), "metal": ("iron", "zinc", "tin"), "beast": ("goat", "wolf", "fox")}
AROUND = ("the", "of", "we", "saw", "then", "was", "there", "near", "old", "small", "long", "far", "by", "night")


def cases(count: int = 150) -> list[dict[str, str]]:
    draw = Random(4)
    made = []
    for _ in range(count):
        label = draw.choice(sorted(WORDS))
        words = [*draw.choices(AROUND, k=14), *draw.choices(WORDS[label], k=2)]
        draw.shuffle(words)
        made.append({"input": " ".join(words), "gold": label})
    return made


@pytest.mark.long
def test_two_files_become_a_measured_run(desk: Desk) -> None:
    home = desk.workspace.parent
    (home / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in cases()), encoding="utf-8")
    (home / "rewards.py").write_text(REWARD, encoding="utf-8")
    folder, config = home / "topics", home / "topics" / "run.yaml"
    reward = f"{home / 'rewards.py'}:exact"
    made = desk.cli(
        "tasks", "new", "topics", "--cases", str(home / "cases.jsonl"), "--reward", reward, "--folder", str(folder)
    )
    assert made.returncode == 0, made.stderr
    checked = desk.cli("tasks", "check", str(folder), "--json")
    assert checked.returncode == 0 and all(row["level"] == "ok" for row in json.loads(checked.stdout)), (
        checked.stdout + checked.stderr
    )
    told = yaml.safe_load(config.read_text())
    recipe = {"hidden": 64, "heads": 4, "vocab": 500, "steps": 40, "batch": 8, "excerpt": 60, "threads": 1}
    told |= {"evaluate": {"train": 12, "preview": 6, "hidden": 10, "test": 10}, "budget": {"steps": 1}}
    told["policy"]["recipe"] = recipe
    told["gate"]["policy"] = "auto"
    config.write_text(yaml.safe_dump(told))
    (folder / "rewards.py").write_text(HOLLOW, encoding="utf-8")
    refused = desk.cli("run", str(config), "--name", "topics-1", script="gates")
    said = refused.stdout.splitlines()[-1]
    assert refused.returncode == 1 and "failed: the evaluator is not fit: shape: 3 of 3 paid: all-labels" in said
    assert "sia-tui resume topics-1 --accept-risk shape --reason T --accept-risk exploits --reason T" in said
    assert desk.show("topics-1")["null_baselines"] == {}
    risks = ("--accept-risk", "shape", "--reason", "labels are read by a person", "--accept-risk", "exploits")
    ended = desk.cli("resume", "topics-1", *risks, "--reason", "a first try", script="gates")
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-2000:]
    shown = desk.show("topics-1")
    assert shown["task"] == "topics" and shown["status"] == "done" and shown["test"]["n"] == 10
    assert set(shown["null_baselines"]) == {"majority", "nearest", "linear-svc"}
    assert shown["null_baselines"]["linear-svc"]["dev"] > 0.8
    accepted = {risk["row"]: risk["reason"] for risk in shown["evaluator"]["accepted"]}
    assert accepted == {"shape": "labels are read by a person", "exploits": "a first try"}
    assert "accepted risk: shape — labels are read by a person" in ended.stdout
    assert "accepted risk: shape — labels are read" in desk.git("log", "--notes=sia/topics-1", "topics-1")
    # The package on the seed branch is the task's own, beside the house's.
    assert desk.git("ls-tree", "--name-only", "seed", "topics/").split()[-1] == "topics/tools.py"
    assert paths_of(desk, "topics-1").db.is_file()
