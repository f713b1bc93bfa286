"""Whether two runs came to the same: what happened, every episode, every adapter, and nothing left over."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from sia_tui.core.episodes import Score
from sia_tui.core.ledger import ledger
from sia_tui.core.state import State
from sia_tui.engine.verifying import verify
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths, Workspace
from tests.e2e.killing import belonging, command

OF_KILLS = ("EngineStarted", "TrainerLost", "RunPaused", "RunResumed")
"""Events that say that a part was lost and begun anew, or waited for: an undisturbed run has none of them, or one start."""


def state_of(paths: RunPaths) -> State:
    with closing(RunReader(paths.db)) as reader:
        return reader.state()


def story(paths: RunPaths) -> list[Any]:
    """What happened, without ids and dates: trees, scores, fates."""
    state = state_of(paths)
    generations = [(g.tree, g.kept, {s: (r.mean, r.n) for s, r in g.results.items()}) for g in state.generations]
    steps = [(s.proposal.title, s.lights, s.preview, s.measured and s.measured.gain) for s in state.steps]
    return [generations, steps, state.incumbent, state.stop_reason, state.status]


def decisions(paths: RunPaths) -> list[Any]:
    """The ledger, without what time it took and was."""
    timeless = {"step": "", "cost": None, "predicted_cost": None, "minutes": None, "verdicts": ()}
    return [replace(made, **timeless) for made in ledger(state_of(paths))]


def outcomes(paths: RunPaths) -> dict[tuple[str, str], tuple[str | None, Score, int]]:
    """Every measured episode's answer, score and number of calls."""
    with closing(RunReader(paths.db)) as reader:
        return {
            (generation.key, attempt.case.id): (attempt.answer, score, len(attempt.calls))
            for generation in reader.state().generations
            for split in ("train", "dev", "hidden", "test")
            for _, attempt, score in reader.trajectories(generation.key, split)
        }


def kinds(paths: RunPaths) -> Counter[str]:
    with closing(sqlite3.connect(paths.db)) as db:
        return Counter(
            kind
            for (kind,) in db.execute(f"select kind from events where kind not in ({', '.join(map(repr, OF_KILLS))})")
        )


def sampled(paths: RunPaths) -> Counter[tuple[Any, ...]]:
    """Rollouts of pilots and trainings: for which step, what for, of which case and draw, and what they earned."""
    with closing(RunReader(paths.db)) as reader:
        return Counter(
            (number, row.purpose, row.step, row.case_id, row.sample, row.reward)
            for number, step in enumerate(reader.state().steps)
            for row in reader.sampled(step.id)
        )


def adapter_gap(mine: RunPaths, theirs: RunPaths) -> float:
    """The largest difference of any weight of any adapter; infinite where they are not of the same shape and number."""
    gaps = [0.0]
    for one, other in zip_longest(_adapters(mine), _adapters(theirs)):
        if one is None or other is None or one.keys() != other.keys():
            return float("inf")
        gaps += [float(np.abs(one[name] - other[name]).max()) for name in one]
    return max(gaps)


def _adapters(paths: RunPaths) -> list[dict[str, Any]]:
    trained = [step.trained.adapter for step in state_of(paths).steps if step.trained]
    return [load_file(paths.adapter(sha256) / "adapter_model.safetensors") for sha256 in trained]


def broken(workspace: Workspace, paths: RunPaths) -> list[str]:
    """What `sia-tui verify` calls broken."""
    found = verify(workspace, paths, lambda _: None)
    return [f"{check.name}: {check.told}" for check in found if check.level == "broken"]


def _worktrees(workspace: Workspace) -> list[Path]:
    """Those that git knows of."""
    told = (workspace.harness_repository / ".git" / "worktrees").glob("*/gitdir")
    return [Path(file.read_text().strip()).parent for file in told]


def left_over(workspace: Workspace, paths: RunPaths) -> list[str]:
    """Processes, checkpoints, adapters, half-written files and worktrees that a run that is over has no use for."""
    wanted = {paths.adapter(s.trained.adapter) for s in state_of(paths).steps if s.trained}
    wanted |= {workspace.run(name).worktree for name in workspace.run_names()}
    found = [command(entry).replace("\0", " ") for entry in belonging(paths)]
    found += [str(path) for path in paths.training.glob("*")]
    found += [str(path) for path in paths.adapters.glob("*") if path not in wanted]
    found += [str(path) for path in paths.root.rglob("scratch-*")]
    return found + [str(path) for path in _worktrees(workspace) if path not in wanted]


def differences(workspace: Workspace, mine: RunPaths, theirs: RunPaths, tolerance: float) -> list[str]:
    """In words; empty where the two are alike. Episodes are one for one, adapters alike within `tolerance`."""
    looks = {"story": story, "ledger": decisions, "events": kinds, "episodes": outcomes, "rollouts": sampled}
    found = [name for name, look in looks.items() if look(mine) != look(theirs)]
    if (gap := adapter_gap(mine, theirs)) > tolerance:
        found.append(f"adapters differ by {gap:.2g}")
    return found + broken(workspace, mine) + [f"left over: {it}" for it in left_over(workspace, mine)]
