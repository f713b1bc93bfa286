"""A generation as a folder that answers new cases: what it is made of and how it is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sia_tui.config import RunConfig, hash_of, load_config
from sia_tui.core.episodes import ALL_ROWS
from sia_tui.core.hashing import digest
from sia_tui.engine.card import bundle_card
from sia_tui.engine.export import ExportError, Source
from sia_tui.engine.tasks import open_task
from sia_tui.engine.tools import rows_folder
from sia_tui.harness.repository import HarnessRepository
from sia_tui.policy import base
from sia_tui.policy.export import write_base
from sia_tui.store.workspace import Workspace
from sia_tui.tasks.task import Task

LARGEST_MODEL = 512 * 2**20
"""Bytes of weights of a base model that still travels in the bundle; a larger one is only named."""
RUN = '''"""Answers new cases; see README.md, or: python run.py --help"""

from pathlib import Path

from sia_tui.cli.answering import main

raise SystemExit(main(Path(__file__).resolve().parent))
'''


@dataclass(frozen=True)
class Bundle:
    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.yaml"

    @property
    def generation(self) -> Path:
        return self.root / "generation.json"

    @property
    def harness(self) -> Path:
        return self.root / "harness"

    @property
    def rows(self) -> Path:
        """Holds one folder: the rows that tools are fitted on, under their content's name."""
        return self.root / "rows"

    @property
    def adapter(self) -> Path:
        return self.root / "adapter"

    @property
    def model(self) -> Path:
        return self.root / "model"


def write_bundle(workspace: Workspace, source: Source, path: Path, out: Path, say: Callable[[str], None]) -> None:
    """Into the empty folder `out`, of the run's config at `path`. Raises ExportError, ConfigError, RepositoryError, TaskError,
    OSError."""
    bundle, generation, config = Bundle(out), source.generation, load_config(path)
    if hash_of(path, source.state.config_hash) != source.state.config_hash:
        raise ExportError(f"the config of {source.state.run} was changed since the run began; undo that first")
    repository = HarnessRepository(workspace.harness_repository)
    told = repository.generation(generation.commit)
    if digest(told) != generation.key:
        raise ExportError(f"commit {generation.commit[:12]} is not the generation that was measured")
    bundle.generation.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    repository.snapshot(generation.commit, source.state.task, out).rename(bundle.harness)
    bundle.rows.mkdir()
    rows_folder(bundle.rows, _task(workspace, source, config, say), ALL_ROWS)
    if source.adapter is not None:
        shutil.copytree(source.adapter, bundle.adapter)
    if base.size(source.base) <= LARGEST_MODEL:
        bundle.model.mkdir()
        write_base(source.base, bundle.model)
    bundle.config.write_text(_named(config.public, source.called).dump(), encoding="utf-8")
    (out / "run.py").write_text(RUN, encoding="utf-8")
    (out / "README.md").write_text(bundle_card(source, config.policy, bundle.model.exists()), encoding="utf-8")


def _named(config: RunConfig, called: str) -> RunConfig:
    """A base of kind `model` by a name that holds in other folders too."""
    if config.policy.kind != "model":
        return config
    return config.model_copy(update={"policy": config.policy.model_copy(update={"model": called})})


def _task(workspace: Workspace, source: Source, config: RunConfig, say: Callable[[str], None]) -> Task:
    task = open_task(workspace, config, say)
    ready = source.state.task_ready
    if ready is None or task.split_hash != ready.split_hash:
        raise ExportError(f"the data of task {task.name} changed since the run began; restore it first")
    return task
