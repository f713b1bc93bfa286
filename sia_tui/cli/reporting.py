"""`sia-tui report`: a run as two files that tell all of it, to be taken away."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sia_tui.cli.again import config_of, evidences, seed_of
from sia_tui.cli.main import DONE, Failure
from sia_tui.cli.reading import told_of
from sia_tui.core.attribution import pairs
from sia_tui.core.events import TaskReady
from sia_tui.core.room import no_room, unsaved
from sia_tui.core.text import one_line
from sia_tui.report import html, markdown
from sia_tui.report.facts import Facts
from sia_tui.report.page import page
from sia_tui.store import drawn
from sia_tui.store.again import Remeasures
from sia_tui.store.asked import is_anothers
from sia_tui.store.openings import Opening, openings
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import RunPaths, Workspace

PACKAGES = ("sia-tui", "torch", "transformers", "peft", "trl", "scikit-learn", "numpy")


def report(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    told = page(facts(workspace, paths))
    out = Path(options.out or f"{paths.name}-report").absolute()
    files = {out / "report.html": html.draw(told), out / "report.md": markdown.draw(told)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            part = path.with_name(f".{path.name}.new")
            try:
                part.write_text(text, encoding="utf-8", errors="replace")
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise Failure(
            unsaved(error, out) if no_room(error) else f"{out}: cannot be written ({error.strerror})"
        ) from error
    names = [str(path) for path in files]
    print(json.dumps({"run": paths.name, "files": names}, indent=2) if options.json else "\n".join(names))
    return DONE


def facts(workspace: Workspace, paths: RunPaths) -> Facts:
    """Everything but the trajectories is read; nothing is written, and test stays as sealed as it is."""
    from sia_tui.engine.integrity import seals

    config = config_of(paths)
    with closing(RunReader(paths.db)) as reader:
        state = reader.state()
        again = Remeasures(paths, state, seed_of(config))
        ready = state.task_ready
        return Facts(
            state=state,
            status=told_of(paths, state)["status"],
            log=reader.log(),
            config=config,
            seed=seed_of(config),
            metrics={step.id: reader.metrics(step.id) for step in state.steps if step.proposal.trains},
            spent=reader.spent(),
            seals=seals(workspace, paths, state, state.generations, _say),
            openings=_openings(workspace, paths, ready),
            again=again.all,
            apart=[(pair, again.apart(pair)) for pair in pairs(state)],
            evidence=evidences(again, state),
            drawn=drawn.read(paths.root),
            versions=_versions(),
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def _openings(workspace: Workspace, paths: RunPaths, ready: TaskReady | None) -> Sequence[Opening] | None:
    """None of another user's workspace, which is closed. Raises StoreError."""
    if ready is None:
        return ()
    return None if is_anothers(paths) else openings(workspace.db, ready.test_hash)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr)
