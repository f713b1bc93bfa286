"""A real run for what is to be taken out of it: made by an engine, in seconds.

Its harness needs no packages, so that no environment is installed; its answers hang on everything a bundle carries: the
adapter, the sampling seed, the rows that tools are fitted on, the id that the harness sees.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sia_tui.config import RunConfig, load_config
from sia_tui.core.events import GenerationCreated, PolicyReady, RunCreated
from sia_tui.core.hashing import digest
from sia_tui.engine import session
from sia_tui.engine.engine import Options, run_engine
from sia_tui.engine.session import serving_hash
from sia_tui.engine.tasks import open_task
from sia_tui.harness.repository import HarnessRepository
from sia_tui.policy import base as models
from sia_tui.policy import nano
from sia_tui.policy.adapters import adapter_hash
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths, Workspace
from sia_tui.store.writer import RunStore
from sia_tui.tasks.task import text_of
from tests.lawbench_shaped import write_lawbench_shaped
from tests.policy.tiny import make_adapter

HARNESS = """
from sia import Answer

async def solve(case, llm, tools):
    asked = [{"role": "user", "content": case.inputs["text"][:40]}]
    reply = await llm.chat(asked, max_tokens=8, temperature=0.8)
    return Answer(f"{reply.text} {case.id} {tools.pick(len(case.inputs['text']))}")
"""
TOOLS = """
import json

class Tools:
    def __init__(self, texts):
        self.texts = texts

    def pick(self, number):
        return self.texts[number % len(self.texts)]

def prepare(rows, out):
    (out / "fitted").write_text((rows / "rows.jsonl").read_text(encoding="utf-8"), encoding="utf-8")

def load(rows, out):
    with (out / "fitted").open(encoding="utf-8") as lines:
        return Tools([json.loads(line)["inputs"]["text"][-30:] for line in lines])
"""
PARENT = "earlier/g3"
"""Where the run says that its adapter comes from."""


@dataclass(frozen=True)
class Shop:
    """A workspace with one finished run, whose only generation answers with an adapter."""

    workspace: Workspace
    run: RunPaths
    base: Path
    adapter: Path


def make_shop(root: Path) -> Shop:
    workspace = Workspace(root / "w")
    config = load_config(_config(root))
    task = open_task(workspace, config, print)
    texts, answers = [text_of(row.inputs) for row in task.rows("all")], list(task.labels)
    name = f"nano-{nano.recipe_hash(config.policy.recipe, texts, answers)}"
    base = workspace.folder("policies") / name
    nano.train(config.policy.recipe, texts, answers, base, lambda done, total, loss: None)
    made = make_adapter(base, root / "adapter", seed=3)
    run = workspace.run("real")
    adapter = run.adapter(adapter_hash(made))
    adapter.parent.mkdir(parents=True)
    made.rename(adapter)
    run.config.write_text(config.dump(), encoding="utf-8")
    with RunStore(run.db) as store:
        store.record(RunCreated("real", "lawbench", config.hash, PARENT, None, adapter_hash(adapter)))
    seeds = _seeds(root / "seeds")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "SEEDS", seeds)
        assert asyncio.run(run_engine(workspace, run, config, Options(write=lambda line: None))) == 0
    return Shop(workspace, run, base, adapter)


def _config(root: Path) -> Path:
    data = write_lawbench_shaped(root / "data" / "lawbench", charges=6, per_charge=12, test_per_charge=2)
    told = {
        "task": {"name": "lawbench", "data": str(data), "folds": 2, "dev": 0.25, "hidden": 0.1},
        "policy": {
            "recipe": {"hidden": 32, "layers": 1, "heads": 2, "vocab": 900, "steps": 2, "batch": 4, "excerpt": 40}
        },
        "harness": {"lanes": 8},
        "evaluate": {"train": 4, "preview": 2, "hidden": 2, "open_test": False},
        "budget": {"steps": 0},
    }
    path = root / "shop.yaml"
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return path


def _seeds(folder: Path) -> Path:
    package = folder / "lawbench"
    package.mkdir(parents=True)
    (package / "harness.py").write_text(HARNESS, encoding="utf-8")
    (package / "tools.py").write_text(TOOLS, encoding="utf-8")
    return folder


def with_model(shop: Shop, name: str, base: Path, **policy: Any) -> Shop:
    """Another run of the shop's workspace, whose policy is of kind `model`: the same harness and adapter over `base`.

    Nothing is asked: what it would have answered is what the shop's own run did, where the weights are the same.
    """
    run, config = shop.workspace.run(name), load_config(shop.run.config)
    told = {"kind": "model", "model": str(base), **policy}
    config = RunConfig.model_validate({**config.model_dump(), "policy": told, "agents": {"levers": ["harness"]}})
    reader = RunReader(shop.run.db)
    try:
        state = reader.state()
    finally:
        reader.close()
    first, ready = state.generations[0], state.task_ready
    assert ready is not None
    repository, sha256 = HarnessRepository(shop.workspace.harness_repository), models.sha256(models.find(str(base)))
    generation = repository.generation(first.commit) | {"base_model": sha256}
    commit = repository.commit_generation(first.commit, generation, first.commit, f"g0 of {name}", {}, state.created_at)
    adapter = adapter_hash(shop.adapter)
    shutil.copytree(shop.adapter, run.adapter(adapter))
    run.config.write_text(config.dump(), encoding="utf-8")
    with RunStore(run.db) as store:
        store.record(RunCreated(name, "lawbench", config.hash, None, None, adapter), ready)
        store.record(PolicyReady(config.policy.name, sha256, serving_hash(config)))
        store.record(GenerationCreated(0, None, commit, first.tree, digest(generation), adapter))
    return Shop(shop.workspace, run, base, run.adapter(adapter))
