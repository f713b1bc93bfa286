from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sia_tui.core.episodes import Row
from sia_tui.tasks import baselines
from sia_tui.tasks.task import Task


def test_in_its_own_process(task: Task, tmp_path: Path) -> None:
    asked = [task.cases[id] for split in ("dev", "test") for id in task.ids(split)]
    job = baselines.write_job(tmp_path / "job", task.rows("all"), asked)
    written = "".join(path.read_text() for path in (tmp_path / "job").iterdir() if path.name != "rows.jsonl")
    assert not any(label in written for label in task.labels)
    with pytest.raises(FileNotFoundError):
        baselines.read_predictions(job)
    done = subprocess.run(baselines.command(job), capture_output=True, text=True, check=True)
    progress = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["done"] for line in progress] == [0, 1, 2, 3] and progress[-1]["total"] == 3
    predictions = baselines.read_predictions(job)
    assert list(predictions) == ["majority", "nearest", "linear-svc"]
    dev = task.ids("dev")
    right = {name: sum(found[id] == task.gold[id] for id in dev) / len(dev) for name, found in predictions.items()}
    assert all(set(found) == {case.id for case in asked} for found in predictions.values())
    assert right["majority"] < 0.2 < right["nearest"] < right["linear-svc"]


@pytest.mark.parametrize("rows", [[Row("a", {"text": "文"}, "A", 0)], [Row("a", {"text": "文"}, "A", 0)] * 2])
def test_next_to_nothing_to_learn_from(tmp_path: Path, rows: list[Row], task: Task) -> None:
    case = task.cases[task.ids("dev")[0]]
    job = baselines.write_job(tmp_path, rows, [case])
    baselines.run(job, lambda done, total, what: None)
    assert baselines.read_predictions(job) == {name: {case.id: "A"} for name in baselines.BASELINES}


def test_no_cases(tmp_path: Path, task: Task) -> None:
    job = baselines.write_job(tmp_path, task.rows("all"), [])
    baselines.run(job, lambda done, total, what: None)
    assert baselines.read_predictions(job) == {name: {} for name in baselines.BASELINES}


def test_nothing_heavy_on_the_way_in() -> None:
    code = (
        "import sys, sia_tui.tasks.baselines, sia_tui.tasks.check, sia_tui.tasks.lawbench, sia_tui.tasks.verifier;"
        "sys.exit(bool({'numpy', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
