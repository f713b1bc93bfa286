"""A task of another project's layout: `data/public/task.md`, `data/public/*`, `data/private/*`, `evaluate.py --gen-dir DIR`.

Nothing in it says which file holds the questions, which the answers, or how an answer is handed in. The first two are found by
their ids, the last by trying: the form that the evaluator pays right answers in full for.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sia_tui.core.text import one_line
from sia_tui.tasks import foreign_reward
from sia_tui.tasks.foreign_reward import Answers, EvaluatorFailed
from sia_tui.tasks.task import TaskError

PLACES = ("data/public/evaluate.py", "evaluate.py", "data/evaluate.py", "public/evaluate.py")
FULL = (1.0, 100.0)
"""What all right answers earn by a score that is a share, or one in percent."""
MOST_TRIED = 60
"""Forms; each is a run of the evaluator."""
ID_KEYS = ("question_id", "id", "case_id", "task_id")
ANSWER_KEYS = ("model_answer", "solution", "answer", "prediction", "predicted", "label", "output", "response")
_QUOTED = re.compile(r"""["']([A-Za-z_][\w.*-]*)["']""")


@dataclass(frozen=True)
class Table:
    """Rows of a file by the id they have there."""

    path: Path
    id: str
    rows: Mapping[Any, Mapping[str, Any]]


@dataclass(frozen=True)
class Foreign:
    """What was found of a task."""

    folder: Path
    evaluator: Path
    description: str
    inputs: Mapping[Any, Mapping[str, str]]
    """By case."""
    gold: Mapping[Any, Any]
    form: dict[str, str] | None = None
    score: str = ""
    """The name of the number in results.json."""
    top: float = 1.0
    """What all right answers earn."""
    python: str = sys.executable

    def earned(self, answers: Answers) -> float:
        """The score of these answers. Raises EvaluatorFailed."""
        assert self.form is not None
        found = self.scores(self.form, answers)
        if self.score not in found:
            raise EvaluatorFailed(f"its results.json has no {self.score} for these answers")
        return found[self.score]

    def scores(self, form: dict[str, str], answers: Answers) -> dict[str, float]:
        with tempfile.TemporaryDirectory(prefix="evaluate-") as name:
            foreign_reward.write(form, Path(name), answers)
            try:
                return foreign_reward.scores(self.evaluator, Path(name), python=self.python)
            except subprocess.TimeoutExpired:
                raise EvaluatorFailed("evaluate.py took longer than ten minutes") from None
            except (OSError, RecursionError, ValueError) as fault:
                raise EvaluatorFailed(f"its results.json is no JSON: {one_line(str(fault))}") from None


def read(folder: Path, python: str = sys.executable) -> Foreign:
    """The task in `folder`, its form of answers found by running its evaluator. Raises TaskError, saying what is missing."""
    folder = folder.resolve()
    evaluator = next((folder / place for place in PLACES if (folder / place).is_file()), None)
    if evaluator is None:
        raise TaskError(
            f"{folder.name} has no evaluate.py: nobody says what an answer is worth (looked at {', '.join(PLACES)})"
        )
    public, private = _folder(folder, "public"), _folder(folder, "private")
    questions, answers = _pair(_tables(public), _tables(private), folder)
    shared = [id for id in questions.rows if id in answers.rows]
    inputs = {id: _inputs(questions.rows[id], questions.id) for id in shared}
    told = public / "task.md"
    description = told.read_text(encoding="utf-8", errors="replace")[:8000] if told.is_file() else folder.name
    hidden = [name for name in next(iter(answers.rows.values())) if name not in next(iter(questions.rows.values()))]
    if not hidden:
        raise TaskError(
            f"{answers.path} holds nothing that {questions.path.name} does not: there are no right answers in it"
        )
    found = Foreign(folder, evaluator, description, inputs, {}, python=python)
    return _tried(found, questions.id, {name: {id: answers.rows[id].get(name) for id in shared} for name in hidden})


def _folder(folder: Path, name: str) -> Path:
    for place in (folder / "data" / name, folder / name):
        if place.is_dir():
            return place
    raise TaskError(
        f"{folder.name} has no data/{name}: that is where its {'questions' if name == 'public' else 'answers'} lie"
    )


def _inputs(row: Mapping[str, Any], id: str) -> dict[str, str]:
    """Without the id, by which a harness could hold a table of answers."""
    kept = {name: value for name, value in row.items() if name != id and value not in (None, "")}
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in kept.items()
    }


def _pair(public: Sequence[Table], private: Sequence[Table], folder: Path) -> tuple[Table, Table]:
    """The two files that share most ids."""
    pairs = [(len(set(q.rows) & set(a.rows)), q, a) for q in public for a in private]
    # Of two with as many ids, the one that tells more of a case holds the questions.
    best = max(pairs, key=lambda pair: (pair[0], _told(pair[1])), default=None)
    if best is None or best[0] == 0:
        raise TaskError(
            f"no file of {folder.name}'s public data shares its ids with one of the private data (CSV, JSON)"
        )
    return best[1], best[2]


def _told(table: Table) -> int:
    return sum(len(str(value)) for row in itertools.islice(table.rows.values(), 20) for value in row.values())


