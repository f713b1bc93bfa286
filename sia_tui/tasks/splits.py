"""Deciding which row goes where: stratified by label, near duplicates together, the same for the same seed.

A group of near duplicates moves as one and counts under its commonest label. Nothing depends on the order of the rows.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sia_tui.core.episodes import Split
from sia_tui.tasks.task import TaskError


@dataclass(frozen=True)
class Item:
    id: str
    label: str
    group: str
    """Rows of one group share a side and a fold."""


@dataclass(frozen=True)
class Place:
    split: Split
    fold: int | None


@dataclass(frozen=True)
class _Group:
    key: str
    label: str
    ids: tuple[str, ...]


def split(
    items: Sequence[Item], seed: int, folds: int, dev: float, hidden: float, limit: int | None = None
) -> dict[str, Place]:
    """Where each row goes; rows beyond `limit` are left out.

    `limit` is the number of train rows kept at most; dev and hidden shrink by the same factor, rounded up. Every label
    keeps at least one group in train as long as it has one. TaskError on settings that cannot be met.
    """
    _require(folds >= 2, f"folds is {folds}: at least 2, or train cases have no rows to learn from")
    _require(min(dev, hidden) >= 0 and dev + hidden < 1, f"dev {dev} and hidden {hidden} must leave some train rows")
    _require(limit is None or limit >= folds, f"limit is {limit}: at least one row per fold ({folds})")
    sides = _sides(_groups(items, seed), dev, hidden, seed)
    if limit is not None:
        sides = _limited(sides, limit, seed)
    fold_of = _folds(sides["train"], folds)
    return {
        id: Place(side, fold_of[group.key] if side == "train" else None)
        for side, members in sides.items()
        for group in members
        for id in group.ids
    }


def shuffled(ids: Iterable[str], seed: int, salt: str) -> list[str]:
    """Ids in an order that only the seed and the salt decide."""
    return sorted(ids, key=lambda id: (_draw(seed, salt, id), id))


def share(count: int, part: int, whole: int) -> int:
    """`count` scaled by part / whole, rounded up, in whole numbers."""
    return -(-count * part // whole)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise TaskError(message)


def _draw(seed: int, salt: str, key: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{salt}\0{key}".encode()).digest()


def _groups(items: Sequence[Item], seed: int) -> list[_Group]:
    """The groups, shuffled by the seed."""
    members: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        members[item.group].append(item)
    found = {min(item.id for item in rows): rows for rows in members.values()}
    return [
        _Group(key, _commonest(item.label for item in found[key]), tuple(sorted(item.id for item in found[key])))
        for key in shuffled(found, seed, "groups")
    ]


def _commonest(labels: Iterable[str]) -> str:
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


def _by_label(groups: Iterable[_Group], seed: int) -> list[list[_Group]]:
    """Groups per label, in the order they came; the labels shuffled so that rounding favours none."""
    strata: dict[str, list[_Group]] = defaultdict(list)
    for group in groups:
        strata[group.label].append(group)
    return [strata[label] for label in shuffled(strata, seed, "labels")]


def _size(groups: Iterable[_Group]) -> int:
    return sum(len(group.ids) for group in groups)


def _sides(groups: Sequence[_Group], dev: float, hidden: float, seed: int) -> dict[Split, list[_Group]]:
    sides: dict[Split, list[_Group]] = {"train": [], "dev": [], "hidden": []}
    quotas = {"dev": _Quota(dev), "hidden": _Quota(hidden)}
    for stratum in _by_label(groups, seed):
        size = _size(stratum)
        rest = stratum
        for side in ("dev", "hidden"):
            taken, rest = _take(rest, quotas[side].next(size), keep=1)
            quotas[side].settle(_size(taken))
            sides["dev" if side == "dev" else "hidden"] += taken
        sides["train"] += rest
    return sides


class _Quota:
    """Rounds a fraction stratum by stratum so that neither a stratum nor the running total strays by a whole row."""

    def __init__(self, fraction: float) -> None:
        self._fraction = fraction
        self._owed = 0.0

    def next(self, size: int) -> int:
        exact = size * self._fraction
        wanted = math.floor(exact)
        self._owed += exact
        return wanted + (1 if exact > wanted and self._owed >= wanted + 0.5 else 0)

    def settle(self, taken: int) -> None:
        self._owed -= taken


def _take(groups: Sequence[_Group], rows: int, keep: int = 0) -> tuple[list[_Group], list[_Group]]:
    """The first groups that fit into `rows` rows, and the rest, of which at least `keep` groups remain."""
    taken: list[_Group] = []
    rest: list[_Group] = []
    for group in groups:
        spare = len(groups) - len(taken) > keep
        fits = len(group.ids) <= rows
        (taken if spare and fits else rest).append(group)
        rows -= len(group.ids) if spare and fits else 0
    return taken, rest


def _limited(sides: Mapping[Split, list[_Group]], limit: int, seed: int) -> dict[Split, list[_Group]]:
    whole = _size(sides["train"])
    if limit >= whole:
        return dict(sides)
    return {side: _thin(groups, share(_size(groups), limit, whole), seed) for side, groups in sides.items()}


def _thin(groups: Sequence[_Group], rows: int, seed: int) -> list[_Group]:
    """A stratified choice of groups holding at most `rows` rows: round after round, one group of every label."""
    strata = _by_label(groups, seed)
    order = [
        stratum[turn] for turn in range(max(map(len, strata), default=0)) for stratum in strata if turn < len(stratum)
    ]
    return _take(order, rows)[0]


def _folds(groups: Sequence[_Group], folds: int) -> dict[str, int]:
    """Each group to the fold that has fewest rows of its label, then fewest rows at all; large groups first."""
    totals: Counter[int] = Counter()
    of_label: Counter[tuple[str, int]] = Counter()
    chosen: dict[str, int] = {}
    for group in sorted(groups, key=lambda group: -len(group.ids)):
        fold = min(range(folds), key=lambda fold: (of_label[group.label, fold], totals[fold], fold))
        totals[fold] += len(group.ids)
        of_label[group.label, fold] += len(group.ids)
        chosen[group.key] = fold
    return chosen
