"""The second lever for real: LoRA by TRL on rollouts of the run's own harness, published, proved, measured, kept or not."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from sia_tui.core.state import State
from sia_tui.policy.adapters import adapter_hash
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths
from tests.e2e.conftest import Desk
from tests.e2e.killing import kill, kill_until, paths_of, require_no_orphans, start, wait_for

pytestmark = pytest.mark.xdist_group("e2e-levers")


@pytest.fixture(scope="module")
def levers(desk: Desk) -> RunPaths:
    """A finished run: a patch with a cold start in one step, then GRPO."""
    ended = desk.cli("run", str(desk.config), "--name", "levers", script="levers")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return paths_of(desk, "levers")


def state_of(paths: RunPaths) -> State:
    return RunReader(paths.db).state()


def test_each_training_comes_to_a_measured_generation(levers: RunPaths) -> None:
    state = state_of(levers)
    trained = [step for step in state.steps if step.proposal.trains]
    assert [step.proposal.idea for step in trained] == ["both", "grpo"]
    for step in trained:
        assert step.pilot and step.training and step.trained and step.measured, step
        assert step.trained.moved == step.trained.modules == 14
        assert step.trained.probe_gap < 1e-3
        sampled = RunReader(levers.db).sampled(step.id)
        assert step.pilot.pilot.n * step.pilot.pilot.samples == sum(row.purpose == "pilot" for row in sampled) + reused(
            levers, step.id
        )
        whole = list(RunReader(levers.db).rollouts(step.id))
        assert [episode for episode, _, _ in whole] == [row.id for row in sampled]
        assert {attempt.case.split for _, attempt, _ in whole} == {"train"}


def test_of_both_levers_each_is_measured_alone_and_together(levers: RunPaths) -> None:
    state = state_of(levers)
    step, first = state.steps[0], state.generations[0]
    harness, weights, both = (state.generations[index] for index in step.candidates)
    assert [made.lever for made in (harness, weights, both)] == ["harness", "weights", "both"]
    assert (weights.tree, harness.adapter) == (first.tree, first.adapter) == (weights.tree, None)
    assert (both.tree, both.adapter) == (harness.tree, weights.adapter) and both.adapter
    assert [found.generation for found in step.measures] == list(step.candidates)
    best = max(step.measures, key=lambda found: found.lo)
    assert [made.index for made in (harness, weights, both) if made.kept] == [best.generation]
    assert step.preview is not None and step.pilot is not None and step.trained is not None
    # Rollouts were made with the patch, without which nothing is solved.
    assert step.pilot.pilot.pass_1 > 0.1 > first.results["train"].mean


def test_each_pilot_made_two_steps_and_kept_nothing_of_them(levers: RunPaths) -> None:
    reader = RunReader(levers.db)
    for step in (step for step in state_of(levers).steps if step.trained):
        made = step.pilot.pilot.rehearsal if step.pilot else None
        assert made and step.proposal.plan and not made.fault, made
        assert made.steps == 2 and 0 < made.step_s < made.seconds and 0 < made.learned <= step.proposal.plan.learned
        trained = [row.values for row in reader.metrics(step.id) if row.step]
        assert made.peak_gib == pytest.approx(max(values["peak_gib"] for values in trained), rel=0.2)
        assert [row.step for row in reader.metrics(step.id)] == list(range(len(trained) + 1))
        assert ("rehearsal", "ok") in [(light.name, light.level) for light in step.lights or ()]
    assert list(levers.training.glob("*")) == []


def reused(paths: RunPaths, proposal: str) -> int:
    """Rollouts of a pilot that an earlier training on the same generation had made already."""
    state = state_of(paths)
    step = state.step(proposal)
    made = [row for row in RunReader(paths.db).sampled(proposal) if row.purpose == "pilot"]
    assert step.pilot is not None
    return step.pilot.pilot.n * step.pilot.pilot.samples - len(made)


def test_a_weights_generation_is_a_commit_that_names_its_adapter(desk: Desk, levers: RunPaths) -> None:
    state = state_of(levers)
    cloned = next(g for g in state.generations if g.lever == "weights")
    parent = state.generations[cloned.parent or 0]
    told = json.loads(desk.git("show", f"levers/g{cloned.index}:generation.json"))
    assert told["adapter"] == cloned.adapter and told["harness"] == parent.tree == cloned.tree
    assert cloned.key != parent.key
    assert cloned.adapter is not None
    folder = levers.adapter(cloned.adapter)
    assert adapter_hash(folder) == cloned.adapter
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["adapter"] == cloned.adapter and manifest["base_model"] == told["base_model"]
    for made in (made for made in state.generations if made.adapter and made.lever == "weights"):
        step = state.step(str(made.proposal))
        said = json.loads((levers.adapter(str(made.adapter)) / "manifest.json").read_text())
        assert step.training is not None and said["parent"] == step.training.parent_adapter
    assert manifest["plan"]["algorithm"] == "best_of_n" and all(change > 0 for change in manifest["moved"].values())
    assert desk.git("diff", "--name-only", f"levers/g{parent.index}", f"levers/g{cloned.index}").split() == [
        "generation.json"
    ]


def test_training_looks_at_train_cases_only_and_stops_by_those_held_out(levers: RunPaths) -> None:
    state, reader = state_of(levers), RunReader(levers.db)
    for step in (step for step in state.steps if step.trained):
        rows = reader.sampled(step.id)
        assert {row.split for row in rows} == {"train"} and all(row.fold is not None for row in rows)
        learned = {row.case_id for row in rows if row.purpose in ("train", "pilot")}
        held_out = {row.case_id for row in rows if row.purpose == "held_out"}
        assert held_out and learned and not learned & held_out


def test_rollouts_for_training_carry_the_samplers_own_logprobs(levers: RunPaths) -> None:
    state, reader = state_of(levers), RunReader(levers.db)
    step = next(step for step in state.steps if step.proposal.idea == "grpo")
    row = next(row for row in reader.sampled(step.id) if row.purpose == "train" and row.step)
    found = reader.trajectory(row.id)
    assert found is not None
    for call in found[0].calls:
        assert call.temperature == 1.0 and call.top_p == 1.0 and call.adapter
        assert len(call.completion_ids) == len(call.logprobs) > 0 and all(p <= 0 for p in call.logprobs)


def test_metrics_were_written_step_by_step(levers: RunPaths) -> None:
    state, reader = state_of(levers), RunReader(levers.db)
    step = next(step for step in state.steps if step.proposal.idea == "grpo")
    rows = reader.metrics(step.id)
    assert [row.step for row in rows] == list(range(step.trained.steps + 1)) if step.trained else False
    assert "held_out" in rows[0].values
    wanted = {"reward", "useful", "loss", "kl", "completions/mean_length", "rollout_s", "train_s", "peak_gib"}
    wanted |= {"completions/p95_length", "tokens", "rollout_tokens_s", "train_tokens_s"}
    assert all(wanted <= set(row.values) for row in rows[1:])
    seen = {name for row in rows for name in row.values}
    assert {"gateway/running", "gateway/queue", "gateway/tokens_s", "cores", "rss_gib/trainer"} <= seen


MOMENTS = (
    ("verifier", "select count(*) from episodes where purpose = 'pilot'", 4),
    ("trainer", "select count(*) from episodes where purpose = 'train'", 8),
    ("gateway", "select count(*) from metrics where step >= 1", 1),
    ("worker", "select count(*) from (select distinct proposal from episodes where purpose = 'train')", 2),
    ("engine", "select count(*) from (select distinct proposal from metrics where step >= 1)", 2),
)


@pytest.mark.long
def test_a_training_killed_in_every_part_ends_as_if_it_had_not_been(desk: Desk, levers: RunPaths) -> None:
    """The verifier, the trainer, the gateway, a harness worker and the engine, one after the other, amid the second lever;
    and in turns, as on a GPU that does not hold both."""
    paths, log = paths_of(desk, "killed-levers"), desk.workspace.parent / "levers.log"
    in_turns = ("--set", "weights.turns=always")
    engine = start(desk, "run", str(desk.config), "--name", "killed-levers", *in_turns, script="levers", log=log)
    for part, query, least in MOMENTS:
        assert wait_for(paths, engine, query, least), f"the engine ended before the {part} could be killed"
        if part == "engine":
            engine.kill()
            engine.wait(timeout=30)
            require_no_orphans(paths)
            engine = start(desk, "resume", "killed-levers", script="levers", log=log)
        elif part == "verifier":
            kill_until(paths, part, "the verifier ended with code -9; starting it again", log)
        else:
            assert kill(paths, part) >= 1
    assert engine.wait(timeout=240) == 0, log.read_text()[-3000:]
    assert fates_of(paths) == fates_of(levers)
    assert same_start(paths, levers)
    assert all(step.training.in_turns for step in state_of(paths).steps if step.training)
    require_turns(paths)


def require_turns(paths: RunPaths) -> None:
    """No step was made while the policy was awake, and no rollout while it slept."""
    naps = naps_of(paths)
    with closing(sqlite3.connect(paths.db)) as db:
        steps = [datetime.fromisoformat(at) for (at,) in db.execute("select at from metrics where step > 0")]
        rollouts = [datetime.fromisoformat(at) for (at,) in db.execute("select at from episodes")]
    assert len(naps) > 6 and len(steps) > 6 and len(rollouts) > 100
    # Both clocks drop what is less than a millisecond.
    assert all(any(start <= at <= end for start, end in naps) for at in steps)
    assert not any(start < at < end for start, end in naps for at in rollouts)


def naps_of(paths: RunPaths) -> list[tuple[datetime, datetime]]:
    """From falling asleep to waking, or to the next gateway where one was killed asleep; by the gateways' own log."""
    naps, since = [], None
    for line in (paths.logs / "gateway.log").read_text().splitlines():
        said = re.match(r"(\S+ \S+) INFO sia\.gateway: (asleep|awake|serving)", line)
        if said is None:
            continue
        at = datetime.strptime(said[1], "%Y-%m-%d %H:%M:%S,%f").astimezone()
        if since is not None:
            naps.append((since, at))
        since = at if said[2] == "asleep" else None
    return naps


