"""Who said yes to what, and whether the log still is the one they said it in."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from dataclasses import asdict

from sia_tui.cli.main import DONE, FAILED
from sia_tui.cli.table import table
from sia_tui.core import consent
from sia_tui.core.clock import when
from sia_tui.core.text import one_line
from sia_tui.store.reader import RunReader
from sia_tui.store.workspace import Workspace

_HEAD = ("gate", "verdict", "by", "uid", "when", "of hash", "screen", "chained")


def audit(options: argparse.Namespace) -> int:
    paths = Workspace.locate(options.workspace).existing(options.run)
    with closing(RunReader(paths.db)) as reader:
        found = consent.audit(reader.written())
    print(json.dumps(asdict(found), ensure_ascii=False) if options.json else _told(found))
    return FAILED if found.faults else DONE


def _told(found: consent.Audit) -> str:
    lines = [table(_HEAD, [_row(given) for given in found.given])] if found.given else ["no verdict was given"]
    lines += [f"BROKEN: {one_line(fault, 300)}" for fault in found.faults]
    return "\n".join(lines if found.faults else [*lines, "the log is as it was written"])


def _row(given: consent.Given) -> tuple[str, ...]:
    uid = "?" if given.uid is None else str(given.uid)
    who = (one_line(given.by, 40), uid, when(given.at), given.hash[:12] or "?", given.seen[:12] or "not told")
    return (given.gate, given.kind, *who, "yes" if given.chained else "no (earlier version)")
