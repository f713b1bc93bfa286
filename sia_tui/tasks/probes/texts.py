"""Tasks whose answers are texts: one of the labels, or any text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import Any, Final

from sia_tui.tasks.attempts import Attempt, always, attempt, read
from sia_tui.tasks.judge import VERIFY
from sia_tui.tasks.probe import Probe
from sia_tui.tasks.task import Task

CORPUS = Path(__file__).parents[1] / "exploits"
ASKED: Final = 8
"""Train cases whose right answers are tried."""
LONGEST: Final = 20_000
"""Characters of all labels together, as one answer."""
ALIKE = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
"""Latin letters and the Cyrillic ones that look the same."""
VARIATION = "\ufe00"
"""Changes a character and not its look."""


def probe(task: Task) -> Probe:
    ids = _spread(task)
    known = any(task.gold[id] for id in ids)
    exact = task.judge.source == VERIFY
    return Probe(
        ids=ids,
        right=(lambda id: task.gold[id]) if known else None,
        wrong=lambda id: _other(task, id),
        attempts=tuple(attempts(task)),
        nulls={} if task.labels or not known else {"one answer to all": always(task.gold[ids[0]])},
        known_nulls={"the most frequent label": _most_frequent(task)} if task.labels else {},
        # A reward of one's own may pay in parts; half of what is right is no part.
        share=0.0 if exact else 0.5,
        together=task.judge.at_once,
    )


def attempts(task: Task) -> Iterator[Attempt]:
    for name, entry in read(CORPUS / "texts.yaml"):
        yield attempt(name, entry, always(_said(entry)))
    if len(task.labels) > 1:
        for name, entry in read(CORPUS / "labels.yaml"):
            yield attempt(name, entry, _filled(task, Template(entry["answer"])))


def _said(entry: dict[str, Any]) -> object:
    if "value" in entry:
        return entry["value"]
    if "surrogate" in entry:
        return "\ud800"
    answer = entry["answer"]
    return answer if answer is None else answer * entry.get("times", 1)


def _filled(task: Task, form: Template) -> Callable[[str], str]:
    return lambda id: form.substitute(_words(task, id))


def _words(task: Task, id: str) -> dict[str, str]:
    gold = task.gold[id]
    alike = gold.translate(ALIKE)
    return dict(
        GOLD=gold,
        OTHER=next(label for label in task.labels if label != gold),
        LABELS=", ".join(task.labels)[:LONGEST],
        CONFUSABLE=alike if alike != gold else gold + VARIATION,
        INVISIBLE=f"{gold[:1]}\u200b{gold[1:]}",
        DRAWKCAB=gold[::-1],
    )


def _spread(task: Task) -> tuple[str, ...]:
    """Train cases, of as many different gold answers as there are."""
    train = task.ids("train")
    first = {task.gold[id]: id for id in reversed(train)}
    chosen = list(first.values())[::-1][:ASKED]
    return (*chosen, *[id for id in train if id not in chosen][: ASKED - len(chosen)])


def _other(task: Task, id: str) -> str | None:
    """The gold answer of another train case; None where all are alike."""
    return next((task.gold[other] for other in task.ids("train") if task.gold[other] != task.gold[id]), None)


def _most_frequent(task: Task) -> float:
    """Share of the train cases whose answer is the one that is met most often."""
    golds = [task.gold[id] for id in task.ids("train")]
    return max(map(golds.count, set(golds))) / len(golds)
