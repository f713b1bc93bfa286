"""A Feedback-Agent with a script in place of judgement, and `sia-tui` with it plugged in.

Everything else is the real thing: real policy, gateway, sandbox, git, SQLite. The script forces one step of each fate:
kept, rolled back, refused by the checks (twice), and, where a person is asked, whatever the person says.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from sia_tui.agents.blocks import BLOCKS
from sia_tui.agents.protocol import Record
from sia_tui.core.plans import TrainPlan
from sia_tui.core.proposals import Lever, Proposal

Files = Mapping[str, str]


def better(files: Files) -> dict[str, str]:
    """Three candidates from the search, letters asked for and leniently read: from nothing to a third or so."""
    known, changed = {block.name: block for block in BLOCKS}, dict(files)
    for name in ("shortlist", "lenient-extraction", "narrower-3"):
        changed |= known[name].apply(changed) or {}
    return changed


def better_and_a_note(files: Files) -> dict[str, str]:
    """And a file that nobody asked for, of a name that comes first."""
    return better(files) | {"a_note.md": "made by an agent\n"}


def worse(files: Files) -> dict[str, str]:
    """Throws every other reply away, as a clumsy patch might."""
    return {"answers.py": files["answers.py"] + "\n\nREADERS = READERS[:0]\n"}


def reaching_out(files: Files) -> dict[str, str]:
    return {"harness.py": f"import subprocess\n{files['harness.py']}"}


def broken(files: Files) -> dict[str, str]:
    """Looks well and does not import."""
    return {
        "harness.py": files["harness.py"].replace("from answers import extract", "from answers import extract, missing")
    }


SPY = '''

ROOTS, PRY = {roots}, {pry}


def _spy(case: Case) -> dict[str, object]:
    """Every readable file in which the case's id, or the whole text of it, stands; a path it cannot list is skipped."""
    found, looked = [], 0
    for path in (path for root in ROOTS for path in Path(root).rglob("*") if PRY or "private" not in path.parts):
        try:
            text = path.read_text(encoding="utf-8", errors="ignore") if path.is_file() else ""
        except OSError:
            continue
        looked += 1
        if case.id in text or case.inputs["text"] in text:
            found.append(str(path))
    return dict(found=found, looked=looked)
'''


def spying(files: Files, pry: bool = False) -> dict[str, str]:
    """Looks for its own case in every file it can open, the engine's own folders first, and says so in the notes; to `pry`
    is to open what is called private too."""
    workspace = os.environ["SIA_WORKSPACE"]
    inside = ("/", "/rows", "/tools", "/harness", "/sia", "/scratch", "/tmp", "/etc", "/home", "/root")
    roots = [f"{workspace}/{name}" for name in ("rows", "tools", "runs", "tasks", "harness")] + list(inside)
    text = files["harness.py"].replace("return Answer(charge)", "return Answer(charge, notes=_spy(case))")
    return {
        "harness.py": text.replace("return without_answer(allowed)", "return Answer(None, notes=_spy(case))")
        + SPY.format(roots=roots, pry=pry)
    }


def prying(files: Files) -> dict[str, str]:
    return spying(files, pry=True)


def unappliable(files: Files) -> dict[str, str]:
    return {"answers.py": "nothing of this kind\n" + files["answers.py"]}


CLONING = TrainPlan(
    "best_of_n",
    steps=8,
    cases_per_step=8,
    samples=4,
    cases=24,
    held_out=12,
    eval_every=4,
    learning_rate=3e-3,
    rank=8,
    alpha=16,
)
GRPO = replace(CLONING, algorithm="grpo", steps=2, samples=4, cases=16, eval_every=1, learning_rate=1e-3)

SMALL = replace(CLONING, steps=4, samples=2, cases=16, held_out=8, cases_per_step=4, eval_every=2)
SMALL_GRPO = replace(GRPO, steps=2, samples=2, cases=8, held_out=8, cases_per_step=4, eval_every=1)

Make = Callable[[Files], dict[str, str]]


def remark(number: int) -> Make:
    """Changes nothing but the tree."""
    return lambda files: {"harness.py": f"# remark {number}\n{files['harness.py']}"}


HEAVY = ("fates", "soak", "walk")
"""Scripts whose first harness searches with scikit-learn, as the house's does; that of the others is light."""

Said = Make | TrainPlan | tuple[Make, TrainPlan]
"""A patch, a plan, or both at once."""
SCRIPTS: dict[str, tuple[tuple[str, Said], ...]] = {
    "fates": (
        ("better", better),
        ("reaching-out", reaching_out),
        ("broken", broken),
        ("worse", worse),
        ("unappliable", unappliable),
    ),
    "spy": (("spying", spying), ("prying", prying), ("reaching-out", reaching_out)),
    "gates": (("worse", worse), ("better", better)),
    "levers": (("both", (better, CLONING)), ("grpo", GRPO)),
    "window": (("worse", worse), ("better", better_and_a_note)),
    "soak": tuple((f"remark-{number}", better if number == 0 else remark(number)) for number in range(1000)),
    "walk": (("both", (better, SMALL)), ("broken", broken), ("worse", worse), ("grpo", SMALL_GRPO)),
}


class ScriptedAgent:
    """Reads every trajectory, as any Feedback-Agent does, and then says what the script says."""

    def __init__(self, script: tuple[tuple[str, Said], ...]) -> None:
        self._script = script

    async def propose(self, record: Record) -> Proposal:
        best, made = record.state.best, len(record.state.steps)
        assert best is not None
        read = [reading for split in ("train", "dev") for reading in record.trajectories(split)]  # type: ignore[arg-type]
        assert read and all(reading.expected is None for reading in read if reading.attempt.case.split == "dev")
        if made >= len(self._script):
            return Proposal("stop", "end of the script", "all said", f"stop-{made}", best.commit)
        name, said = self._script[made]
        make, plan = said if isinstance(said, tuple) else (None, said) if isinstance(said, TrainPlan) else (said, None)
        patch = unified(record.files, make(record.files)) if make else None
        if patch and make is unappliable:
            patch = patch.replace(' """Find the charge', ' """Lose the charge')
        lever: Lever = "harness" if plan is None else "weights" if make is None else "both"
        return Proposal(lever, f"script: {name}", f"{len(read)} read", name, best.commit, patch=patch, plan=plan)


def unified(old: Files, new: Files) -> str:
    return "".join(
        line
        for path in sorted(new)
        if old.get(path) != new[path]
        for line in difflib.unified_diff(
            old.get(path, "").splitlines(keepends=True), new[path].splitlines(keepends=True), f"a/{path}", f"b/{path}"
        )
    )


def plug_in(script: str) -> None:
    """The scripted agent, in place of the config's, for engines of this process and those it starts."""
    from sia_tui.cli import background
    from sia_tui.engine import session, step

    if script not in HEAVY:
        session.SEEDS = Path(os.environ["SIA_WORKSPACE"]).parent / "seeds"
    background.PROGRAM = (sys.executable, "-m", "tests.e2e.script", script)
    step.make_feedback_agent = lambda player, calls: ScriptedAgent(SCRIPTS[script])  # type: ignore[assignment]


if __name__ == "__main__":
    from sia_tui.cli.main import main

    plug_in(sys.argv[1])
    raise SystemExit(main(sys.argv[2:]))
