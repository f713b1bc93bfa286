"""`sia-tui`: parses the command line and hands over to the verb.

Exit codes: 0 done, 1 the run failed, 2 wrong usage, 3 waiting at a gate.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from sia_tui.cli.door import door, open_streams
from sia_tui.cli.verbs import parser

DONE, FAILED, USAGE, WAITING = 0, 1, 2, 3

VERBS = {
    "run": "sia_tui.cli.running",
    "resume": "sia_tui.cli.running",
    "attach": "sia_tui.cli.window",
    "home": "sia_tui.cli.window",
    "delete": "sia_tui.cli.deleting",
    "verify": "sia_tui.cli.verifying",
    "backup": "sia_tui.cli.keeping",
    "restore": "sia_tui.cli.keeping",
    "gc": "sia_tui.cli.keeping",
    "digest": "sia_tui.cli.digesting",
    "config": "sia_tui.cli.settings",
    "branch": "sia_tui.cli.running",
    "ls": "sia_tui.cli.reading",
    "show": "sia_tui.cli.reading",
    "pending": "sia_tui.cli.reading",
    "history": "sia_tui.cli.reading",
    "diff": "sia_tui.cli.looking",
    "blame": "sia_tui.cli.looking",
    "decisions": "sia_tui.cli.looking",
    "samples": "sia_tui.cli.samples",
    "approve": "sia_tui.cli.asking",
    "reject": "sia_tui.cli.asking",
    "defer": "sia_tui.cli.asking",
    "propose": "sia_tui.cli.proposing",
    "contract": "sia_tui.cli.asking",
    "pause": "sia_tui.cli.asking",
    "stop": "sia_tui.cli.asking",
    "stop-training": "sia_tui.cli.asking",
    "rollback": "sia_tui.cli.asking",
    "report": "sia_tui.cli.reporting",
    "audit": "sia_tui.cli.auditing",
    "compare": "sia_tui.cli.compare",
    "reproduce": "sia_tui.cli.measuring",
    "attribute": "sia_tui.cli.measuring",
    "more-evidence": "sia_tui.cli.measuring",
    "serve": "sia_tui.cli.serving",
    "replay": "sia_tui.cli.replaying",
    "demo": "sia_tui.cli.replaying",
    "plan": "sia_tui.cli.plan",
    "memory": "sia_tui.cli.memory",
    "export": "sia_tui.cli.exporting",
    "agents": "sia_tui.cli.agents",
    "tasks": "sia_tui.cli.tasks",
    "doctor": "sia_tui.cli.doctor",
}


_LINUX_ONLY = {"run", "resume", "branch", "reproduce", "attribute", "more-evidence"}
"""They carry out what a model wrote, and the walls around that are Linux's: namespaces or Landlock, seccomp, inotify."""


class UsageError(Exception):
    """Said in one line on stderr; exit code 2."""


class Failure(Exception):
    """Said in one line on stderr; exit code 1."""


def main(arguments: Sequence[str] | None = None) -> int:
    open_streams()
    words = sys.argv[1:] if arguments is None else arguments
    with door(sys.stdout, sys.stderr, False):
        for word in words:
            if not _is_said(word):
                return _refuse(UsageError(f"{word}: not UTF-8, and the name of nothing that is there"))
        options = parser().parse_args(words)
    options.verb = options.verb or "home"
    with door(sys.stdout, sys.stderr, getattr(options, "json", False) is True):
        return _do(options)


def _do(options: argparse.Namespace) -> int:
    import sqlite3
    from importlib import import_module

    from sia_tui.store.version import StoreError

    try:
        if options.verb in _LINUX_ONLY and sys.platform != "linux":
            raise UsageError(
                f"{options.verb} needs Linux, whose namespaces or Landlock, seccomp and inotify wall in what a model wrote; "
                f"on {sys.platform} there are demo, replay, report, show and the other verbs that read"
            )
        code = int(getattr(import_module(VERBS[options.verb]), options.verb.replace("-", "_"))(options))
        sys.stdout.flush()
        return code
    except (UsageError, StoreError, Failure) as error:
        return _refuse(error)
    except BrokenPipeError:
        return DONE
    except OSError as error:
        where = error.filename or options.verb
        return _refuse(Failure(f"{where}: {error.strerror or error}"))
    except sqlite3.Error as error:
        return _refuse(Failure(f"{options.verb}: {error}"))
    except KeyboardInterrupt:
        return 130


def _refuse(error: Exception) -> int:
    from sia_tui.core.text import one_line

    with suppress(OSError):
        print(f"sia-tui: {one_line(str(error), 1000)}", file=sys.stderr)
    return FAILED if isinstance(error, Failure) else USAGE


def _is_said(word: str) -> bool:
    """Files and folders may have any bytes for a name; whatever else is said is text."""
    if word.isascii():
        return True
    from sia_tui.core.text import is_text

    return is_text(word) or _leads_somewhere(Path(word.partition("=")[2] if word.startswith("--") else word))


def _leads_somewhere(path: Path) -> bool:
    try:
        return path.exists() or (len(path.parts) > 1 and path.parent.is_dir())
    except OSError:
        return False
