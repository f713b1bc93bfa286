"""`replay` and `demo`: a recorded run in the window, with a scrubber and nothing to decide."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from sia_tui.cli.main import DONE, Failure, UsageError
from sia_tui.cli.window import ends_with_its_terminal, fits, own_manners
from sia_tui.core.room import unsaved
from sia_tui.store.workspace import RunPaths, Workspace

DEMO = Path(__file__).resolve().parents[1] / "demo" / "run.zip"


def replay(options: argparse.Namespace) -> int:
    """Of a run in the workspace, or of a file that `--save` made."""
    given = Path(options.run) if options.run else None
    if given is not None and given.is_file():
        if options.save:
            raise UsageError(f"{given} is a recording already")
        return _of_file(given, options)
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    if options.save:
        return pack(workspace, paths, Path(options.save).absolute(), options.rollouts, options.redact)
    return _play(paths, options)


def demo(options: argparse.Namespace) -> int:
    return _of_file(DEMO, options)


def _of_file(recording: Path, options: argparse.Namespace) -> int:
    from sia_tui.cli.recording import unpack

    _require_terminal()
    with tempfile.TemporaryDirectory(prefix="sia-replay-") as folder:
        _, paths = unpack(recording, Path(folder))
        return _play(paths, options)


def pack(
    workspace: Workspace,
    paths: RunPaths,
    out: Path,
    rollouts: int | None = None,
    redact: bool = False,
    as_json: bool = False,
) -> int:
    """Write the recording, and say so. Raises Failure."""
    from sia_tui.cli.recording import save
    from sia_tui.harness.repository import RepositoryError

    try:
        size = save(workspace, paths, out, rollouts, redact)
    except (OSError, RepositoryError) as error:
        raise Failure(unsaved(error, out)) from error
    if as_json:
        print(json.dumps({"run": paths.name, "form": "recording", "redacted": redact, "path": str(out), "bytes": size}))
        return DONE
    texts = "without" if redact else "with"
    print(f"{out}: {size / 1e6:.1f} MB, {texts} the texts of its cases, answers and agents; sia-tui replay {out.name}")
    return DONE


def _play(paths: RunPaths, options: argparse.Namespace) -> int:
    _require_terminal()
    from sia_tui.tui.replay import Replay
    from sia_tui.tui.replayed import ReplayApp

    try:
        recorded = Replay(paths)
    except ValueError as error:
        raise UsageError(f"{paths.name}: {error}") from error
    manners = own_manners()
    ascii = bool(getattr(options, "ascii", False)) or manners.ascii
    ends_with_its_terminal()
    app = ReplayApp(paths, recorded, replace(manners, ascii=ascii))
    app.run()
    return app.return_code or DONE


def _require_terminal() -> None:
    if not fits():
        raise UsageError("a recording is played in a terminal; for text use: sia-tui history RUN, sia-tui report RUN")
