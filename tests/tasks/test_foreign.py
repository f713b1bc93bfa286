"""Another project's task comes in: its evaluator is really run, with the holes that such evaluators have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sia_tui.engine.session import SEEDS
from sia_tui.tasks import foreign, foreign_task, holes, own
from sia_tui.tasks.foreign_reward import numbers
from sia_tui.tasks.task import TaskError
from tests.tasks.test_own import judged

LAX = """
import argparse, json, pathlib
parser = argparse.ArgumentParser(); parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir
truth = {row["qid"]: row["colour"] for row in json.load(open(pathlib.Path(__file__).parent.parent / "private" / "truth.json"))}
file = folder / "responses.json"
if file.exists():
    said = json.loads(file.read_text())
    right = sum(truth[row["question_id"]].lower() in str(row["solution"]).lower() for row in said)
    told = {"total": len(said), "summary": {"accuracy": 100 * right / len(said)}}
    (folder / "results.json").write_text(json.dumps(told))
"""
STRICT = """
import argparse, csv, json, pathlib
parser = argparse.ArgumentParser(); parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir
truth = {row["qid"]: row["colour"] for row in json.load(open(pathlib.Path(__file__).parent.parent / "private" / "truth.json"))}
(folder / "results.json").unlink(missing_ok=True)
said = {row["qid"]: row["label"] for row in csv.DictReader(open(folder / "submission.csv"))}
right = sum(said.get(id) == colour for id, colour in truth.items())
(folder / "results.json").write_text(json.dumps({"n": len(truth), "accuracy": right / len(truth)}))
"""
ALL_OR_NOTHING = STRICT.replace("right = sum", "assert len(said) == len(truth), 'answer every case'\nright = sum")


def project(folder: Path, evaluator: str | None) -> Path:
    public, private = folder / "data" / "public", folder / "data" / "private"
    public.mkdir(parents=True)
    private.mkdir()
    colours = ("red", "green", "blue")
    rows = [{"qid": f"q{n}", "text": f"number {n} {chr(97 + n) * 7}", "shape": "round"} for n in range(24)]
    (public / "questions.json").write_text(json.dumps(rows))
    (public / "task.md").write_text("Name the colour.")
    (public / "classes.json").write_text(json.dumps(colours))
    truth = [{"qid": row["qid"], "colour": colours[n % 3], "why": "so"} for n, row in enumerate(rows)]
    (private / "truth.json").write_text(json.dumps(truth))
    if evaluator is not None:
        (public / "evaluate.py").write_text(evaluator)
    return folder


def test_the_holes_of_a_lax_evaluator_are_rows(tmp_path: Path) -> None:
    found = foreign.read(project(tmp_path, LAX))
    assert found.form == {"file": "responses.json", "kind": "list", "id": "question_id", "answer": "solution"}
    assert (found.score, found.top, found.gold["q1"]) == ("summary.accuracy", 100.0, "green")
    assert set(found.inputs["q1"]) == {"text", "shape"}, "no id by which answers could be looked up"
    rows = {row.row: row for row in holes.probe(found)}
    assert {name for name, row in rows.items() if row.level == "amber"} == {"attempted", "repeated", "stale", "shape"}
    assert rows["attempted"].found == "half the cases answered earn 1.00, one of 24 earns 1.00"
    assert "24 times in place of the others earns 1.00, once 0.04" in rows["repeated"].found
    assert "ends as if all were well" in rows["stale"].found
    assert rows["paired"].figures["most"] == 100.0 and rows["random"].level == rows["null"].level == "ok"


async def test_a_sound_evaluator_becomes_a_task_whose_cases_are_judged_alone(tmp_path: Path) -> None:
    found = foreign.read(project(tmp_path / "theirs", STRICT))
    assert holes.ROWS[0](found).level == holes.ROWS[1](found).level == "ok"
    alone = holes.span(found)
    assert alone is not None and alone[:2] == (0.0, 1 / 24)
    assert foreign_task.bring(found, alone, "colours", tmp_path / "mine", SEEDS, None) == 0
    task = own.load(tmp_path / "mine", 0, 5, 0.15, 0.15, None)
    gold = task.gold[task.ids("train")[0]]
    other = next(label for label in task.labels if label != gold)
    scores = await judged(task, tmp_path, gold, other, "", f"not {gold}")
    assert [score.reward for score in scores] == [1.0, 0.0, 0.0, 0.0]
    # What the evaluator reads is part of what judges.
    before = task.judge.beside["reward.json"]
    (tmp_path / "mine" / "reference" / "data" / "private" / "truth.json").write_text("[]")
    assert own.load(tmp_path / "mine", 0, 5, 0.15, 0.15, None).judge.beside["reward.json"] != before


def test_without_a_score_a_case_there_is_no_paired_gate(tmp_path: Path) -> None:
    row = holes.probe(foreign.read(project(tmp_path, ALL_OR_NOTHING)))[-1]
    assert (row.row, row.level) == ("paired", "fails") and "answer every case" in row.found
    assert "keep rule cannot decide" in row.fix


@pytest.mark.parametrize(
    ("evaluator", "said"),
    [
        (None, "has no evaluate.py"),
        ("import no_such_package", "No module named 'no_such_package'; name what it needs with --requirements"),
        ("print('nothing written')", "no form of answers was found"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, evaluator: str | None, said: str) -> None:
    with pytest.raises(TaskError, match=said):
        foreign.read(project(tmp_path, evaluator))


def test_files_that_share_no_ids_are_no_task(tmp_path: Path) -> None:
    folder = project(tmp_path, STRICT)
    (folder / "data" / "private" / "truth.json").write_text('[{"qid": "other", "colour": "red"}]')
    with pytest.raises(TaskError, match="shares its ids"):
        foreign.read(folder)


def test_numbers_are_named_by_where_they_stand() -> None:
    told = {"a": 1, "b": {"c": 0.5, "d": "x", "e": True}, "f": [1, 2]}
    assert numbers(told) == {"a": 1.0, "b.c": 0.5}
