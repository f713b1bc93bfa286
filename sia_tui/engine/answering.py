"""New cases answered by a bundle: its harness, confined, asks its policy, exactly as in the run that it comes from."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from sia_tui.children import stoppable
from sia_tui.config import RunConfig
from sia_tui.core.episodes import Attempt, Case, Score
from sia_tui.core.hashing import digest
from sia_tui.engine.bundle import Bundle
from sia_tui.engine.crew import Crew, Harness, Place
from sia_tui.engine.export import ExportError, base_sha256
from sia_tui.engine.lots import Trial
from sia_tui.engine.rollout import Rollout, Terms
from sia_tui.engine.serving import MAX_BODY_BYTES
from sia_tui.engine.session import serving
from sia_tui.harness.agent import require
from sia_tui.harness.environment import ensure_environment
from sia_tui.harness.sandbox import choose, probe
from sia_tui.policy.client import Gateway
from sia_tui.store.workspace import Workspace
from sia_tui.tasks.task import Task

Done = Callable[[Attempt], None]


class Unjudged:
    """The verifier of cases whose right answer nobody knows."""

    def check(self) -> None:
        pass

    async def score(self, case_id: str, answer: object) -> Score:
        return Score(0.0, "not judged")


async def answer(
    bundle: Bundle,
    config: RunConfig,
    model: Path,
    workspace: Workspace,
    cases: Sequence[Case],
    done: Done,
    say: Callable[[str], None],
) -> None:
    """Call `done` once per case, in the order they finish. What is fitted or installed on the way stays in `workspace`;
    what takes long is told to `say`, line by line.

    The harness is confined whatever the config says: the bundle may be somebody else's. Raises ExportError for weights
    that are not the generation's; EnvironmentFailed, SandboxUnavailable, HarnessBroken, GatewayDied, OSError.
    """
    told = json.loads(bundle.generation.read_text(encoding="utf-8"))
    if await asyncio.to_thread(base_sha256, config.policy, model, workspace, say) != told["base_model"]:
        raise ExportError(f"{model} is not the base model of this agent, whose sha256 is {told['base_model']}")
    level = choose("auto", probe())
    if config.harness.agent is not None:
        require(config.harness.agent, level)
    requirements = bundle.harness / "requirements.txt"
    python = await stoppable(partial(ensure_environment, requirements, workspace.folder("environments"), say))
    async with AsyncExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sia-answering-")))
        gateway = await stack.enter_async_context(
            await Gateway.start(
                model,
                scratch,
                lanes=config.harness.lanes,
                threads=config.policy.threads,
                max_batch=config.policy.max_batch,
                max_body_bytes=MAX_BODY_BYTES,
                ready_s=config.policy.ready_s,
                **serving(config),
            )
        )
        place = Place(
            task=_task(config.task.name, bundle.rows),
            gateway=gateway,
            verifier=Unjudged(),
            python=python,
            level=level,
            walls=config.engine.walls,
            config=config.harness,
            rows_root=bundle.rows,
            tools_root=workspace.folder("tools"),
            log=scratch / "harness.log",
            seed=config.seed,
        )
        harness = Harness(bundle.harness, _files(bundle.harness), digest(told))
        terms = Terms(await _served(gateway, bundle.adapter, told["adapter"]))
        crew = await stack.enter_async_context(Crew(place, harness, views=1))
        rollout = Rollout(place, harness, crew, lambda: False)
        await rollout.run(map(Trial, cases), terms, lambda trial, attempt, score: done(attempt))


async def _served(gateway: Gateway, folder: Path, sha256: str | None) -> str | None:
    if sha256 is None:
        return None
    if await gateway.load_adapter("adapter", folder) != sha256:
        raise ExportError(f"{folder} is not the adapter of this agent, whose sha256 is {sha256}")
    return "adapter"


def _task(name: str, rows: Path) -> Task:
    """As far as tools need it: the solved rows."""
    folder = next(rows.iterdir())
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    with (folder / "rows.jsonl").open(encoding="utf-8") as lines:
        solved: list[dict[str, Any]] = [json.loads(line) for line in lines]
    cases = {row["id"]: Case(row["id"], "train", row["inputs"], 0) for row in solved}
    return Task(name, "", tuple(labels), cases, {row["id"]: row["label"] for row in solved})


def _files(harness: Path) -> dict[str, str]:
    paths = sorted(path for path in harness.rglob("*") if path.is_file())
    return {str(path.relative_to(harness)): path.read_text(encoding="utf-8", errors="replace") for path in paths}
