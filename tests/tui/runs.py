"""Runs at a chosen moment of their life, without an engine."""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from sia_tui.core import events as ev
from sia_tui.core.machine import Usage
from sia_tui.core.proposals import Lever
from sia_tui.store.workspace import RunPaths
from tests.tui.writer import CLONING, CONFIG_HASH, HOSTILE, PLAN, START, Writer, writing

Scene = Literal[
    "fresh", "patch_gate", "plan_gate", "both_gate", "both_done", "training", "cluster", "keep_gate", "done"
]
"""`fresh`: just created. `patch_gate`, `plan_gate`, `both_gate`, `keep_gate`: waiting. `both_done`: three
candidates measured. `training`: step 18 of 30. `cluster`: that, on three nodes with three replicas. `done`: test opened."""

_WRITTEN = tempfile.TemporaryDirectory(prefix="runs-")


def make_run(root: Path, scene: Scene) -> RunPaths:
    """A run at one moment of its life, without an engine."""
    shutil.copytree(_written(root.name, scene), root, dirs_exist_ok=True)
    return RunPaths(root)


@cache
def _written(name: str, scene: Scene) -> Path:
    """Written once a process, to be copied: the folder of the run."""
    root = Path(_WRITTEN.name) / scene / name
    with writing(root) as run:
        run.store.record(ev.RunCreated(name, "lawbench", CONFIG_HASH)) if scene == "fresh" else _tell(run, name, scene)
    return root


def moment(paths: RunPaths) -> datetime:
    """A little after the last thing that was written."""
    from sia_tui.store.reader import RunReader

    reader = RunReader(paths.db)
    try:
        progress = reader.progress()
        last = progress.beat_at if progress else reader.state().last_at
        return datetime.fromisoformat(last or START.isoformat()) + timedelta(seconds=1)
    finally:
        reader.close()


def _tell(run: Writer, name: str, scene: Scene) -> None:
    run.prepare(name)
    run.generation(None, 0.012)
    run.step("Show the 10 charges the search ranks first", 0.31, "better")
    run.step("Vote over five samples " + HOSTILE, 0.27, "worse")
    if scene in ("both_gate", "both_done"):
        return _tell_both(run, scene)
    weights = run.proposal("weights", "GRPO on the cases it sometimes solves", PLAN)
    run.pilot(weights)
    began = run.clock()
    if scene == "plan_gate":
        run.gate(weights)
        return run.store.progress("a person is asked", 0, 0, began)
    run.verdict(run.gate(weights), note="go on")
    if scene in ("training", "cluster"):
        run.train(weights, PLAN, 18)
        usage = Usage((), 1.9, {"trainer": 0.9, "policy": 0.4, "others": 0.3})
        run.store.machine(run.spread(usage) if scene == "cluster" else usage)
        return run.store.progress(f"training {weights}", 18, 30, began, 166.0, "reward 0.449")
    run.train(weights, PLAN, 30)
    run.trained(weights, PLAN)
    if scene == "keep_gate":
        run.measured("weights", weights, 0.318, "indecisive")
        run.gate(weights, "keep")
        return run.store.progress("a person is asked", 0, 0, began)
    run.measured("weights", weights, 0.402, "better")
    patched = run.proposal("harness", "Snap answers to the list of charges")
    run.preview(patched)
    gate = run.gate(patched)
    if scene == "patch_gate":
        return run.store.progress("a person is asked", 0, 0, began)
    run.verdict(gate, "reject", "not now")
    run.store.record(ev.ProposalRefused(patched, "ana", "not now"))
    run.store.record(ev.StopAsked("all 4 steps made", "budget", open_test=True), ev.TestOpened(3, "6" * 64, 1))
    run.evaluate(3, "test", 0.41)
    run.store.record(ev.BaselinesTested({"majority": 0.005, "nearest": 0.55, "linear-svc": 0.736}))
    run.store.record(ev.RunEnded("done", "all 4 steps made"))


def _tell_both(run: Writer, scene: Scene) -> None:
    began = run.clock()
    name = run.proposal("both", "Ask for the charge alone, and clone answers of that form", CLONING)
    run.preview(name)
    run.pilot(name)
    gate = run.gate(name)
    if scene == "both_gate":
        return run.store.progress("a person is asked", 0, 0, began)
    run.verdict(gate, note="go on")
    run.train(name, CLONING, 8)
    run.trained(name, CLONING)
    best = run.store.state.best
    assert best is not None
    means: dict[Lever, float] = {"harness": 0.33, "weights": 0.36, "both": 0.47}
    made = [(run.generation(lever, mean, name, hidden=lever == "both"), mean) for lever, mean in means.items()]
    for index, mean in made:
        gain = mean - best.results["dev"].mean
        outcome = "better" if gain > 0.02 else "indecisive"
        found = ev.Measured(name, index, outcome, gain, gain - 0.02, gain + 0.02, 796, ("dev-0001",), ("dev-0002",))
        run.store.record(found)
    rolled = [ev.GenerationRolledBack(index, "g5 has the better lower bound") for index, _ in made[:2]]
    run.store.record(*rolled, ev.GenerationKept(made[2][0], "better on dev"))
    run.store.progress("the Feedback-Agent reads the trajectories", 0, 0, began)
