"""The harness' own environment, and what it proves: the numeric libraries work in the sandbox."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from sia_tui.children import stoppable
from sia_tui.harness import environment
from sia_tui.harness.environment import EnvironmentFailed, base_interpreter, ensure_environment, read_pins
from tests.harness.conftest import MakeWorld
from tests.harness.world import PROJECT_PYTHON, case


def written(folder: Path, text: str) -> Path:
    path = folder / "requirements.txt"
    path.write_text(text)
    return path


def test_pins(tmp_path: Path) -> None:
    text = "# ours\nnumpy==2.3.5  # fast\n\nscikit-learn[a,b] == 1.9.1 ; python_version > '3'\n"
    assert read_pins(written(tmp_path, text)) == ("numpy==2.3.5", "scikit-learn[a,b] == 1.9.1 ; python_version > '3'")


@pytest.mark.parametrize(
    "line",
    ["numpy", "numpy>=2", "-e .", "--index-url http://x", "a @ http://x/a.whl", "./a.whl", "-r b.txt", "a==1 --hash=x"],
)
def test_only_pins_are_taken(tmp_path: Path, line: str) -> None:
    with pytest.raises(EnvironmentFailed, match="line 2: write name==version"):
        ensure_environment(written(tmp_path, f"# one\n{line}\n"), tmp_path)


@pytest.mark.parametrize("text", ["", "# nothing\n\n", None])
def test_nothing_needed_is_the_plain_interpreter(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "requirements.txt" if text is None else written(tmp_path, text)
    assert ensure_environment(path, tmp_path / "environments") == base_interpreter()
    assert not (tmp_path / "environments").exists()


def test_a_failure_leaves_nothing_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = written_python(tmp_path, "echo 'ERROR: No matching distribution'; echo more; exit 1")
    monkeypatch.setattr(environment, "base_interpreter", lambda: fake)
    told: list[str] = []
    with pytest.raises(EnvironmentFailed, match="venv failed: ERROR: No matching distribution"):
        ensure_environment(written(tmp_path, "a==1\n"), tmp_path / "environments", told.append)
    assert [p.suffix for p in (tmp_path / "environments").iterdir()] == [".lock"]
    assert "more" in told


@pytest.mark.parametrize("hangs", ["sleep 60 & wait", "setsid sh -c 'sleep 5; echo > $0' $0.late & wait"])
def test_a_step_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: str) -> None:
    monkeypatch.setattr(environment, "base_interpreter", lambda: written_python(tmp_path, hangs))
    monkeypatch.setattr(environment, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(environment, "LAST_S", 0.2)
    with pytest.raises(EnvironmentFailed, match="took longer"):
        ensure_environment(written(tmp_path, "a==1\n"), tmp_path / "environments")
    assert not (tmp_path / "fake-python.late").exists()


@pytest.mark.asyncio
async def test_one_that_is_cancelled_ends_what_it_started_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a run does at SIGTERM: the loop's end waits for its threads."""
    monkeypatch.setattr(
        environment, "base_interpreter", lambda: written_python(tmp_path, 'echo $$ > "$3.pid"; sleep 60')
    )
    root = tmp_path / "environments"
    requirements = written(tmp_path, "a==1\n")
    both = [asyncio.create_task(stoppable(partial(ensure_environment, requirements, root, print))) for _ in range(2)]
    async with asyncio.timeout(30):
        while not list(root.glob("*.pid")):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.02)
        for one in both:
            one.cancel()
        await asyncio.wait(both)
        await asyncio.get_running_loop().shutdown_default_executor()
    assert [path.suffix for path in root.iterdir() if path.is_dir()] == []


def test_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in for Python makes a folder with a stand-in for pip in it."""
    make = 'mkdir -p "$3/bin"; printf "#!/bin/sh\\ntrue" > "$3/bin/python"; chmod +x "$3/bin/python"; echo made'
    monkeypatch.setattr(environment, "base_interpreter", lambda: written_python(tmp_path, make))
    told: list[str] = []
    requirements = written(tmp_path, "a==1\n")
    first = ensure_environment(requirements, tmp_path / "environments", told.append)
    assert ensure_environment(requirements, tmp_path / "environments", told.append) == first
    assert told.count("made") == 1
    (first.parent.parent / ".complete").unlink()
    ensure_environment(requirements, tmp_path / "environments", told.append)
    assert told.count("made") == 2


def written_python(folder: Path, script: str) -> Path:
    path = folder / "fake-python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def numeric_python() -> Path:
    """The environment that runs these tests: scikit-learn is in it, and the sandbox shows its packages only."""
    return PROJECT_PYTHON


NUMERIC = """
import numpy, scipy.sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sia import Answer
async def solve(case, llm, tools):
    x = numpy.random.default_rng(0).normal(size=(200, 10))
    y = (x[:, 0] > 0).astype(int)
    models = (RandomForestClassifier(10, n_jobs=-1), KNeighborsClassifier(n_jobs=2))
    scores = [model.fit(x, y).score(x, y) for model in models]
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, n_jobs=-1)
    scores.append(search.fit(scipy.sparse.csr_matrix(x), y).best_score_)
    numpy.linalg.svd(x)
    return Answer(str(min(scores) > 0.8), notes={"path": numpy.__file__})
"""


@pytest.mark.asyncio
async def test_scikit_learn_fits_in_the_sandbox(world: MakeWorld, numeric_python: Path) -> None:
    here = world(NUMERIC)
    here.python = numeric_python
    async with here.worker(ready_s=60) as worker:
        outcome = await worker.solve(0, case(), 30)
    assert (outcome.error, outcome.answer) == (None, "True")
    packages = "/environment/" if here.level == "bwrap" else str(numeric_python.parent.parent)
    assert outcome.notes["path"].startswith(packages)
