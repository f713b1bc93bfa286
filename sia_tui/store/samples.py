"""A handful of a training's rollouts to read: the best-paid, the worst and some at random of those it learned from, and where
the answer changed most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sia_tui.core.hashing import digest
from sia_tui.store.reader import EpisodeRow, RunReader

Kind = Literal["best paid", "worst", "random", "changed most"]
EACH = 4
"""Rollouts of each kind."""


@dataclass(frozen=True)
class Sample:
    kind: Kind
    row: EpisodeRow
    before: EpisodeRow | None = None
    """Of `changed most`: the same case under the first adapter it was solved with; `row` is under the newest."""
    prompt: str = ""
    """What the case said."""
    reply: str = ""
    """The last completion; of no call the answer."""
    reply_before: str = ""

    @property
    def change(self) -> float | None:
        return None if self.before is None else self.row.reward - self.before.reward


def chosen(rows: Sequence[EpisodeRow], each: int = EACH, at: int | None = None) -> list[Sample]:
    """Of the rollouts of one training. No rollout is in two kinds, and cases take turns, so that prompts differ.

    Only what was rolled out to learn from says what rewards teach. What was held out is among what changed most: there the
    same case is asked again and again. The pilot's are no training's, and stand for one that has none of its own yet. `at`:
    only those rolled out that many optimizer steps into the training, as if it had ended there. Ties go to the newest. The
    random ones are drawn by the hash of their id: the same ones whenever it is asked.
    """
    learned = "train" if at is not None or any(row.purpose == "train" for row in rows) else "pilot"
    rows = [row for row in rows if row.purpose == learned or (learned == "train" and row.purpose == "held_out")]
    newest_first = [row for row in reversed(rows) if at is None or row.step == at]
    taken: set[str] = set()

    def some(kind: Kind, key: Callable[[EpisodeRow], Any]) -> Iterator[Sample]:
        left = [row for row in newest_first if row.purpose == learned and row.id not in taken]
        for row in in_turns(sorted(left, key=key), each):
            taken.add(row.id)
            yield Sample(kind, row)

    best = list(some("best paid", lambda row: -row.reward))
    worst = list(some("worst", lambda row: row.reward))
    random = list(some("random", lambda row: digest(row.id)))
    old = _changes([row for row in rows if row.purpose != "pilot" and (at is None or _step(row) <= at)])
    news = sorted((row for row in newest_first if row.id in old), key=lambda row: -abs(row.reward - old[row.id].reward))
    changed = [Sample("changed most", new, old[new.id]) for new in in_turns(news, each)]
    return [*best, *worst, *random, *changed]


def in_turns(rows: Iterable[EpisodeRow], most: int) -> list[EpisodeRow]:
    """The first of every case, in their order, then the second of every case, and so on."""
    seen: dict[str, int] = {}
    turns: list[tuple[int, int, EpisodeRow]] = []
    for place, row in enumerate(rows):
        turns.append((seen.get(row.case_id, 0), place, row))
        seen[row.case_id] = seen.get(row.case_id, 0) + 1
    return [row for _, _, row in sorted(turns, key=lambda turn: turn[:2])[:most]]


def _changes(rows: Sequence[EpisodeRow]) -> dict[str, EpisodeRow]:
    """Rollouts under the newest adapter, by id, with what came of the same under the first, where that differs.

    The same is the same sample of the same case: what explores with what explores, held out with held out.
    """
    alike: dict[tuple[str, bool, int | None], list[EpisodeRow]] = {}
    for row in rows:
        alike.setdefault((row.case_id, row.purpose == "held_out", row.sample), []).append(row)
    pairs = ((max(some, key=_step), min(some, key=_step)) for some in alike.values())
    return {new.id: old for new, old in pairs if (new.reward, new.answer) != (old.reward, old.answer)}


def _step(row: EpisodeRow) -> int:
    return row.step or 0


def read(reader: RunReader, samples: Sequence[Sample]) -> list[Sample]:
    """The same with what was asked and said. Raises StoreError."""
    return [_read(reader, sample) for sample in samples]


def _read(reader: RunReader, sample: Sample) -> Sample:
    prompt, reply = _said(reader, sample.row)
    before = _said(reader, sample.before)[1] if sample.before else ""
    return Sample(sample.kind, sample.row, sample.before, prompt, reply, before)


def _said(reader: RunReader, row: EpisodeRow) -> tuple[str, str]:
    found = reader.trajectory(row.id)
    if found is None:
        return "", row.answer or ""
    attempt = found[0]
    return " ".join(attempt.case.inputs.values()), attempt.calls[-1].text if attempt.calls else row.answer or ""
