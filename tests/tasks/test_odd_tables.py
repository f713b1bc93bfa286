"""Another project's tables are read or passed over, whatever is in them; what of its task cannot be is one line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sia_tui.cli.main import main
from sia_tui.tasks import foreign
from sia_tui.tasks.task import TaskError
from tests.tasks.test_foreign import STRICT, project
from tests.test_bad_input import PLAIN, one_line_of

CELLS = st.lists(st.lists(st.text(max_size=5) | st.sampled_from(["q1", "qid", "", "\ufeff", '"', "\x00"]), max_size=4))
CSV = CELLS.map(lambda rows: "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass"))
JSON = (PLAIN | st.lists(st.dictionaries(st.sampled_from(["qid", "text", ""]), PLAIN))).map(
    lambda told: json.dumps(told).encode()
)
BYTES = CSV | JSON | st.binary(max_size=60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project(tmp_path_factory.mktemp("foreign"), STRICT)


@settings(max_examples=80, deadline=None)
@given(st.sampled_from([".csv", ".json", ".jsonl"]), BYTES)
@example(".json", b"[" * 200_000)
@example(".json", b'{"q1": {"colour": "\\ud800"}}')
@example(".jsonl", b'{"qid": "q1"}\n[')
@example(".csv", b"qid,colour\nq1,red,more,and more\nq2\n")
@example(".csv", b"qid\n" + b"x" * 200_000)
@example(".csv", "qid,käse\nq1,1".encode("latin-1"))
def test_any_table(folder: Path, suffix: str, content: bytes) -> None:
    path = folder / "data" / "private" / f"more{suffix}"
    path.write_bytes(content)
    try:
        for table in foreign._table(path):
            for id, row in table.rows.items():
                assert all(isinstance(name, str) for name in row), row
                json.dumps([id, foreign._inputs(row, table.id)], ensure_ascii=False).encode()
        public, private = (foreign._tables(folder / "data" / side) for side in ("public", "private"))
        foreign._pair(public, private, folder)
    except TaskError as error:
        one_line_of(error)
    finally:
        path.unlink()


@settings(max_examples=40, deadline=None)
@given(CSV | st.binary(max_size=30))
@example(b"")
@example("qid,käse\n".encode("latin-1"))
def test_any_sample_submission(folder: Path, content: bytes) -> None:
    sample = folder / "data" / "public" / "sample_submission.csv"
    sample.write_bytes(content)
    found = foreign.Foreign(folder, folder / "data" / "public" / "evaluate.py", "", {}, {})
    try:
        assert all(form["file"] and "id" in form for form in foreign._forms(found, "qid", ["colour"]))
    finally:
        sample.unlink()


def test_what_is_no_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    folder = project(tmp_path, STRICT)
    for name in ("private/pipe.csv", "public/sample_submission.csv", "public/pipe.json"):
        os.mkfifo(folder / "data" / name)
    assert foreign.read(folder).gold["q1"] == "green"


@pytest.mark.parametrize(
    "told",
    ["[" * 5000 + "]" * 5000, "\\xff", json.dumps({"accuracy": "high"}), json.dumps([1, 2])],
    ids=["deep", "no text", "no number", "list"],
)
def test_any_results(tmp_path: Path, told: str) -> None:
    evaluator = STRICT.split("said = ")[0] + f"(folder / 'results.json').write_bytes({told!r}.encode('latin-1'))"
    with pytest.raises(TaskError, match="no form of answers"):
        foreign.read(project(tmp_path, evaluator))


def said_by(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main([str(word) for word in words]) in (1, 2)
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "\x1b" not in err
    return err


def test_the_verb_says_one_line_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd: dict[str, Any] = {"files": ["/etc/host*"], "function": "r.py:f"}
    folder, to = tmp_path / "mine", tmp_path / "to"
    folder.mkdir()
    (folder / "task.yaml").write_text(json.dumps({"name": "mine", "description": "d", "reward": odd, "\x1b[31m": 1}))
    at = ("--workspace", tmp_path / "ws")
    assert "Extra inputs" in said_by(capsys, "tasks", "check", folder, *at)
    cases = ("--cases", tmp_path / "none.jsonl", "--folder", to)
    assert "--command: No closing quotation" in said_by(
        capsys, "tasks", "new", "x", *cases, "--command", "node 'x", *at
    )
    assert "--agent: names no program" in said_by(
        capsys, "tasks", "new", "x", *cases, "--command", "node x", "--agent", " ", *at
    )
    assert "none.jsonl cannot be read" in said_by(capsys, "tasks", "new", "x", *cases, "--command", "node x", *at)
    assert not to.exists() and not (tmp_path / "ws").exists()
