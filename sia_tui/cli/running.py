"""The verbs that start an engine or follow one."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from sia_tui.cli.asking import ask
from sia_tui.cli.background import spawn
from sia_tui.cli.beginning import begin, branched, read_config
from sia_tui.cli.main import DONE, UsageError
from sia_tui.cli.reading import read
from sia_tui.cli.window import fits, open_window
from sia_tui.config import RunConfig, hash_of
from sia_tui.core.clock import eta, when
from sia_tui.core.fitness import ROWS
from sia_tui.core.telling import tell
from sia_tui.core.text import one_line
from sia_tui.person import whoami
from sia_tui.store.lock import RunHeld, is_held, using
from sia_tui.store.place import require_in_place
from sia_tui.store.reader import RunReader, append_command
from sia_tui.store.workspace import RunPaths, Workspace

FOLLOW_S = 0.3


def run(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    risks = _risks(options)
    paths, config = begin(workspace, Path(options.config), options.overrides, options.gate, options.name)
    _accept(paths, risks)
    if options.detach:
        return _detach(workspace, paths, options.headless)
    if not options.headless and fits():
        return _windowed(workspace, paths, options)
    return _engine(workspace, paths, config, options.headless or not sys.stdout.isatty())


def resume(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    require_in_place(paths)
    state = read(paths)
    if state.status in ("done", "stopped"):
        raise UsageError(f"{paths.name} is {state.status} ({state.stop_reason}); branch from it to go on")
    config = read_config(paths.config, [], None)
    if hash_of(paths.config, state.config_hash) != state.config_hash:
        raise UsageError(f"{paths.config} was changed since the run began; start a new run with it instead")
    _accept(paths, _risks(options))
    if state.status == "paused":
        if is_held(paths.lock):
            return ask(workspace, paths, "resume", {})
        append_command(paths.db, "resume", whoami(), {})
    if fits() and not options.headless and not options.wait:
        return _windowed(workspace, paths, options)
    headless = options.headless or (not sys.stdout.isatty() and not options.wait)
    return _engine(workspace, paths, config, headless)


def printed(paths: RunPaths) -> int:
    """Print the run's story and go on printing while its engine lives."""
    reader, seen, shown = RunReader(paths.db), 0, ""
    try:
        while True:
            alive = is_held(paths.lock)
            for entry in reader.log(after=seen):
                seen = entry.seq
                if line := tell(entry.event):
                    print(f"{when(entry.at)}  {one_line(line, 400)}", flush=True)
            if not alive:
                over = reader.state().status in ("done", "stopped")
                print(
                    f"no engine is running; {'see: sia-tui show' if over else 'go on with: sia-tui resume'} {paths.name}"
                )
                return DONE
            shown = _progress(reader, shown)
            time.sleep(FOLLOW_S)
    finally:
        reader.close()


def branch(options: argparse.Namespace) -> int:
    workspace = Workspace.locate(options.workspace)
    source = workspace.existing(options.run)
    paths = branched(workspace, source, options.generation, options.name, options.overrides)
    parent = read(paths).parent
    print(f"{paths.name}: branched from {parent}; start it with: sia-tui resume {paths.name}")
    return DONE


def _risks(options: argparse.Namespace) -> list[tuple[str, str]]:
    """Rows with their reasons, in pairs. Raises UsageError."""
    rows, reasons = options.risks, [reason.strip() for reason in options.reasons]
    if unknown := [row for row in rows if row not in ROWS]:
        raise UsageError(f"--accept-risk {unknown[0]}: no such row; there are: {', '.join(ROWS)}")
    if len(rows) != len(reasons) or not all(reasons):
        raise UsageError("each --accept-risk ROW takes a --reason T")
    return list(zip(rows, reasons, strict=True))


def _accept(paths: RunPaths, risks: list[tuple[str, str]]) -> None:
    """The engine hears of it before it looks whether it may go on."""
    for row, reason in risks:
        append_command(paths.db, "accept-risk", whoami(), {"row": row, "reason": reason})


def _engine(workspace: Workspace, paths: RunPaths, config: RunConfig, exit_at_gate: bool) -> int:
    import asyncio

    from sia_tui.engine.engine import DONE as REACHED
    from sia_tui.engine.engine import WAITING, Options, run_engine

    async def main() -> int:
        options = Options(exit_at_gate, lambda line: print(line, flush=True))
        options.leaving.heed_signals(config.engine.grace_s)
        return await run_engine(workspace, paths, config, options)

    try:
        with using(workspace.root):
            code = asyncio.run(main())
    except RunHeld as held:
        raise UsageError(str(held)) from held
    if code in (REACHED, WAITING):
        from sia_tui.cli.reading import shown

        print(f"\n{shown(paths)}")
    return code


def _windowed(workspace: Workspace, paths: RunPaths, options: argparse.Namespace) -> int:
    """An engine in the background that waits at gates, and the window on it."""
    if not is_held(paths.lock):
        spawn(workspace, paths)
    return open_window(workspace, paths, options)


def _detach(workspace: Workspace, paths: RunPaths, headless: bool) -> int:
    pid = spawn(workspace, paths, headless)
    print(f"{paths.name}: running in the background, pid {pid}; follow it with: sia-tui attach {paths.name}")
    return DONE


def _progress(reader: RunReader, shown: str) -> str:
    """One line when the phase changes or has come a tenth further."""
    found = reader.progress()
    if found is None:
        return shown
    tenth = 10 * found.done // found.total if found.total else 0
    mark = f"{found.phase}:{tenth}"
    if mark != shown and found.total and found.done < found.total:
        print(f"{when(found.beat_at)}  … {found.phase} {found.done}/{found.total}  {eta(found.eta_s)}", flush=True)
    return mark
