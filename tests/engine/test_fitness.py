"""An evaluator is asked once: LawBench's own verifier, in a process, and what the workspace remembers of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sia_tui.core.episodes import Score
from sia_tui.core.fitness import ROWS
from sia_tui.engine.fitness import check_task, examine, probe_of
from sia_tui.engine.tasks import verifier_of
from sia_tui.harness.sandbox import choose, probe
from sia_tui.store.workspace import Workspace
from sia_tui.tasks.registry import load_task
from sia_tui.tasks.task import Task
from tests.lawbench_shaped import write_lawbench_shaped

LEVEL = choose("auto", probe())


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder = tmp_path_factory.mktemp("data") / "lawbench"
    return load_task("lawbench", write_lawbench_shaped(folder, charges=6, per_charge=12, test_per_charge=2))


async def test_lawbench_is_fit_in_every_row(task: Task, tmp_path: Path) -> None:
    told: list[int] = []
    found = await check_task(Workspace(tmp_path), task, LEVEL, lambda done, all: told.append(done))
    assert [(row.row, row.found) for row in found if row.level != "ok"] == []
    assert [row.row for row in found] == list(ROWS)[: len(found)] and len(found) == 19
    (exploits,) = (row for row in found if row.row == "exploits")
    assert exploits.figures["tried"] >= 20 and told == list(range(1, len(told) + 1))


async def test_the_same_verifier_and_split_are_asked_once(task: Task, tmp_path: Path) -> None:
    workspace, asked = Workspace(tmp_path), list[int]()
    verifier = verifier_of(task, tmp_path / "verifier", LEVEL)

    async def found(dev: int) -> tuple[object, bool]:
        return await examine(workspace, task, verifier, LEVEL, dev, lambda done, all: asked.append(done))

    async with verifier:
        first, known = await found(5)
        count = len(asked)
        assert not known and count > 50
        assert await found(5) == (first, True) and len(asked) == count
        assert (await found(3))[1] is False and len(asked) > count


async def test_only_train_cases_are_asked_about(task: Task) -> None:
    from sia_tui.tasks.fit import ask

    class Watching:
        def __init__(self) -> None:
            self.cases: set[str] = set()

        async def score(self, case_id: str, answer: object) -> Score:
            self.cases.add(case_id)
            return Score(0.0, "wrong")

    seen = Watching()
    found = {row.row: row.level for row in await ask(probe_of(task), seen, 10)}
    assert seen.cases and seen.cases <= set(task.ids("train"))
    assert (found["gold"], found["exploits"]) == ("fails", "ok")


def test_a_runs_start_tries_one_attempt_of_each_kind_and_waits_for_none(tmp_path: Path) -> None:
    full = probe_of(load_task("trimul", tmp_path))
    quick = full.quick()
    kinds = {(one.row, one.caught) for one in full.attempts if one.caught and "timeout" not in one.caught}
    assert {(one.row, one.caught) for one in quick.attempts if one.caught} == kinds
    assert len(quick.attempts) < len(full.attempts) / 2 and any(one.honest for one in quick.attempts)
