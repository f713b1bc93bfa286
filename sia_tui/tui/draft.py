"""What a person would make of a patch at its gate: some of its hunks, or lines of their own. Knows nothing of a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sia_tui.core.hunks import hunks, partial, patched, rewritten
from sia_tui.tui.diffing import Diff, parse


@dataclass(frozen=True)
class Draft:
    """Begins as what was proposed."""

    proposed: str
    patch: str
    """As the person's editor left it."""
    taken: frozenset[int]

    @classmethod
    def of(cls, patch: str, proposed: str | None = None) -> Draft:
        return cls(patch if proposed is None else proposed, patch, frozenset(range(len(hunks(patch)))))

    @property
    def diff(self) -> Diff:
        return parse(self.patch)

    @property
    def divides(self) -> bool:
        """Whether the rows that are shown are the hunks that would be taken, one by one."""
        shown = [row.text for row in self.diff.rows if row.kind == "hunk"]
        return shown == [hunk.text.split("\n", 1)[0] for hunk in hunks(self.patch)] and bool(shown)

    @property
    def changed(self) -> bool:
        return self.patch != self.proposed or len(self.taken) < len(hunks(self.patch))

    @property
    def told(self) -> str:
        """What a yes would do, where that is no plain yes."""
        if not self.changed:
            return ""
        if not self.taken:
            return "no hunk is taken: reject it, or take one"
        return f"{self.made}: a yes makes a new proposal of that, checked and tried again, with a gate of its own"

    @property
    def made(self) -> str:
        """What it is of what was proposed, where it is not the same."""
        count, edited = len(hunks(self.patch)), self.patch != self.proposed
        some = [f"{len(self.taken)} of {count} hunks"] if len(self.taken) < count else []
        return ", ".join([*some, *(["edited"] if edited else [])])

    @property
    def body(self) -> Mapping[str, Any]:
        return {"patch": partial(self.patch, self.taken)}

    def path(self, hunk: int) -> str:
        return hunks(self.patch)[hunk].path

    def text(self, path: str, before: str | None) -> str:
        """The file as the hunks that are taken make it. Raises ValueError."""
        return patched(partial(self.patch, self.taken), path, before) or ""

    def edited(self, path: str, before: str | None, after: str) -> Draft:
        """With this file as it was left; hunks that were dropped stay out. Raises ValueError."""
        patch = rewritten(partial(self.patch, self.taken), path, before, after)
        return replace(Draft.of(patch), proposed=self.proposed)
