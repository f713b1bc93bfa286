"""A run as one file to be played elsewhere: its record, its config and the harness' history, nothing else."""

from __future__ import annotations

import lzma
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path

from sia_tui.cli import redacting
from sia_tui.cli.again import config_of
from sia_tui.core.text import one_line
from sia_tui.harness.repository import HarnessRepository, RepositoryError
from sia_tui.store.copying import member, snapshot
from sia_tui.store.reader import RunReader
from sia_tui.store.trajectories import plain
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import RunPaths, Workspace

DB, CONFIG, HISTORY = "run.db", "config.yaml", "harness.bundle"
MOST_BYTES = 2 << 30
"""Of one member when it is unpacked."""
_LEFT_OUT = (
    "delete from commands",
    "delete from progress",
    "delete from machine",
    "update agent_calls set response = x''",
)


def save(
    workspace: Workspace, paths: RunPaths, out: Path, most_rollouts: int | None = None, redact: bool = False
) -> int:
    """Write the recording and return its bytes. Of the trajectories of trainings' rollouts at most so many are kept,
    evenly spread; rows stay. `redact`: without the words of cases, answers, agents and people, and so without the harness'
    history. Raises StoreError, RepositoryError, OSError."""
    from sia_tui.engine.keeping import pack_history

    with tempfile.TemporaryDirectory(prefix="sia-recording-") as scratch:
        folder = Path(scratch)
        snapshot(paths.db, folder / DB)
        _trim(folder / DB, most_rollouts, redact)
        members = [folder / DB, folder / CONFIG]
        config = config_of(paths)
        (folder / CONFIG).write_text(redacting.config(config) if redact else config, encoding="utf-8")
        if not redact:
            pack_history(workspace, folder / DB, folder / HISTORY)
            members.append(folder / HISTORY)
        part = out.with_name(f".{out.name}.new")
        try:
            with zipfile.ZipFile(part, "w", zipfile.ZIP_LZMA) as packed:
                for path in members:
                    packed.write(path, path.name)
            part.replace(out)
        finally:
            part.unlink(missing_ok=True)
    return out.stat().st_size


def unpack(recording: Path, root: Path) -> tuple[Workspace, RunPaths]:
    """Lay a recording out in `root`. Raises StoreError for a file that is none."""
    try:
        root.mkdir(exist_ok=True)
        with zipfile.ZipFile(recording) as packed:
            names = [name for name in (DB, CONFIG, HISTORY) if name in packed.namelist()]
            if missing := {DB, CONFIG} - set(names):
                raise StoreError(f"{recording}: no recording of a run ({', '.join(sorted(missing))} is missing)")
            for name in names:
                member(packed, name, root / name, MOST_BYTES)
        with closing(RunReader(root / DB)) as reader:
            run = reader.state().run
        paths = Workspace(root).run(run)
        paths.root.mkdir(parents=True)
        (root / DB).rename(paths.db)
        (root / CONFIG).rename(paths.config)
        if HISTORY in names:
            HarnessRepository(Workspace(root).harness_repository).unpack(root / HISTORY)
    except (zipfile.BadZipFile, lzma.LZMAError, RepositoryError, ValueError, OSError) as error:
        raise StoreError(f"{recording}: cannot be played ({one_line(str(error), 200)})") from error
    return Workspace(root), paths


def _trim(db: Path, most_rollouts: int | None, redact: bool) -> None:
    with closing(sqlite3.connect(db)) as copy:
        tables = {name for (name,) in copy.execute("select name from sqlite_master where type = 'table'")}
        with copy:
            for statement in _LEFT_OUT:
                if tables & set(statement.split()):
                    copy.execute(statement)
            if most_rollouts is not None:
                _thin(copy, most_rollouts)
            if redact:
                redacting.redact(copy)
            # In one stream trajectories are a third of what they are one by one.
            copy.create_function("plain", 1, plain, deterministic=True)
            copy.execute("update trajectories set body = plain(body)")
        copy.execute("vacuum")


def _thin(copy: sqlite3.Connection, most: int) -> None:
    of_trainings = (
        "select id, row_number() over (order by rowid) n, count(*) over () of from episodes where proposal is not null"
    )
    kept = "cast(n * ? / of as integer) > cast((n - 1) * ? / of as integer)"
    copy.execute(
        f"delete from trajectories where episode in (select id from ({of_trainings}) where not ({kept}))", (most, most)
    )
