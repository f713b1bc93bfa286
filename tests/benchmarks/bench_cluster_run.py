"""A whole run on a cluster of three nodes (processes of this machine, on loopback) against the same run by this machine alone:
the quick LawBench config, gates answered by rule, each training as two processes. Then once more, where one node is killed
amid an evaluation and one amid a training. Beside both, the run alone a second time: what one machine differs by from itself.

    python -m tests.benchmarks.bench_cluster_run [--folder .sia-cluster] [--config configs/lawbench-nano-quick.yaml] [--set K=V …]

Each run has a workspace of its own, for what one learned another would know, and one name, for what is drawn hangs on it.
Stopped and started again it goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from sia_tui.core.state import Generation
from sia_tui.store.workspace import RunPaths, Workspace
from tests.benchmarks.arms import ENDED, bring_to_its_end, overrides
from tests.cluster.nodes import Cluster, nodes
from tests.e2e.alike import adapter_gap, decisions, outcomes, sampled, state_of
from tests.e2e.killing import asked

NAME, NODES = "run", 3
SHARED = ("policies", "environments", "baselines", "fitness", "tasks")
AMID = 5
MOMENTS = ("select count(*) from episodes where proposal is null", "select count(*) from metrics where step >= 1")
"""Episodes of an evaluation, steps of a training: at the fifth of each a node is killed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".sia-cluster"))
    parser.add_argument("--config", default="configs/lawbench-nano-quick.yaml")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    options = parser.parse_args()
    begin = ["run", options.config, "--name", NAME, "--gate", "auto", "--headless"]
    begin += [word for setting in options.settings for word in ("--set", setting)]
    alone = carried(options.folder, "alone", begin)
    told("alone, once more", carried(options.folder, "again", begin), alone)
    with nodes(NODES, options.folder.absolute() / "ray") as cluster:
        # Where it is hangs on this call, and a run's config stays as it began.
        os.environ["RAY_ADDRESS"] = str(cluster.settings.address)
        far = [*begin, *overrides({"cluster.executor": "ray", "cluster.address": "auto", "weights.workers": 2})]
        told("three nodes", carried(options.folder, "nodes", far), alone)
        with losing(cluster, workspace(options.folder, "killed").run(NAME)):
            killed = carried(options.folder, "killed", far)
        told("two of them killed", killed, alone)


def workspace(folder: Path, name: str) -> Workspace:
    """What takes long to make is shared by all."""
    root = folder.absolute() / name
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for part in SHARED:
        (folder.absolute() / part).mkdir(exist_ok=True)
        if not (root / part).exists():
            (root / part).symlink_to(folder.absolute() / part)
    return Workspace(root)


def carried(folder: Path, name: str, begin: list[str]) -> RunPaths:
    """That run, ended."""
    os.environ["SIA_WORKSPACE"] = str(workspace(folder, name).root)
    began = time.monotonic()
    found = bring_to_its_end(NAME, begin)
    assert found["status"] in ENDED, found
    minutes = found["cost"]["wall_s"] / 60
    print(f"{name}: {found['status']} in {minutes:.1f} min ({time.monotonic() - began:.0f} s of this call)", flush=True)
    return workspace(folder, name).run(NAME)


@contextmanager
def losing(cluster: Cluster, paths: RunPaths) -> Iterator[None]:
    """One node is killed amid the first evaluation, and one amid the first training, of which it holds a process."""
    over = threading.Event()
    watcher = threading.Thread(target=kill_nodes, args=(cluster, paths, over), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join(60)


def kill_nodes(cluster: Cluster, paths: RunPaths, over: threading.Event) -> None:
    for query, node in zip(MOMENTS, reversed(cluster.workers), strict=True):
        while asked(paths, query) < AMID and not over.wait(0.02):
            pass
        if not over.is_set():
            cluster.ray.remove_node(node, allow_graceful=False)
            print(f"a node was killed at {AMID}: {query}", flush=True)


def told(name: str, run: RunPaths, alone: RunPaths) -> None:
    ours, theirs = measured(run), measured(alone)
    same = sum(ours.get(key) == found for key, found in theirs.items())
    drawn, drawn_alone = sampled(run), sampled(alone)
    state = state_of(run)
    lost = sum(node.standing == "lost" for node in state.nodes)
    print(
        f"{name}: decisions {compared(run, alone)};"
        f" episodes {same:,} of {len(theirs):,} the same, {len(ours) - len(theirs):+d};"
        f" rollouts {(drawn & drawn_alone).total():,} of {drawn_alone.total():,};"
        f" adapters differ by at most {adapter_gap(run, alone):.1e}; nodes lost: {lost}",
        flush=True,
    )
    for made, other in zip_longest(state.generations, state_of(alone).generations):
        print(f"  {scored(made)} | alone: {scored(other)}", flush=True)


def compared(run: RunPaths, alone: RunPaths) -> str:
    ours, theirs = decisions(run), decisions(alone)
    if ours == theirs:
        return "the same"
    told = [[replace(made, gain=None, lo=None, hi=None) for made in found] for found in (ours, theirs)]
    return "the same but for what was gained" if told[0] == told[1] else "differ"


def measured(paths: RunPaths) -> dict[tuple[int, str], object]:
    """Outcomes by the generation's number: its key hangs on its adapter, to the last bit."""
    numbers = {made.key: made.index for made in state_of(paths).generations}
    return {(numbers[key], case): found for (key, case), found in outcomes(paths).items()}


def scored(made: Generation | None) -> str:
    if made is None:
        return "none"
    dev = made.results.get("dev")
    return f"g{made.index} {made.lever or ''} {'kept' if made.kept else 'not kept'} {100 * dev.mean if dev else 0:.1f}"


if __name__ == "__main__":
    main()
