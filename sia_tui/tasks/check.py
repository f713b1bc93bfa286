"""Whether a task's split keeps the promises that scores rest on. Reads, never repairs; asks no verifier."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sia_tui.core import fitness
from sia_tui.core.episodes import Split
from sia_tui.core.fitness import Finding
from sia_tui.tasks import duplicates
from sia_tui.tasks.task import Task, text_of

SPLITS: tuple[Split, ...] = ("train", "dev", "hidden", "test")
_REBUILD = "the split was built wrongly: fetch and load the task again"


def check_split(task: Task) -> list[Finding]:
    """The promises of a split, whatever answers look like, in the order they matter. Seconds on 6,000 cases."""
    # Cases that are numbers are near each other on purpose; of texts, whoever has seen the one knows the other.
    groups = _near_duplicates(task) if task.forms is None else _alike(task)
    return [_filled(task), _apart(task, groups), _folds(task), *([_labels(task)] if task.labels else [])]


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


def _finding(row: str, good: str, *broken: tuple[Iterable[str], str, str]) -> Finding:
    """Ok, or the first of (names, what is wrong with them, what to do) that has names."""
    for found, bad, fix in broken:
        if names := sorted(found):
            shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            return fitness.fails(row, f"{len(names)} {bad}: {shown}", fix)
    return fitness.ok(row, good)


def _filled(task: Task) -> Finding:
    sizes = ", ".join(f"{split} {len(task.ids(split))}" for split in SPLITS)
    empty = [split for split in SPLITS if not task.ids(split)]
    odd = set(task.cases) ^ set(task.gold) | {id for id, case in task.cases.items() if case.id != id}
    return _finding(
        "splits",
        f"every split has cases ({sizes}), every case its gold",
        (empty, "empty splits", "raise the split's fraction or the limit"),
        (odd, "cases without gold, or gold without case", _REBUILD),
    )


def _apart(task: Task, groups: list[list[str]]) -> Finding:
    def torn(places: str) -> list[str]:
        return [" ~ ".join(ids) for ids in groups if len({getattr(task.cases[id], places) for id in ids}) > 1]

    return _finding(
        "duplicates",
        "no near duplicates across splits or folds",
        (torn("split"), "groups of near duplicates across splits", _REBUILD),
        (torn("fold"), "groups of near duplicates across folds", _REBUILD),
    )


def _folds(task: Task) -> Finding:
    train = set(task.ids("train"))
    wrong = {id for id, case in task.cases.items() if (case.fold is None) == (id in train)}
    if not wrong:
        wrong = {view for view in task.views if not task.rows(view)}
    good = f"every train case has one of {len(task.folds)} folds, and rows outside it"
    return _finding("folds", good, (wrong, "cases or views with a wrong or empty fold", "two folds, and more rows"))


def _labels(task: Task) -> Finding:
    odd = {id for id, label in task.gold.items() if label not in task.labels}
    missing = set(task.labels) - {task.gold[id] for id in task.ids("train")}
    return _finding(
        "labels",
        f"every gold answer is a label, and all {len(task.labels)} labels have train rows",
        (odd, "cases whose gold is no label", "the data is inconsistent"),
        (missing, "labels without train rows", "raise the limit or lower dev and hidden"),
    )
