"""`sia-tui digest`: what a person missed, on a page."""

from __future__ import annotations

import argparse
import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta

from sia_tui.cli.main import DONE, UsageError
from sia_tui.core.digest import data, page
from sia_tui.core.text import clean
from sia_tui.person import whoami
from sia_tui.store.reader import RunReader
from sia_tui.store.seen import last_seen
from sia_tui.store.workspace import RunPaths, Workspace

_UNITS = {"m": 60, "h": 3600, "d": 86_400}


def digest(options: argparse.Namespace) -> int:
    paths = Workspace.locate(options.workspace).existing(options.run)
    since = began(paths, options.since)
    with closing(RunReader(paths.db)) as reader:
        found = reader.digest(since)
    print(json.dumps(data(found), ensure_ascii=False, indent=2) if options.json else clean(page(found)))
    return DONE


def began(paths: RunPaths, since: str) -> str | None:
    """`30m`, `12h`, `2d`, `all`, a time, or `last`: when this person last looked. Raises UsageError."""
    if since == "last":
        return last_seen(paths, whoami())
    if since == "all":
        return None
    try:
        if ago := re.fullmatch(r"(\d{1,6})([mhd])", since):
            then = datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        else:
            then = datetime.fromisoformat(since).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since {since}: expected 30m, 12h, 2d, all, last or a time such as 2026-01-05T07:00"
        ) from None
    return then.isoformat(timespec="milliseconds")
