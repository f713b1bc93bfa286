"""An earlier patch made to fit the harness as it is now, hunk by hunk, by fuzzy matching; and what did not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from diff_match_patch import diff_match_patch

from sia_tui.core.diffs import lines_of
from sia_tui.core.diffs import patch as diff
from sia_tui.core.hunks import Hunk, hunks, sides

Fate = Literal["fits", "there already", "does not fit"]
THRESHOLD = 0.35
"""How unlike its place may be to what a hunk was made for: 0 is the same, 1 anything."""
REACH = 4000
"""Characters from where it is looked for at which a place as good as the same is out of reach."""


@dataclass(frozen=True)
class Fit:
    hunk: Hunk
    fate: Fate
    why: str = ""


@dataclass(frozen=True)
class Revived:
    patch: str
    """Against the files as they are now; empty where nothing is left to do."""
    fits: tuple[Fit, ...]

    @property
    def told(self) -> str:
        """`2 of 3 hunks fit, 1 is there already`."""
        counts = {
            fate: sum(fit.fate == fate for fit in self.fits) for fate in ("fits", "there already", "does not fit")
        }
        said = f"{counts['fits']} of {len(self.fits)} hunks fit"
        said += f", {counts['there already']} there already" if counts["there already"] else ""
        return said + (f", {counts['does not fit']} not" if counts["does not fit"] else "")


def revive(patch: str, before: Mapping[str, str], now: Mapping[str, str]) -> Revived:
    """`before`: the files that the patch was made for. A hunk is applied whole or not at all."""
    files, fits = dict(now), list[Fit]()
    for hunk in hunks(patch):
        fate, why, text = _placed(hunk, before.get(hunk.path), files.get(hunk.path))
        fits.append(Fit(hunk, fate, why))
        if fate == "fits":
            files = {path: was for path, was in files.items() if path != hunk.path}
            files |= {} if text is None else {hunk.path: text}
    return Revived(diff(now, files), tuple(fits))


def _placed(hunk: Hunk, before: str | None, now: str | None) -> tuple[Fate, str, str | None]:
    """What becomes of the hunk, why, and of its file; None: there is no such file any more."""
    gone, came = ("".join(lines) for lines in sides(hunk))
    if before is None:
        if now is None:
            return "fits", "", came
        return ("there already", "", now) if now == came else ("does not fit", "the file it makes is there", now)
    if now is None:
        return ("there already" if not came else "does not fit"), "its file is gone", None
    if not came and gone == before:
        return ("fits", "", None) if now == before else ("does not fit", "the file it deletes has changed", now)
    start = _offset(hunk, before)
    if before[start : start + len(gone)] != gone:
        return "does not fit", "it is not of the files it was made for", now
    return _fitted(before, before[:start] + came + before[start + len(gone) :], gone, came, now)


def _fitted(before: str, after: str, gone: str, came: str, now: str) -> tuple[Fate, str, str | None]:
    if now == before:
        return "fits", "", after
    if came.strip() and came in now and (gone not in now or gone in came):
        return "there already", "", now
    engine = diff_match_patch()
    engine.Match_Threshold, engine.Match_Distance, engine.Diff_Timeout = THRESHOLD, REACH, 0.5
    moved = engine.diff_main(before, now)
    patches = engine.patch_make(before, after)
    for piece in patches:
        shift = engine.diff_xIndex(moved, piece.start1) - piece.start1
        piece.start1, piece.start2 = piece.start1 + shift, piece.start2 + shift
    text, took = engine.patch_apply(patches, now)
    if not took or not all(took):
        return "does not fit", "nothing like the lines it changes is left", now
    return ("there already", "", now) if text == now else ("fits", "", text)


def _offset(hunk: Hunk, before: str) -> int:
    """Characters before the hunk's first line in the file that it was made for."""
    lines = lines_of(before)
    return sum(len(line) for line in lines[: hunk.was])
