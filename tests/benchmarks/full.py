"""`sia-tui` with a scripted agent, whose disk fills up after every event of a run.

    python -m tests.benchmarks.full SCRIPT EVERY FILLED.jsonl FILLER resume RUN …

Somebody else takes all that is left, down to the last page, at the very commit of the event; what the engine or one of its
processes writes next finds no room, whatever that is.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

from sia_tui.store.writer import RunStore
from tests.benchmarks.dying import Act, after_each, write_down

PAGE = 4096


def filling(told: Path, filler: Path) -> Act:
    def fill(store: RunStore, event: int, kind: str) -> None:
        # First: there is no room for it then.
        write_down(told, event=event, kind=kind)
        take_all(filler)

    return fill


def take_all(filler: Path) -> None:
    file = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        os.posix_fallocate(file, 0, max(PAGE, shutil.disk_usage(filler.parent).free))
        while True:
            os.posix_fallocate(file, os.fstat(file).st_size, PAGE)
    except OSError as full:
        if full.errno != errno.ENOSPC:
            raise
    finally:
        os.close(file)


if __name__ == "__main__":
    from sia_tui.cli.main import main
    from tests.e2e.script import plug_in

    script, every, told, filler, *arguments = sys.argv[1:]
    plug_in(script)
    after_each(int(every), Path(told), filling(Path(told), Path(filler)))
    raise SystemExit(main(arguments))
