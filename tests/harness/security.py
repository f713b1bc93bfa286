"""Makes the table of docs/security.md anew: every attempt, at every level that stands here. `make security`."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from tests.harness.escaping import OPEN, Attempt, Came, attempts, tried
from tests.harness.world import levels

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
BEGIN, END = "<!-- make security: begin -->\n", "<!-- make security: end -->\n"


def table(some: list[Attempt], came: dict[str, dict[str, Came]]) -> str:
    lines = [f"| | what it tries | {' | '.join(came)} |", "|---|---|" + "---|" * len(came)]
    about = ""
    for attempt in some:
        if attempt.about != about:
            about = attempt.about
            lines.append(f"| **{about}** | |{' |' * len(came)}")
        cells = [_cell(attempt, found.get(attempt.name), level) for level, found in came.items()]
        lines.append(f"| {attempt.name} | {attempt.tries} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(attempt: Attempt, came: Came | None, level: str) -> str:
    if came is None:
        return "·"
    if level == OPEN and came.kind in ("escaped", "seen"):
        # Not what it gained: that is this machine's.
        return "gained"
    if not came.is_as(attempt.expected(level)):  # type: ignore[arg-type]
        return f"**ESCAPED**: {came.how}"
    return f"{came.kind} ({came.how})" if came.how else came.kind


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def main() -> None:
    some = [attempt for attempt in attempts() if attempt.about != "rights"]
    came: dict[str, dict[str, Came]] = {}
    for level in [*levels(), OPEN]:
        with tempfile.TemporaryDirectory(prefix="sia-security-") as folder:
            came[level] = asyncio.run(tried(level, Path(folder), some))
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    who = "root" if os.geteuid() == 0 else "a plain user"
    open_ = came[OPEN]
    counted = (
        f"{len(some)} attempts at {_listed(list(came)[:-1])}, made by {who}; at `{OPEN}` the {len(open_)} that only read,"
        f" of which {sum(one.kind in ('escaped', 'seen') for one in open_.values())} gain what they try.\n\n"
    )
    PAGE.write_text(before + BEGIN + counted + table(some, came) + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