CLOSE = 2e-3
"""Rollouts that were under way at a kill are made again in other batches, whose logprobs differ in their last bits; Adam
makes of that up to a learning rate a step where a gradient is nearly nothing. On-policy steps may then part for good, so
only what was cloned from the same rollouts is compared."""


def fates_of(paths: RunPaths) -> list[Any]:
    state = state_of(paths)
    trained = [(s.trained.steps, s.trained.modules, s.trained.moved) for s in state.steps if s.trained]
    return [trained, [(g.tree, g.lever, "dev" in g.results) for g in state.generations], state.status]


def same_start(mine: RunPaths, theirs: RunPaths) -> bool:
    """Whether the first adapters, made by cloning, are the same."""
    one, other = first_adapter(mine), first_adapter(theirs)
    return one.keys() == other.keys() and all(np.allclose(one[name], other[name], atol=CLOSE) for name in one)


def first_adapter(paths: RunPaths) -> dict[str, Any]:
    trained = next(step.trained for step in state_of(paths).steps if step.trained)
    return load_file(paths.adapter(trained.adapter) / "adapter_model.safetensors")


def test_a_branch_goes_on_from_the_adapter(desk: Desk, levers: RunPaths) -> None:
    """One step of measuring is enough: generation 0 of the branch is the weights generation it was branched from."""
    cloned = next(g for g in state_of(levers).generations if g.lever == "weights")
    told = desk.cli("branch", "levers", f"g{cloned.index}")
    name = told.stdout.split(":")[0]
    assert told.returncode == 0 and cloned.adapter is not None, told.stderr
    assert adapter_hash(paths_of(desk, name).adapter(cloned.adapter)) == cloned.adapter
    paths, log = paths_of(desk, name), desk.workspace.parent / "branch.log"
    engine = start(desk, "resume", name, script="levers", log=log)
    assert wait_for(paths, engine, "select count(*) from events where kind = 'Evaluated'", 1), log.read_text()
    engine.terminate()
    assert engine.wait(timeout=30) == 130
    first = state_of(paths).generations[0]
    assert (first.key, first.adapter) == (cloned.key, cloned.adapter)
    assert first.results["dev"].mean == cloned.results["dev"].mean
