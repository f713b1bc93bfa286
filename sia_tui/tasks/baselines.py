"""What needs no language model: the scores that any harness has to beat.

`python -m sia_tui.tasks.baselines --job JOB.json` fits on labelled train rows and predicts for cases whose labels it is
never given; scoring is the caller's. Progress goes to stdout as JSON lines {"done", "total", "what"}. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sia_tui.core.episodes import Case, Row
from sia_tui.tasks.task import text_of

Texts = Sequence[str]
Baseline = Callable[[Texts, Sequence[str], Texts], list[str]]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def majority(train: Texts, labels: Sequence[str], texts: Texts) -> list[str]:
    """The commonest train label, always."""
    return [_commonest(labels)] * len(texts)


def nearest(train: Texts, labels: Sequence[str], texts: Texts) -> list[str]:
    """The label of the train row with the highest cosine of character TF-IDF."""
    fitted, asked = _vectors(train, texts)
    found: list[str] = []
    for start in range(0, len(texts), 256):
        best = (asked[start : start + 256] @ fitted.T).toarray().argmax(axis=1)
        found += [labels[int(index)] for index in best]
    return found


def linear_svc(train: Texts, labels: Sequence[str], texts: Texts) -> list[str]:
    """A linear support vector machine, C = 1, on character TF-IDF."""
    from sklearn.svm import LinearSVC  # type: ignore[import-untyped, unused-ignore]

    if len(set(labels)) < 2:
        return majority(train, labels, texts)
    fitted, asked = _vectors(train, texts)
    model = LinearSVC(C=1.0, random_state=0).fit(fitted, labels)
    return [str(label) for label in model.predict(asked)]


BASELINES: Mapping[str, Baseline] = {"majority": majority, "nearest": nearest, "linear-svc": linear_svc}


def fitting(labels: Sequence[str]) -> tuple[str, ...]:
    """Those that a task has: without labels the right answers are as many as the cases, and there are no classes to fit."""
    return tuple(BASELINES) if labels else ("majority", "nearest")


def write_job(
    folder: Path, rows: Sequence[Row], cases: Sequence[Case], names: Sequence[str] = tuple(BASELINES)
) -> Path:
    """Write what the process needs into `folder` and return its JOB file, which appears last and whole."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_lines(folder / "rows.jsonl", [{"id": r.id, "inputs": dict(r.inputs), "label": r.label} for r in rows])
    _write_lines(folder / "cases.jsonl", [{"id": case.id, "inputs": dict(case.inputs)} for case in cases])
    job = {"rows": "rows.jsonl", "cases": ["cases.jsonl"], "out": "predictions.json", "baselines": list(names)}
    path = folder / "job.json"
    _write_whole(path, json.dumps(job, indent=2) + "\n")
    return path


def command(job: Path) -> list[str]:
    """The command line that works on a job."""
    return [sys.executable, "-m", "sia_tui.tasks.baselines", "--job", str(job)]


def read_predictions(job: Path) -> dict[str, dict[str, str]]:
    """{baseline: {case id: label}} of a finished job; raises FileNotFoundError while there is none."""
    described = json.loads(job.read_text("utf-8"))
    found: dict[str, dict[str, str]] = json.loads((job.parent / described["out"]).read_text("utf-8"))
    return found


def run(job: Path, report: Callable[[int, int, str], None]) -> None:
    """Work on a job; its paths are relative to its own folder. The predictions appear whole, at the end."""
    described = json.loads(job.read_text("utf-8"))
    rows = _read_lines(job.parent / described["rows"])
    cases = [case for name in described["cases"] for case in _read_lines(job.parent / name)]
    train, labels = [text_of(row["inputs"]) for row in rows], [row["label"] for row in rows]
    texts = [text_of(case["inputs"]) for case in cases]
    predictions: dict[str, dict[str, str]] = {}
    names = described["baselines"]
    for done, name in enumerate(names):
        report(done, len(names), name)
        found = BASELINES[name](train, labels, texts) if texts else []
        predictions[name] = {case["id"]: label for case, label in zip(cases, found, strict=True)}
    _write_whole(job.parent / described["out"], json.dumps(predictions, ensure_ascii=False))
    report(len(names), len(names), "done")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m sia_tui.tasks.baselines", description="Null baselines of a task.")
    parser.add_argument("--job", type=Path, required=True, help="the file that write_job made")
    job: Path = parser.parse_args(arguments).job
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    run(job, lambda done, total, what: print(json.dumps({"done": done, "total": total, "what": what}), flush=True))


def _commonest(labels: Sequence[str]) -> str:
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


def _vectors(train: Texts, texts: Texts) -> tuple[Any, Any]:
    """Sublinear TF-IDF of characters and their pairs, without those that occur in a single train row."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped, unused-ignore]

    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 2), sublinear_tf=True, min_df=min(2, len(train)))
    return vectorizer.fit_transform(train), vectorizer.transform(texts)


def _write_whole(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def _write_lines(path: Path, values: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), "utf-8")


def _read_lines(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


if __name__ == "__main__":
    main()
