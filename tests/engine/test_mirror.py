"""The mirror as a real process over a real run; only the tracker is a stand-in that writes down how it was called."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sia_tui.config import load_config
from sia_tui.engine.mirror import PROJECT, Mirror
from sia_tui.store.workspace import RunPaths
from tests.tui.runs import make_run
from tests.tui.writer import CONFIG, PLAN, Writer, writing

TRACKER = """
import json, os
def _write(*call):
    with open(os.environ["CALLS"], "a") as file:
        file.write(json.dumps(call) + "\\n")
def init(**settings): _write("init", settings)
def log(data, step): _write("log", data, step)
def finish(): _write("finish")
"""


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Any]]:
    """What was called, so far; both trackers are there."""
    file = tmp_path / "calls"
    for name in ("trackio", "wandb"):
        (tmp_path / f"{name}.py").write_text(TRACKER)
    monkeypatch.setenv("CALLS", str(file))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    return lambda: [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def logged(paths: RunPaths) -> RunPaths:
    paths.logs.mkdir(parents=True, exist_ok=True)
    return paths


def trained(run: Writer, steps: int) -> str:
    name = run.proposal("weights", "train", PLAN)
    run.pilot(name)
    run.verdict(run.gate(name))
    run.train(name, PLAN, steps)
    return name


@pytest.mark.parametrize("to", ["trackio", "wandb"])
def test_what_is_written_from_now_on_is_sent_once(tmp_path: Path, calls: Callable[[], list[Any]], to: str) -> None:
    paths = logged(make_run(tmp_path / "r", "done"))
    with writing(paths.root) as run:
        run.clock.wait(10**9)
        mirror = Mirror(paths, to)
        name = trained(run, 3)
    until(lambda: len(calls()) >= 5)
    time.sleep(2.5)
    mirror.stop()
    until(lambda: calls()[-1] == ["finish"])
    [kind, settings], *logs = calls()[:-1]
    assert kind == "init" and settings["project"] == PROJECT and settings["name"] == f"r-{name}"
    assert settings["config"]["algorithm"] == "grpo" and settings["resume"] == "allow"
    assert settings.get("id") == (f"r-{name}" if to == "wandb" else None)
    assert [step for _, _, step in logs] == [0, 1, 2, 3] and all("reward" in values for _, values, _ in logs)
    assert mirror._process.wait(10) == 0


def test_a_package_that_is_not_there_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    mirror = Mirror(logged(make_run(tmp_path / "r", "fresh")), "trackio")
    found: list[str] = []
    until(lambda: bool(said := mirror.fault()) and found.append(said) is None)
    assert found[0].endswith("No module named 'trackio'; pip install trackio") and "the run goes on" in found[0]
    assert mirror.fault() is None
    mirror.stop()


def test_a_tracker_that_hangs_or_breaks_is_the_mirrors_trouble(tmp_path: Path, calls: Callable[[], list[Any]]) -> None:
    (tmp_path / "trackio.py").write_text("def init(**settings): raise ConnectionError('no network')\n")
    (tmp_path / "wandb.py").write_text("import time\ntime.sleep(3600)\n")
    paths = logged(make_run(tmp_path / "r", "fresh"))
    with writing(paths.root) as run:
        run.prepare("r")
        run.generation(None, 0.1)
        run.clock.wait(10**9)
        began = time.monotonic()
        hangs, breaks = Mirror(paths, "wandb"), Mirror(paths, "trackio")
        trained(run, 1)
        assert hangs.fault() is None
        hangs.stop()
        assert time.monotonic() - began < 5
        hangs._process.kill()
    until(lambda: "ConnectionError: no network" in (breaks.fault() or ""))
    breaks.stop()


def test_mirroring_makes_no_other_run_of_it() -> None:
    assert load_config(CONFIG, ["mirror=trackio"]).hash == load_config(CONFIG).hash
    assert load_config(CONFIG, ["mirror=none"]).mirror == "none"
