"""What a task is to the engine: its cases, its rows under the out-of-fold rule, its gold and the hashes of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from sia_tui.core.episodes import ALL_ROWS, Case, Row, Scores, Split
from sia_tui.core.hashing import digest
from sia_tui.tasks.judge import Judge


class TaskError(Exception):
    """One line: what is wrong with a task's data or settings, and what to do about it."""


@dataclass(frozen=True)
class Forms:
    """Answers that are a letter a choice."""

    slots: tuple[str, ...]
    """The letters that may stand in each place."""


@dataclass(frozen=True)
class Task:
    """A task with every split decided. Holds the gold: it stays on the engine's side, never near a harness."""

    name: str
    description: str
    """What agents are told, in English."""
    labels: tuple[str, ...]
    cases: Mapping[str, Case] = field(repr=False)
    gold: Mapping[str, str] = field(repr=False)
    glosses: Mapping[str, str] = field(default_factory=dict, repr=False)
    """A short English gloss per label, for people."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was found and dropped on the way, by name, in rows."""
    judge: Judge = field(default_factory=Judge, repr=False)
    seed: Path | None = None
    """Folder of its first harness; None: the house has one under the task's name."""
    packaged: Mapping[str, str] = field(default_factory=dict, repr=False)
    """More files of the first harness: text by name."""
    forms: Forms | None = None
    """Of an answer that the nano policy gives in letters; None: it names a label."""
    compiles: bool = False
    """Its verifier tells a harness that asks what its compiler says of an answer, and nothing else of it."""
    scores: Scores = "absolute"
    """What its verifier's rewards say: a training learns by places alone where they only rank."""

    def ids(self, split: Split) -> tuple[str, ...]:
        return self._by_split.get(split, ())

    def rows(self, view: str) -> tuple[Row, ...]:
        """The train rows a case of this view may learn from; TaskError when no case has such a view."""
        rows = self._train_rows
        if view == ALL_ROWS:
            return rows
        folds = {f"fold-{fold}": fold for fold in self.folds}
        if view not in folds:
            raise TaskError(f"no view {view!r} in task {self.name}: use {', '.join([ALL_ROWS, *folds])}")
        return tuple(row for row in rows if row.fold != folds[view])

    def show(self, label: str) -> str:
        gloss = self.glosses.get(label)
        return f"{label} · {gloss}" if gloss else label

    @cached_property
    def folds(self) -> tuple[int, ...]:
        return tuple(sorted({row.fold for row in self._train_rows}))

    @cached_property
    def views(self) -> tuple[str, ...]:
        """Every view that some case has: all rows, and one per fold."""
        return (ALL_ROWS, *(f"fold-{fold}" for fold in self.folds))

    @cached_property
    def split_hash(self) -> str:
        """Of everything a score on train, dev or hidden depends on, and of which cases are test; not of test labels."""
        cases = [
            [case.id, case.split, case.fold, dict(case.inputs), None if case.split == "test" else self.gold[case.id]]
            for _, case in sorted(self.cases.items())
        ]
        return digest([self.name, list(self.labels), cases])

    @cached_property
    def test_hash(self) -> str:
        """Of the test set's content alone (inputs and gold), so that its openings are counted across splits and runs."""
        return digest(sorted(digest([dict(self.cases[id].inputs), self.gold[id]]) for id in self.ids("test")))

    @cached_property
    def _by_split(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for id in sorted(self.cases):
            found.setdefault(self.cases[id].split, []).append(id)
        return {split: tuple(ids) for split, ids in found.items()}

    @cached_property
    def _train_rows(self) -> tuple[Row, ...]:
        return tuple(_row(self.cases[id], self.gold[id]) for id in self.ids("train"))


def _row(case: Case, label: str) -> Row:
    if case.fold is None:
        raise TaskError(f"train case {case.id} has no fold: the task was built wrongly")
    return Row(case.id, case.inputs, label, case.fold)


def text_of(inputs: Mapping[str, str]) -> str:
    """A case's inputs as one text, for models and comparisons that read text."""
    return "\n".join(inputs[name] for name in sorted(inputs))
