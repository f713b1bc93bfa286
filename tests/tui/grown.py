"""A run on real git, as an engine would have left it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sia_tui.core import events as ev
from sia_tui.core.diffs import patch
from sia_tui.core.proposals import Light, Proposal
from sia_tui.harness.repository import SEED_DATE, HarnessRepository
from sia_tui.store.workspace import RunPaths
from tests.tui.writer import HOSTILE, PLAN, Writer, writing

BEFORE = "ASK = 1\nprompt = 'one'\nEND = 3\n"


def grown_run(root: Path) -> RunPaths:
    """In a workspace at `root`: g0, g1 (kept), a refused patch, g2 (weights, rolled back), commits and all."""
    seeds = root / "seeds" / "lawbench"
    seeds.mkdir(parents=True)
    (seeds / "harness.py").write_text(BEFORE, encoding="utf-8")
    repository, seed = HarnessRepository.plant(root / "harness", "lawbench", HarnessRepository.package_in(seeds))
    with writing(root / "runs" / "r") as run:
        run.prepare("r")
        run.store.record(ev.GenerationCreated(0, None, seed, "t0", "k0"))
        run.evaluate(0, "dev", 0.1, 3)
        run.evaluate(0, "hidden", 0.1, 3)
        first = grown(run, repository, seed, "two", "Ask for two " + HOSTILE)
        run.verdict(run.gate("p-two"), note="go on " + HOSTILE)
        generation(run, 1, "harness", first, "p-two", "better")
        grown(run, repository, first, "three", "Ask for three")
        run.verdict(run.gate("p-three"), "reject", "too dear")
        run.store.record(ev.ProposalRefused("p-three", "ana", "too dear"))
        same = commit(repository, first, BEFORE.replace("one", "two"), "Train")
        proposed(run, "p-plan", Proposal("weights", "Train on it", "because", "i3", first, plan=PLAN), same)
        run.pilot("p-plan")
        run.verdict(run.gate("p-plan"))
        run.store.record(ev.TrainingBegan("p-plan", None))
        run.trained("p-plan", PLAN)
        generation(run, 2, "weights", same, "p-plan", "worse")
    return RunPaths(root / "runs" / "r")


def commit(repository: HarnessRepository, base: str, text: str, message: str) -> str:
    tree = repository.tree_of(base, "lawbench", {"harness.py": text})
    return repository.commit_generation(tree, {}, base, message, {"Run": "r"}, SEED_DATE)


def grown(run: Writer, repository: HarnessRepository, base: str, word: str, title: str) -> str:
    text = BEFORE.replace("one", word)
    change = patch({"harness.py": repository.files(base, "lawbench")["harness.py"]}, {"harness.py": text})
    made = commit(repository, base, text, word)
    proposed(run, f"p-{word}", Proposal("harness", title, "because", word, base, patch=change), made)
    run.preview(f"p-{word}")
    return made


def proposed(run: Writer, name: str, proposal: Proposal, made: str) -> None:
    run.store.record(ev.ProposalMade(name, proposal), ev.ProposalChecked(name, (Light("applies", "ok"),), made, "t"))


def generation(run: Writer, index: int, lever: Any, made: str, name: str, outcome: str) -> None:
    parent = run.store.state.incumbent
    run.store.record(ev.GenerationCreated(index, lever, made, f"t{index}", f"k{index}", None, parent, name))
    run.evaluate(index, "dev", 0.2, 3)
    run.evaluate(index, "hidden", 0.777, 3)
    run.store.record(ev.Measured(name, index, outcome, 0.1, 0.05, 0.15, 796, ("a",), ("b",)))
    better = outcome == "better"
    run.store.record(ev.GenerationKept(index, "x") if better else ev.GenerationRolledBack(index, "x"))
