"""The verbs that look back at who wrote what and what was decided."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from functools import partial
from typing import Any

from sia_tui.cli.main import DONE, UsageError
from sia_tui.cli.reading import generation_index, read
from sia_tui.cli.table import table
from sia_tui.core.blame import Credit, credits, parse
from sia_tui.core.ledger import Decision, calibration, ledger
from sia_tui.core.memo import told
from sia_tui.core.state import State
from sia_tui.core.telling import points
from sia_tui.core.text import clean, one_line
from sia_tui.store.version import StoreError
from sia_tui.store.workspace import Workspace


def diff(options: argparse.Namespace) -> int:
    from sia_tui.harness.repository import RepositoryError
    from sia_tui.repositories import repository_of

    paths = Workspace.locate(options.workspace).existing(options.run)
    state = read(paths)
    old, new = _commit_of(state, options.a), _commit_of(state, options.b)
    try:
        text = repository_of(paths).diff(old, new, state.task)
    except RepositoryError as error:
        raise UsageError(str(error)) from error
    if options.json:
        print(json.dumps({"a": old, "b": new, "diff": text}, ensure_ascii=False, indent=2))
    else:
        print(clean(text) or "no difference")
    return DONE


def blame(options: argparse.Namespace) -> int:
    """Raises UsageError for a file that is not there."""
    from sia_tui.harness.repository import RepositoryError
    from sia_tui.repositories import repository_of

    workspace = Workspace.locate(options.workspace)
    paths = workspace.existing(options.run)
    state = read(paths)
    commit = _commit_of(state, options.generation)
    try:
        repository = repository_of(paths)
        files = sorted(repository.files(commit, state.task))
        if options.file is None:
            print(json.dumps(files, ensure_ascii=False, indent=2) if options.json else "\n".join(map(clean, files)))
            return DONE
        if options.file not in files:
            raise UsageError(f"{options.generation} has no file {options.file}; there are: {', '.join(files)}")
        written, named = parse(repository.blame(commit, state.task, options.file)), repository.names()
    except RepositoryError as error:
        raise UsageError(str(error)) from error
    by = credits(state, written, named, partial(_other, workspace))
    if options.json:
        lines = [{"line": line.number, "text": line.text, **_data(by[line.commit])} for line in written]
        told = {"run": state.run, "generation": options.generation, "commit": commit, "file": options.file}
        print(json.dumps(told | {"lines": lines}, ensure_ascii=False, indent=2))
        return DONE
    for line in written:
        print(f"{_margin(by[line.commit])} {line.number:>4}  {clean(line.text)}")
    return DONE


def _commit_of(state: State, name: str) -> str:
    step = next((step for step in state.steps if step.id == name), None)
    if step is not None and step.commit is not None:
        return step.commit
    if step is not None:
        raise UsageError(f"{name} is no patch and has no commit")
    return state.generations[generation_index(state, name)].commit


def _other(workspace: Workspace, run: str) -> State | None:
    """Of a run that this one was branched from; it may be gone."""
    try:
        return read(workspace.existing(run))
    except (StoreError, ValueError):
        return None


def _data(found: Credit) -> dict[str, Any]:
    gain = None if found.gain is None else {"gain": found.gain, "ci95": [found.lo, found.hi]}
    return {
        "by": found.name,
        "commit": found.commit,
        "lever": found.lever,
        "title": found.title,
        "outcome": found.outcome,
        "gain": gain,
    }


def _margin(found: Credit) -> str:
    gain = "" if found.gain is None else points(found.gain)
    return f"{one_line(found.name, 12):<12} {found.lever or '':<8} {gain:>6}  {one_line(found.outcome, 16):<16}"


def decisions(options: argparse.Namespace) -> int:
    state = read(Workspace.locate(options.workspace).existing(options.run))
    made, records = ledger(state), calibration(state)
    if options.json:
        held = [asdict(record) | {"told": told(record)} for record in records]
        steps = [asdict(one) | {"sign_right": one.sign_right} for one in made]
        print(json.dumps({"run": state.run, "decisions": steps, "records": held}, ensure_ascii=False, indent=2))
        return DONE
    rows = [_decided(one) for one in made]
    print(table(("step", "", "lever", "title", "promised", "expected", "measured on dev", "verdict"), rows))
    print("\n".join(f"{one_line(record.name)}: {told(record)}" for record in records))
    return DONE


def _decided(one: Decision) -> tuple[str, ...]:
    spans = [f"[{points(one.lo or 0)}, {points(one.hi or 0)}]" if one.gain is not None else ""]
    gains = ["" if gain is None else points(gain) for gain in (one.predicted, one.expected, one.gain)]
    said = "; ".join(f"{said.kind} by {said.by}{f': {said.note}' if said.note else ''}" for said in one.verdicts)
    name = one.step if one.generation is None else f"g{one.generation}"
    measured = f"{gains[2]} {spans[0]}".strip()
    title, by = one_line(one.title, 48), one_line(said, 60)
    return name, one.outcome, one.lever, title, gains[0], gains[1], measured, by
