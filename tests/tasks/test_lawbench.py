from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from sia_tui.core.episodes import ALL_ROWS, Case
from sia_tui.tasks import lawbench
from sia_tui.tasks.check import SPLITS, check_split
from sia_tui.tasks.registry import available, load_task
from sia_tui.tasks.task import Task, TaskError
from tests.lawbench_shaped import REPEATED_FROM_TEST, REPEATED_IN_TRAIN, lawbench_shaped_files, write_lawbench_shaped


def shipped(data: Path, name: str) -> list[dict[str, str]]:
    with (data / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_sizes_and_counts(task: Task, data: Path) -> None:
    assert {split: len(task.ids(split)) for split in SPLITS} == {"train": 171, "dev": 36, "hidden": 36, "test": 48}
    assert task.counts["dropped_near_test"] == REPEATED_FROM_TEST
    assert task.counts["train_rows_with_near_duplicate"] == 2 * REPEATED_IN_TRAIN
    assert set(task.gold) == set(task.cases)


def test_gold_is_the_label_of_that_very_text(task: Task, data: Path) -> None:
    label_of = {row["text"]: row["label"] for row in shipped(data, "train.csv")}
    for split in ("train", "dev", "hidden"):
        assert all(task.gold[id] == label_of[task.cases[id].inputs["text"]] for id in task.ids(split))
    sealed = {row["id"]: row["label"] for row in shipped(data, "test_labels.csv")}
    label_of = {row["text"]: sealed[row["id"]] for row in shipped(data, "test.csv")}
    assert all(task.gold[id] == label_of[task.cases[id].inputs["text"]] for id in task.ids("test"))


def test_a_train_case_never_sees_its_own_row_or_fold(task: Task) -> None:
    for id in task.ids("train"):
        case = task.cases[id]
        rows = task.rows(case.view)
        assert id not in {row.id for row in rows} and case.fold not in {row.fold for row in rows}
    assert {row.id for row in task.rows(ALL_ROWS)} == set(task.ids("train"))
    assert all(task.cases[id].view == ALL_ROWS for split in ("dev", "hidden", "test") for id in task.ids(split))
    assert task.views == (ALL_ROWS, "fold-0", "fold-1", "fold-2", "fold-3", "fold-4")


@pytest.mark.parametrize("view", ["fold-5", "fold-", "fold-x", "fold--1", "", "fold-01"])
def test_no_such_view(task: Task, view: str) -> None:
    with pytest.raises(TaskError, match="use all, fold-0"):
        task.rows(view)


def test_ids_do_not_depend_on_row_order(task: Task, tmp_path: Path) -> None:
    files = lawbench_shaped_files()
    head, *rows = files["train.csv"].decode().splitlines()
    files["train.csv"] = "\n".join([head, *reversed(rows), ""]).encode()
    lawbench.write_folder(tmp_path / "lawbench", files)
    other = load_task("lawbench", tmp_path / "lawbench")
    assert (other.split_hash, other.test_hash) == (task.split_hash, task.test_hash)


def test_ids_tell_equal_texts_apart() -> None:
    rows = [("文", "b"), ("文", "a"), ("文", "a"), ("字", "a")]
    ids = lawbench.case_ids(rows)
    assert len(set(ids)) == 4
    assert lawbench.case_ids(rows[::-1]) == [ids[3], ids[1], ids[2], ids[0]]


def test_hashes_tell_what_changed(task: Task, data: Path) -> None:
    again = load_task("lawbench", data)
    assert (again.split_hash, again.test_hash) == (task.split_hash, task.test_hash)
    other = load_task("lawbench", data, seed=1)
    assert other.split_hash != task.split_hash and other.test_hash == task.test_hash
    test, train = task.ids("test")[0], task.ids("train")[0]
    wrong = {id: next(label for label in task.labels if label != task.gold[id]) for id in (test, train)}
    sealed = replace(task, gold={**task.gold, test: wrong[test]})
    assert sealed.split_hash == task.split_hash and sealed.test_hash != task.test_hash
    learnt = replace(task, gold={**task.gold, train: wrong[train]})
    assert learnt.split_hash != task.split_hash and learnt.test_hash == task.test_hash


def test_limit_shrinks_every_split_alike(task: Task, data: Path) -> None:
    small, other = (load_task("lawbench", data, limit=60, seed=seed) for seed in (0, 1))
    sizes = {split: len(small.ids(split)) for split in SPLITS}
    assert 58 <= sizes["train"] <= 60 and sizes["test"] == 17 and 12 <= sizes["dev"] <= 13
    assert {small.gold[id] for id in small.ids("train")} == set(small.labels)
    assert all(set(small.ids(split)) <= set(task.ids(split)) for split in SPLITS)
    assert small.test_hash == other.test_hash != task.test_hash


def test_words_for_people(task: Task) -> None:
    assert task.show("盗窃") == "盗窃 · theft"
    assert task.show("无此罪") == "无此罪"
    assert str(len(task.labels)) in task.description


def test_every_gloss_is_short_english_and_its_own() -> None:
    glosses = json.loads(Path(lawbench.__file__).with_name("glosses.json").read_text("utf-8"))
    assert len(glosses) == len(set(glosses.values())) == 191
    assert all(1 <= len(gloss.split()) <= 6 and gloss.isascii() for gloss in glosses.values())


def test_unknown_task(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="choose one of lawbench"):
        load_task("chess", tmp_path)
    assert available()[0] == "lawbench"


def test_check_is_content(task: Task) -> None:
    assert [finding for finding in check_split(task) if not finding.ok] == []
    assert all(not finding.fix for finding in check_split(task))


def moved(task: Task, id: str, **changes: object) -> Task:
    return replace(task, cases={**task.cases, id: replace(task.cases[id], **changes)})  # type: ignore[arg-type]


def failing(task: Task) -> list[str]:
    findings = [finding for finding in check_split(task) if not finding.ok]
    assert all(finding.fix for finding in findings)
    return [f"{finding.row}: {finding.found}" for finding in findings]


def test_check_finds_a_copy_across_splits(task: Task) -> None:
    twin = Case("twin", "dev", task.cases[task.ids("test")[0]].inputs)
    leaky = replace(task, cases={**task.cases, "twin": twin}, gold={**task.gold, "twin": task.labels[0]})
    assert len(failing(leaky)) == 1 and "across splits" in failing(leaky)[0]


def test_check_finds_torn_folds_and_missing_gold(task: Task) -> None:
    id = task.ids("train")[0]
    twin = replace(task.cases[id], id="twin", fold=((task.cases[id].fold or 0) + 1) % 5)
    torn = replace(task, cases={**task.cases, "twin": twin}, gold={**task.gold, "twin": task.gold[id]})
    assert any("across folds" in what for what in failing(torn))
    assert any("wrong or empty fold" in what for what in failing(moved(task, task.ids("dev")[0], fold=1)))
    assert any("without gold" in what for what in failing(replace(task, gold={**task.gold, "nobody": task.labels[0]})))


def test_check_finds_foreign_and_missing_labels(task: Task) -> None:
    id = task.ids("dev")[0]
    assert any("no label" in what for what in failing(replace(task, gold={**task.gold, id: "无此罪"})))
    assert any("without train rows" in what for what in failing(replace(task, labels=(*task.labels, "无此罪"))))


def test_check_finds_empty_splits(tmp_path: Path) -> None:
    folder = write_lawbench_shaped(tmp_path / "lawbench", charges=2, per_charge=4, test_per_charge=1)
    assert any("empty splits: hidden" in what for what in failing(load_task("lawbench", folder, hidden=0, folds=2)))
