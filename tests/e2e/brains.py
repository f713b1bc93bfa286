"""What a scripted model says as Meta-Agent, Feedback-Agent and critic: dialogues that read, try, err and are corrected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.agents.turns import Asked, Call, Say, Turn, Usage
from tests.e2e.script import CLONING, better

LIGHT = Path("tests/e2e/light/tools.py")
SEED = {path.name: path.read_text(encoding="utf-8") for path in (*Path("harness_repo/lawbench").glob("*.*"), LIGHT)}
FIRST = {name: text for name, text in SEED.items() if name.endswith((".py", ".md"))} | {
    "prompt.md": "案情：{facts}\n罪名：\n"
}
USAGE = Usage(input=1000, output=50, cache_read=400)
"""Of every reply: what a whole run costs is then known to the cent."""


def answer(asked: Asked) -> Turn:
    """By the role's prompt, and by how far the dialogue has come."""
    if "You are the critic" in asked.system:
        return critic(asked)
    return meta(asked) if "You are the Meta-Agent" in asked.system else feedback(asked)


def meta(asked: Asked) -> Turn:
    """First a package that does not parse, then one that fails, then a good one."""
    broken = FIRST | {"harness.py": "async def solve(case, llm, tools)\n"}
    failing = FIRST | {"answers.py": "raise RuntimeError('not today')\n"}
    return _said((broken, failing, FIRST)[min(asked.turn, 2)])


def _said(files: Mapping[str, str]) -> Call:
    written = [{"path": path, "text": text} for path, text in files.items()]
    return Call("answer", {"files": written, "note": "asks in other words"}, USAGE)


def feedback(asked: Asked) -> Turn:
    """Of the first step: looks about, tries its edits, answers wrongly once, then rightly. Then a training, then stop."""
    steps = len(re.findall(r"^- p-", asked.prompt, re.MULTILINE))
    episodes = re.findall(r"\be-[0-9a-f]{10}\b", asked.prompt)
    if steps == 1:
        return _proposed("harness", episodes, edits=_edits()) if asked.turn >= 6 else _looking(asked, episodes)
    if steps == 2:
        return _proposed("weights", episodes, plan=PLAN)
    return _proposed("stop", [], gain=0.0, gain_low=0.0, gain_high=0.0)


PLAN = {
    name: getattr(CLONING, name)
    for name in ("algorithm", "steps", "cases_per_step", "samples", "cases", "learning_rate")
}


def _looking(asked: Asked, episodes: list[str]) -> Turn:
    train = re.findall(r"case (\S+) train", " ".join(result.text for m in asked.messages for result in m.results))
    looks: list[Turn] = [
        Call("list_trajectories", {"split": "train"}, USAGE),
        Call("read_trajectory", {"episode": episodes[0]}, USAGE),
        Call("python", {"code": COUNT}, USAGE),
        Call("run_harness", {"cases": train[:3], "edits": _edits()}, USAGE),
        _proposed("harness", ["e-0000000000"], edits=_edits()),
        _proposed("harness", episodes, edits=[{"path": "../escape.py", "find": None, "text": "x = 1"}]),
    ]
    return looks[asked.turn]


COUNT = """
import collections, json
rows = [json.loads(line) for line in open("trajectories.jsonl", encoding="utf-8")]
print(len(rows), collections.Counter(row["kind"] for row in rows))
assert all(row["expected"] is None for row in rows if row["split"] == "dev")
"""


def _edits() -> list[dict[str, Any]]:
    changed = better(FIRST)
    return [{"path": path, "find": None, "text": text} for path, text in changed.items() if FIRST.get(path) != text]


def _proposed(lever: str, episodes: list[str], **fields: Any) -> Call:
    said = {
        "lever": lever,
        "title": f"a model's {lever} step",
        "reason": "the failures say so: counted and read",
        "idea": f"model-{lever}",
        "evidence": episodes[:3],
        "gain": 0.2,
        "gain_low": 0.05,
        "gain_high": 0.4,
        "refuted_by": "no gain on dev",
    }
    return Call("answer", said | fields, USAGE)


def critic(asked: Asked) -> Turn:
    """Doubts the patch, first by an episode that is not there; has nothing against the rest; of the end it never gets to
    the point."""
    lever = re.search(r"^(harness|weights|stop): ", asked.prompt, re.MULTILINE)
    assert lever is not None
    if lever[1] == "stop":
        return Say("on the one hand, on the other hand", USAGE)
    named = re.findall(r"\be-[0-9a-f]{10}\b", asked.prompt)
    doubt, evidence = ("some", named[:1] if asked.turn else ["e-0000000000"]) if named else ("none", [])
    return Call("answer", {"doubt": doubt, "note": f"{len(named)} episodes are named", "evidence": evidence}, USAGE)
