"""What a person makes of a proposal on the command line: some of its hunks, a patch of their own, other fields of its plan."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from sia_tui import given
from sia_tui.cli.main import UsageError
from sia_tui.core.hunks import partial
from sia_tui.core.state import Step

_SHORT = {"lr": "learning_rate"}


def change(options: argparse.Namespace, step: Step) -> dict[str, Any]:
    """`patch` and `plan` of an `amend`. Raises UsageError for what cannot be read."""
    plan = _fields(options.plan, options.fields)
    patch = None
    if options.patch and options.hunks:
        raise UsageError("--patch is a whole patch: --hunks chooses among the proposed ones")
    if options.patch:
        patch = written(options.patch)
    elif options.hunks:
        patch = _chosen(step.proposal.patch, options.hunks)
    return {"patch": patch, "plan": plan or None}


def _chosen(patch: str | None, wanted: str) -> str:
    if patch is None:
        raise UsageError("this proposal has no patch to take hunks of")
    try:
        return partial(patch, [int(number) - 1 for number in wanted.split(",")])
    except ValueError as fault:
        raise UsageError(f"--hunks {wanted}: {fault}") from fault


def _fields(file: str | None, settings: list[str]) -> dict[str, Any]:
    """Field to value, the single ones after those of the file."""
    import yaml

    try:
        found = yaml.safe_load(written(file, given.CONFIG)) if file else {}
        pairs = dict(setting.partition("=")[::2] for setting in settings)
        values = {_SHORT.get(name, name): _number(yaml.safe_load(value)) for name, value in pairs.items()}
    except yaml.YAMLError as fault:
        raise UsageError(f"plan: {fault}") from fault
    if not isinstance(found, dict):
        raise UsageError(f"{file}: expected fields of a plan, as in learning_rate: 2e-5")
    return {str(name): _number(value) for name, value in found.items()} | values


def _number(value: Any) -> Any:
    """YAML takes 2e-5 for a word."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def written(file: str, most: int = given.PATCH) -> str:
    """In a file, or on the input where that is named `-`. Raises UsageError."""
    try:
        return given.read_all(sys.stdin.buffer, most) if file == "-" else given.read_whole(Path(file), most)
    except (OSError, UnicodeDecodeError) as fault:
        more = "; what a pipe says is read as -" if str(fault) == given.REGULAR else ""
        raise UsageError(f"{file}: {fault}{more}") from fault
