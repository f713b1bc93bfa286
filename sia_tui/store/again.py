"""What was measured again beside a run, read. Standard library only."""

from __future__ import annotations

from sia_tui.core.events import MeasuredAgain
from sia_tui.store.reader import EpisodeRow, RunReader
from sia_tui.store.workspace import RunPaths


def measured_again(run: RunPaths) -> list[MeasuredAgain]:
    """Whatever was finished, oldest first. Raises StoreError."""
    if not run.again.db.is_file():
        return []
    reader = RunReader(run.again.db)
    try:
        return [entry.event for entry in reader.log() if isinstance(entry.event, MeasuredAgain)]
    finally:
        reader.close()


def episodes_of(run: RunPaths, one: MeasuredAgain) -> list[EpisodeRow]:
    """Its episodes, by case id. Raises StoreError."""
    reader = RunReader(run.again.db)
    try:
        return reader.episodes(one.key, one.split)
    finally:
        reader.close()
