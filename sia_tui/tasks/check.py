"""`tasks check`: whether a task keeps the promises that scores rest on. Reads, never repairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sia_tui.core.episodes import Split
from sia_tui.tasks import duplicates, verify
from sia_tui.tasks.task import Task, text_of

SPLITS: tuple[Split, ...] = ("train", "dev", "hidden", "test")
_VERIFIER = "the verifier is not to be trusted: report it with the task's name"
_REBUILD = "the split was built wrongly: fetch and load the task again"


@dataclass(frozen=True)
class Finding:
    ok: bool
    what: str
    hint: str = ""
    """What to do; empty when all is well."""


def check(task: Task) -> list[Finding]:
    """Every promise, kept or broken, in the order they matter. Seconds on 6,000 cases."""
    return [
        *check_split(task),
        _labels_known(task),
        _scored_as_right(task),
        _scored_as_nothing(task),
        _labels_covered(task),
    ]


def check_split(task: Task) -> list[Finding]:
    """The promises of a split, whatever answers look like."""
    # Cases that are numbers are near each other on purpose; of texts, whoever has seen the one knows the other.
    groups = _near_duplicates(task) if task.forms is None else _alike(task)
    return [
        _splits_filled(task),
        _gold_complete(task),
        _apart(task, groups),
        _folds_keep_duplicates(task, groups),
        _folds_complete(task),
    ]


def _alike(task: Task) -> list[list[str]]:
    """Groups of cases, two at least, with the very same inputs."""
    found: dict[str, list[str]] = defaultdict(list)
    for id, case in sorted(task.cases.items()):
        found[text_of(case.inputs)].append(id)
    return [members for members in found.values() if len(members) > 1]


def _near_duplicates(task: Task) -> list[list[str]]:
    """Groups of cases, two at least, that say nearly the same."""
    ids = sorted(task.cases)
    found: dict[int, list[str]] = defaultdict(list)
    for id, group in zip(ids, duplicates.groups([text_of(task.cases[id].inputs) for id in ids]), strict=True):
        found[group].append(id)
    return [members for members in found.values() if len(members) > 1]


def _finding(broken: Iterable[str], good: str, bad: str, hint: str) -> Finding:
    names = sorted(broken)
    if not names:
        return Finding(True, good)
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return Finding(False, f"{len(names)} {bad}: {shown}", hint)


def _splits_filled(task: Task) -> Finding:
    sizes = ", ".join(f"{split} {len(task.ids(split))}" for split in SPLITS)
    empty = [split for split in SPLITS if not task.ids(split)]
    return _finding(
        empty, f"every split has cases ({sizes})", "empty splits", "raise the split's fraction or the limit"
    )


def _gold_complete(task: Task) -> Finding:
    odd = set(task.cases) ^ set(task.gold)
    misnamed = {id for id, case in task.cases.items() if case.id != id}
    return _finding(
        odd | misnamed, "every case has one gold label", "cases without gold, or gold without case", _REBUILD
    )


def _apart(task: Task, groups: list[list[str]]) -> Finding:
    leaks = [" ~ ".join(ids) for ids in groups if len({task.cases[id].split for id in ids}) > 1]
    return _finding(leaks, "no near duplicates across splits", "groups of near duplicates across splits", _REBUILD)


def _folds_keep_duplicates(task: Task, groups: list[list[str]]) -> Finding:
    torn = [" ~ ".join(ids) for ids in groups if len({task.cases[id].fold for id in ids}) > 1]
    return _finding(torn, "near duplicates share a fold", "groups of near duplicates across folds", _REBUILD)


def _folds_complete(task: Task) -> Finding:
    train = set(task.ids("train"))
    wrong = {id for id, case in task.cases.items() if (case.fold is None) == (id in train)}
    if not wrong:
        wrong = {view for view in task.views if not task.rows(view)}
    good = f"every train case has one of {len(task.folds)} folds, and rows outside it"
    return _finding(wrong, good, "cases or views with a wrong or empty fold", "use at least two folds and more rows")


def _labels_known(task: Task) -> Finding:
    odd = {id for id, label in task.gold.items() if label not in task.labels}
    return _finding(odd, "every gold label is a label", "cases whose gold is no label", "the data is inconsistent")


def _scored_as_right(task: Task) -> Finding:
    labels = frozenset(task.labels)
    scores = {id: verify.score(gold, gold, labels) for id, gold in task.gold.items()}
    wrong = [id for id, score in scores.items() if (score.reward, score.failure) != (1.0, None)]
    return _finding(wrong, "the gold answer scores 1 on every case", "cases whose gold answer is not right", _VERIFIER)


def _scored_as_nothing(task: Task) -> Finding:
    labels = frozenset(task.labels)
    answers: dict[str, tuple[object, str]] = {
        "no answer": (None, "no_answer"),
        "an empty answer": ("", "no_answer"),
        "a number": (1, "bad_answer"),
        "all labels at once": ("\n".join([*task.labels, ""]), "not_a_label"),
    }
    scores = {name: verify.score(answer, "", labels) for name, (answer, _) in answers.items()}
    wrong = [name for name, score in scores.items() if (score.reward, score.failure) != (0.0, answers[name][1])]
    return _finding(
        wrong, "no answer and nonsense score 0, each with its failure kind", "answers mis-scored", _VERIFIER
    )


def _labels_covered(task: Task) -> Finding:
    missing = set(task.labels) - {task.gold[id] for id in task.ids("train")}
    good = f"all {len(task.labels)} labels have train rows"
    return _finding(missing, good, "labels without train rows", "raise the limit or lower dev and hidden")
