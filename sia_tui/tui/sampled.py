"""The sample table of a training as lines: a head for each kind, a line a rollout, two for what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sia_tui.core.text import one_line
from sia_tui.store.reader import EpisodeRow
from sia_tui.store.samples import Sample
from sia_tui.tui.pieces import BAD, DIM, GOOD, Line, Opens, fit, head, line

_CASE, _MADE, _REPLY = 12, 12, 3


def sampled(found: Sequence[Sample], width: int) -> list[Line]:
    lines: list[Line] = []
    for place, sample in enumerate(found):
        if place == 0 or sample.kind != found[place - 1].kind:
            lines.append(head(sample.kind, _NOTES[sample.kind]))
        lines += _lines(sample, width)
    return lines


_NOTES = {
    "best paid": "what the rewards teach it to do",
    "worst": "what they teach it to leave",
    "random": "what it mostly does",
    "changed most": "the same case, under the first and the newest adapter",
}


def _lines(sample: Sample, width: int) -> Iterator[Line]:
    if sample.before is not None:
        yield _rollout(sample.before, sample.reply_before, sample.prompt, width)
        yield _rollout(sample.row, sample.reply, "", width)
    else:
        yield _rollout(sample.row, sample.reply, sample.prompt, width)


def _rollout(row: EpisodeRow, reply: str, prompt: str, width: int) -> Line:
    made = f"{(row.purpose or '').replace('_', ' ')} {row.step}"
    room = max(8, width - _CASE - _MADE - 12)
    right = row.failure is None
    return line(
        (f"  {fit(row.case_id, _CASE)} {fit(made, _MADE)}", DIM),
        (f"{'✓' if right else '✗'} {row.reward:<5.3g}", GOOD if right else BAD),
        fit(one_line(reply), room // _REPLY),
        (f"  {fit(one_line(prompt), room - room // _REPLY - 2)}", DIM),
        opens=Opens("episode", row.id),
    )
