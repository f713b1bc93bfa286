"""`samples`: a handful of a training's rollouts to read."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from sia_tui.cli.main import DONE, UsageError
from sia_tui.cli.table import table
from sia_tui.core.state import State
from sia_tui.core.text import one_line
from sia_tui.store.reader import EpisodeRow, RunReader
from sia_tui.store.samples import Sample, chosen, read
from sia_tui.store.workspace import Workspace

HEAD = ("", "case", "made for", "step", "reward", "reply", "prompt")


def samples(options: argparse.Namespace) -> int:
    """Raises UsageError, StoreError."""
    reader = RunReader(Workspace.locate(options.workspace).existing(options.run).db)
    try:
        training = _training(reader.state(), options.step)
        found = read(reader, chosen(reader.sampled(training), at=options.at))
    finally:
        reader.close()
    if not found:
        at = "" if options.at is None else f" at optimizer step {options.at}"
        raise UsageError(f"{training} has no rollouts{at} yet")
    print(
        json.dumps([_data(sample) for sample in found], ensure_ascii=False, indent=2) if options.json else _told(found)
    )
    return DONE


def _training(state: State, wanted: str | None) -> str:
    """The weights step whose id begins so; the newest by default. Raises UsageError."""
    known = [step.id for step in state.steps if step.proposal.plan is not None]
    fitting = [step for step in known if wanted is None or step.startswith(wanted)]
    if not fitting:
        there = f"there are: {', '.join(known)}" if known else "there is none"
        raise UsageError(f"{state.run} has no weights step {wanted or ''}; {there}".replace(" ;", ";"))
    return fitting[-1]


def _data(sample: Sample) -> dict[str, object]:
    return {**asdict(sample), "change": sample.change}


def _told(found: Sequence[Sample]) -> str:
    """A line a rollout; of what changed two, the earlier first."""
    rows: list[tuple[object, ...]] = []
    for sample in found:
        if sample.before is not None:
            rows.append((sample.kind, *_rollout(sample.before, sample.reply_before), one_line(sample.prompt, 60)))
            rows.append(("", *_rollout(sample.row, sample.reply), ""))
        else:
            rows.append((sample.kind, *_rollout(sample.row, sample.reply), one_line(sample.prompt, 60)))
    return table(HEAD, rows)


def _rollout(row: EpisodeRow, reply: str) -> tuple[object, ...]:
    return one_line(row.case_id, 20), row.purpose, row.step, f"{row.reward:g}", one_line(reply, 40)
