"""`sia-tui` with a scripted agent, whose disk fills up after every event of a run; or, where EVERY is 0, whose trainer has
only a tiny disk.

    python -m tests.benchmarks.full SCRIPT EVERY FILLED.jsonl FILLER resume RUN …

Somebody else takes what is left, at the very commit of the event: down to the last page, or all but one of SPARES in turn, so
that not always the database is the first to find no room, but a commit, a note, a tag. Of episodes only each EVERY-th is an
event here. The tiny disk (TINY bytes) is mounted at the run's first event, where the trainer will write.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

from sia_tui.store.workspace import RunPaths
from sia_tui.store.writer import RunStore
from tests.benchmarks.dying import Act, after_each, write_down

PAGE = 4096
SPARES = (0, 64 << 10, 512 << 10, 0, 1 << 20)
"""Bytes."""
TINY = 4 * PAGE


def filling(every: int, told: Path, filler: Path) -> Act:
    def fill(store: RunStore, event: int, kind: str) -> None:
        if kind == "EpisodeDone" and event % every:
            return
        before = told.read_text().count("\n") if told.exists() else 0
        spare = SPARES[before % len(SPARES)]
        # First: there is no room for it then.
        write_down(told, event=event, kind=kind, spare=spare)
        take_all_but(spare, filler)

    return fill


def tiny(store: RunStore, event: int, kind: str) -> None:
    where = RunPaths(store._path.parent).training
    if not where.is_mount():
        where.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TINY}", "tiny", str(where)], check=True)


def take_all_but(spare: int, filler: Path) -> None:
    file = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        os.posix_fallocate(file, os.fstat(file).st_size, max(PAGE, shutil.disk_usage(filler.parent).free))
        while True:
            os.posix_fallocate(file, os.fstat(file).st_size, PAGE)
    except OSError as full:
        if full.errno != errno.ENOSPC:
            raise
        os.ftruncate(file, max(0, os.fstat(file).st_size - spare))
    finally:
        os.close(file)


if __name__ == "__main__":
    from sia_tui.cli.main import main
    from tests.e2e.script import plug_in

    script, every, told, filler, *arguments = sys.argv[1:]
    plug_in(script)
    after_each(1, Path(told), filling(int(every), Path(told), Path(filler)) if int(every) else tiny)
    raise SystemExit(main(arguments))
