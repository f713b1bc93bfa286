"""A task's folder from anywhere is taken, or refused in one line, and nothing in it is changed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sia_tui.tasks import own
from sia_tui.tasks.task import TaskError
from tests.test_bad_input import PLAIN, one_line_of

SOUND: dict[str, Any] = {
    "name": "mine",
    "description": "d",
    "cases": "cases.jsonl",
    "labels": "auto",
    "test": 0.2,
    "scores": "absolute",
}
REWARDS = ({"function": "rewards.py:paid"}, {"command": ["python3", "score.py"]}, {"url": "http://127.0.0.1:1/"})
PATHS = st.sampled_from(
    [
        *("", ".", "..", "/", "~", "*", "**", "**x", "[", "[!", "/etc/host*", "../*", "**/../../*", "a\0b", "\ud800"),
        *(
            "/etc/passwd",
            "../outside",
            "link",
            "loop",
            "pipe",
            "zero",
            "harness",
            "x" * 300,
            "x" * 5000,
            "a\n\x1b[31mb",
        ),
    ]
)
ODD = PATHS | PATHS.map(lambda path: [path]) | PLAIN


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd") / "mine"
    (folder / "harness").mkdir(parents=True)
    rows = [{"input": f"{chr(97 + n) * 9} is number {n}", "gold": "xyz"[n % 3]} for n in range(24)]
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for file in ("rewards.py", "score.py", "../outside"):
        (folder / file).write_text("def paid(answer, case): return 1.0")
    for link, to in (("link", "../outside"), ("loop", "loop"), ("zero", "/dev/zero")):
        (folder / link).symlink_to(to)
    os.mkfifo(folder / "pipe")
    return folder


def loaded(folder: Path, dev: float = 0.15) -> None:
    before = sorted(folder.rglob("*"))
    try:
        assert own.load(folder, 0, 2, dev, 0.15, None).cases
    except TaskError as error:
        assert "\x1b" not in one_line_of(error)
    assert sorted(folder.rglob("*")) == before


def described(folder: Path, told: object) -> None:
    text = yaml.safe_dump(told)
    (folder / own.TASK).write_text(text, encoding="utf-8", errors="surrogatepass")
    loaded(folder)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([*SOUND, "more\x1b[31m"]), ODD)
@example("cases", "pipe")
@example("cases", "a\0b")
@example("cases", "../outside")
@example("description", "\ud800")
def test_any_task_yaml(folder: Path, key: str, value: object) -> None:
    described(folder, SOUND | {"reward": REWARDS[0], key: value})


KEYS = ["function", "command", "image", "url", "deadline_s", "requirements", "at_once", "files"]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*REWARDS, {}]), st.sampled_from(KEYS), ODD)
@example(REWARDS[0], "files", ["/etc/host*"])
@example(REWARDS[0], "files", [""])
@example(REWARDS[0], "files", ["**x"])
@example(REWARDS[0], "files", ["."])
@example(REWARDS[0], "files", ["../*"])
@example(REWARDS[0], "files", ["a\0b"])
@example(REWARDS[0], "requirements", "a\0b")
@example({}, "command", ["\ud800"])
@example({}, "command", ["a\0b", "x" * 5000])
def test_any_reward(folder: Path, start: dict[str, Any], key: str, value: object) -> None:
    described(folder, SOUND | {"reward": {**start, key: value}})


INPUTS = st.sampled_from(["", " ", "one", "one!", "\x00", "\u2028", "a b c d e f g"]) | st.text(max_size=9)
ROW = st.fixed_dictionaries(
    {"inputs": st.dictionaries(st.text(max_size=3), INPUTS, max_size=2) | PLAIN},
    optional={"gold": PLAIN, "split": st.sampled_from([*own.SPLITS, None, "x"]), "input": INPUTS},
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 3), min_size=18, max_size=26), st.lists(ROW, max_size=4))
@example([0] * 24, [])
@example([1] * 24, [{"inputs": {"text": "\ud800"}}])
def test_any_cases(folder: Path, kinds: list[int], more: list[dict[str, Any]]) -> None:
    made = [
        {"input": text, "gold": gold}
        for n, kind in enumerate(kinds)
        for text, gold in [[("same", n), ("", n), (f"{chr(97 + n) * 9}", "x"), (f"{n}", None)][kind]]
    ]
    whole = (folder / "cases.jsonl").read_bytes()
    (folder / own.TASK).write_text(yaml.safe_dump(SOUND | {"reward": REWARDS[2]}))
    try:
        (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*made, *more]))
        loaded(folder)
    finally:
        (folder / "cases.jsonl").write_bytes(whole)


@pytest.mark.parametrize("name", [own.TASK, "cases.jsonl"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "half", "latin"])
def test_what_is_no_text_file(tmp_path: Path, name: str, kind: str) -> None:
    (tmp_path / own.TASK).write_text(yaml.safe_dump(SOUND | {"reward": REWARDS[2]}))
    path = tmp_path / name
    path.unlink(missing_ok=True)
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path)
        case "half":
            path.write_bytes(b"\xe4\xb8")
        case _:
            path.write_bytes("käse: 1".encode("latin-1"))
    with pytest.raises(TaskError) as refused:
        own.load(tmp_path, 0, 2, 0.15, 0.15, None)
    one_line_of(refused.value)