def _tables(folder: Path) -> list[Table]:
    return [table for path in sorted(folder.rglob("*")) for table in _table(path)]


def _table(path: Path) -> Iterator[Table]:
    """None of a file that is no table, or holds half characters, which nothing could hand on."""
    try:
        if not path.is_file():
            return
        if path.suffix == ".csv":
            with path.open(encoding="utf-8-sig", newline="") as file:
                # What is longer than the header stands under None.
                yield from _keyed(path, [{k: v for k, v in row.items() if k} for row in csv.DictReader(file)])
        elif path.suffix in (".json", ".jsonl"):
            text = path.read_text(encoding="utf-8")
            told = (
                json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines() if line]
            )
            json.dumps(told, ensure_ascii=False).encode()
            if isinstance(told, dict) and told:
                yield Table(
                    path,
                    "id",
                    {id: value if isinstance(value, dict) else {"answer": value} for id, value in told.items()},
                )
            elif isinstance(told, list) and all(isinstance(row, dict) for row in told):
                yield from _keyed(path, told)
    except (OSError, RecursionError, ValueError, csv.Error):
        return


def _keyed(path: Path, rows: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """By the first column that tells all rows apart, and looks like a name."""
    for name in rows[0] if rows else ():
        values = [row.get(name) for row in rows]
        if all(isinstance(value, (str, int)) for value in values) and len(set(values)) == len(values):
            yield Table(path, name, {row[name]: row for row in rows})
            return


def _tried(found: Foreign, id: str, golds: Mapping[str, Mapping[Any, Any]]) -> Foreign:
    """The form, the column and the score under which every right answer earns all there is."""
    said = ""
    for number, (name, form) in enumerate(itertools.product(golds, _forms(found, id, list(golds)))):
        if number == MOST_TRIED:
            break
        gold = golds[name]
        try:
            right = found.scores(form, list(gold.items()))
            wrong = found.scores(form, list(swapped(gold).items()))
        except EvaluatorFailed as fault:
            said = str(fault)
            if "ModuleNotFoundError" in said:
                break
            continue
        score = _score(right, wrong)
        if score is not None:
            return replace(found, gold=gold, form=form, score=score, top=right[score])
    if "ModuleNotFoundError" in said:
        raise TaskError(f"{said}; name what it needs with --requirements FILE, name==version a line")
    raise TaskError(
        f"no form of answers was found in which {found.evaluator.name} pays every right one in full: it is to read CSV or JSON, "
        f"and to write results.json{f' (the last try: {said})' if said else ''}"
    )


def _header(sample: Path) -> list[str]:
    """Nothing of what is no CSV."""
    try:
        if not sample.is_file():
            return []
        with sample.open(encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, ValueError, csv.Error):
        return []


def swapped(gold: Mapping[Any, Any]) -> dict[Any, Any]:
    """Wrong answers: to each case the right one of another, where there is one that differs."""
    values = list(gold.values())
    return {
        id: next((other for other in (*values[at:], *values[:at]) if other != right), None)
        for at, (id, right) in enumerate(gold.items())
    }


def _score(right: Mapping[str, float], wrong: Mapping[str, float]) -> str | None:
    """The number that says all is right of the one and not of the other; one that is called a score first."""
    named = [name for name in right if right[name] in FULL and wrong.get(name, right[name]) < right[name]]
    called = ("accuracy", "score", "reward", "f1", "mean")
    return min(named, key=lambda name: (not any(word in name.lower() for word in called), len(name)), default=None)


def _forms(found: Foreign, id: str, golds: Sequence[str]) -> Iterator[dict[str, str]]:
    """Ways to hand answers in, likeliest first: the sample that comes with the task, then what the evaluator's text names."""
    source = found.evaluator.read_text(encoding="utf-8", errors="replace")
    words = list(dict.fromkeys(_QUOTED.findall(source)))
    samples = sorted((_folder(found.folder, "public")).glob("*submission*.csv"))
    for sample in samples:
        header = _header(sample)
        if len(header) == 2:
            yield {"file": "submission.csv", "kind": "csv", "id": header[0], "answer": header[1]}
    there = {path.name for path in found.folder.rglob("*") if path.is_file()}
    files = [word.replace("*", "") for word in words if word.endswith((".json", ".csv"))]
    files = [file for file in dict.fromkeys(files) if file not in (".json", ".csv", foreign_reward.RESULTS, *there)]
    ids = [key for key in dict.fromkeys((id, *ID_KEYS)) if key in words or key == id]
    answers = [key for key in dict.fromkeys((*ANSWER_KEYS, *golds)) if key in words]
    for file, key, answer in itertools.product(files, ids, answers):
        if file.endswith(".csv"):
            yield {"file": file, "kind": "csv", "id": key, "answer": answer}
            continue
        for kind in ("details", "list", "object") if "details" in words else ("list", "object"):
            yield {"file": file, "kind": kind, "id": key, "answer": answer}
    for file, kind in (("submission.csv", "csv"), ("submission.json", "object")):
        yield {"file": file, "kind": kind, "id": id, "answer": golds[0]}
