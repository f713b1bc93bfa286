"""The ledger of decisions as lines: what was promised beside what was measured, and who said what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sia_tui.core.clock import when
from sia_tui.core.forecast import TrackRecord
from sia_tui.core.ledger import Decision
from sia_tui.core.memo import told as record_told
from sia_tui.core.refusals import Refusal
from sia_tui.core.telling import points
from sia_tui.core.text import one_line
from sia_tui.tui.pieces import BAD, DIM, GOOD, STRONG, WARN, Line, Piece, cells, cut, fit, head, interval, line, minutes
from sia_tui.tui.scores import LETTERS

_NAMED, _PROMISED, _EXPECTED, _MEASURED, _BY = 11, 8, 8, 21, 20
MARKS = {"kept": ("●", GOOD), "rolled back": ("○", BAD), "refused": ("✗", BAD), "amended": ("≈", WARN)}


def heading(width: int) -> Line:
    return line((_ruled("", "step", "", "promised", "expected", "measured on dev", "verdict", width), DIM))


def row(made: Decision, width: int) -> Line:
    glyph, tone = MARKS.get(made.outcome, ("…", DIM))
    name = made.step if made.generation is None else f"g{made.generation}"
    shown = _ruled(
        name,
        made.title,
        LETTERS[made.lever],
        _gain(made.predicted),
        _gain(made.expected),
        "" if made.gain is None else f"{points(made.gain)} {interval(made.lo or 0, made.hi or 0)}",
        " ".join(f"{'✓' if said.kind == 'approve' else '✗'} {said.by}" for said in made.verdicts),
        width,
    )
    return line((f"{glyph} ", tone), shown[2:])


def _ruled(name: str, title: str, lever: str, promised: str, expected: str, measured: str, by: str, width: int) -> str:
    right = f" {promised:>{_PROMISED}}"
    right += f" {expected:>{_EXPECTED}}" if width >= 90 else ""
    right += f"  {cut(measured, _MEASURED)}"
    right += f" {fit(by, _BY)}" if width >= 110 else ""
    left = f"  {fit(name, _NAMED)} {lever:<1} "
    return f"{left}{fit(title, max(4, width - cells(left) - cells(right) - 1))}{right}"


def _gain(value: float | None) -> str:
    return "" if value is None else points(value)


def detail(made: Decision, now: datetime) -> list[Line]:
    """All that is known of one decision."""
    glyph, tone = MARKS.get(made.outcome, ("…", DIM))
    lines = [
        line((made.step, STRONG), f"  {made.title}", (f"   by {made.agent}", DIM)),
        line((f"{glyph} {made.outcome}", tone), f"  {made.why}"),
    ]
    if made.predicted is not None:
        lines.append(line(("gain      ", DIM), *_promise(made)))
    for name, promised in sorted((made.predicted_cost or {}).items()):
        lines.append(line((f"{name.removesuffix('_s'):<10}", DIM), *_cost(name, promised, (made.cost or {}).get(name))))
    if made.minutes is not None:
        lines.append(line(("took      ", DIM), minutes(60 * made.minutes)))
    for said in made.verdicts:
        note = f": {said.note}" if said.note else ""
        lines.append(line(("verdict   ", DIM), f"{said.kind} by {said.by}{note}", (f"  {when(said.at, now)}", DIM)))
    return lines


def _promise(made: Decision) -> list[Piece]:
    assert made.predicted is not None
    said = f"promised {points(made.predicted)}{f' {interval(*made.range)}' if made.range else ''}"
    said += "" if made.expected is None else f", its record made that {points(made.expected)}"
    if made.gain is None:
        return [said, (", never measured", DIM)]
    right = made.sign_right
    word = "" if right is None else "  right sign" if right else "  wrong sign"
    return [
        f"{said}, measured {points(made.gain)} {interval(made.lo or 0, made.hi or 0)}",
        (word, GOOD if right else BAD),
    ]


def _cost(name: str, promised: float, measured: float | None) -> list[Piece]:
    def shown(value: float) -> str:
        return minutes(value) if name.endswith("_s") else f"×{value:.2f}"

    return [f"promised {shown(promised)}", (f", measured {shown(measured)}" if measured else ", not measured", "")]


def refused(found: Sequence[Refusal], task: str) -> list[Line]:
    """What people want none of, newest first, and how often it was proposed again all the same."""
    if not found:
        return []
    note = f"turned down in this run; of every run: sia-tui memory {task}"
    return [head("CONSTRAINTS", note), *map(_refused, reversed(found)), line()]


def _refused(one: Refusal) -> Line:
    how = f"dropped {one.hunk} of" if one.hunk else "refused"
    note = f": {one_line(one.note, 100)}" if one.note else ""
    times = "once" if one.returned == 1 else f"{one.returned} times"
    back = (f"  came back {times}", WARN) if one.returned else ("", "")
    return line((f"{one.step} ", DIM), (one.by, STRONG), f" {how} “{one_line(one.title, 48)}”{note}", back)


def calibrated(records: Sequence[TrackRecord]) -> list[Line]:
    """How far the next promise of each agent may be believed."""
    if not records:
        return [line(("no promise was measured yet", DIM))]
    return [
        head("WHAT PROMISES WERE WORTH", "measured over promised, by agent and lever"),
        *(line((f"{record.name}: ", STRONG), record_told(record)) for record in records),
    ]
