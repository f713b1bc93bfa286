"""An episode that is late is begun on another node too; whichever ends first counts, and it counts once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sia_tui.core.episodes import Attempt, Case, Score
from sia_tui.engine import lots, rollout
from sia_tui.engine.crew import Harness
from sia_tui.engine.lots import Lot, Trial, Waiting
from sia_tui.engine.rollout import Terms, _Pass
from sia_tui.harness.workers import Outcome, WorkerLost
from sia_tui.policy.client import Closed

SLOW = "0"


class Gateway:
    def __init__(self) -> None:
        self.open: set[int] = set()

    async def open_lane(self, lane: int, *_: Any, **__: Any) -> None:
        assert lane not in self.open
        self.open.add(lane)

    async def leave_lane(self, lane: int) -> Closed:
        self.open.remove(lane)
        return Closed(())


class Verifier:
    async def score(self, case: str, answer: object) -> Score:
        await asyncio.sleep(0.01)
        return Score(1.0, None, {}, {})


class Worker:
    """On a node that is slow at what is called so, or is lost at the first case."""

    level = "bwrap"

    def __init__(self, node: str, slow_s: float = 0.0, lost: bool = False) -> None:
        self.node, self.alive, self._slow_s, self._lost = node, True, slow_s, lost

    def free(self, slot: int) -> bool:
        return True

    async def solve(self, slot: int, case: Case, left_s: float, attempts: object) -> Outcome:
        if self._lost:
            self.alive = False
            raise WorkerLost("gone")
        await asyncio.sleep(self._slow_s if case.inputs["text"] == "slow" else 0.005)
        return Outcome(self.node, "policy", (), {}, None, 0.0)


class Torn(Worker):
    """Its connection breaks at what is called slow, on whichever node that is."""

    async def solve(self, slot: int, case: Case, left_s: float, attempts: object) -> Outcome:
        if case.inputs["text"] == "slow":
            self.alive = False
            raise WorkerLost(f"node {self.node}: the connection broke")
        return await super().solve(slot, case, left_s, attempts)


class Crew:
    """Two posts of one lane each; a lost worker has a sound successor, or one that is as easily torn."""

    abreast = 2

    def __init__(self, *workers: Worker) -> None:
        self._workers = list(workers)

    @asynccontextmanager
    async def post(self, view: str, wanted: Any, nth: int) -> Any:
        yield SimpleNamespace(worker=self._workers[nth], lanes=(nth,))
        if not self._workers[nth].alive:
            self._workers[nth] = self._successor(nth)

    @asynccontextmanager
    async def alone(self, view: str) -> Any:
        yield SimpleNamespace(worker=self._successor(0), lanes=(0,))

    def bury(self, death: Exception, worker: Worker) -> None:
        pass

    def _successor(self, nth: int) -> Worker:
        return type(self._workers[nth])("other")


class Executor:
    reissue = 2.0

    def __init__(self, well: Sequence[str]) -> None:
        self.told: list[tuple[str, int, str]] = []
        self._well = well

    def busy(self) -> dict[str, int]:
        return dict.fromkeys(self._well, 0)

    def reissued(self, node: str, count: int, why: str) -> None:
        self.told.append((node, count, why))


async def made(
    monkeypatch: pytest.MonkeyPatch, *workers: Worker, well: Sequence[str] = ()
) -> tuple[dict[str, str], Executor, Gateway]:
    """Who answered each of ten cases, the first of which is slow; what was wrong where nobody did."""
    monkeypatch.setattr(lots, "LATE_S", 0.05)
    monkeypatch.setattr(rollout, "LOOK_S", 0.01)
    answered: dict[str, str] = {}
    config = SimpleNamespace(max_calls=4, max_tokens=99, deadline_s=9.0)
    gateway, executor = Gateway(), Executor(well)
    place: Any = SimpleNamespace(
        gateway=gateway,
        verifier=Verifier(),
        config=config,
        compiler=None,
        seed=0,
        executor=executor,
        waiting=Waiting(),
    )

    def done(trial: Trial, attempt: Attempt, score: Score) -> None:
        assert trial.case.id not in answered
        answered[trial.case.id] = attempt.error.message if attempt.error else str(attempt.answer)

    trials = [Trial(Case(str(n), "dev", {"text": "slow" if str(n) == SLOW else "fast"})) for n in range(10)]
    crew = cast(Any, Crew(*workers))
    async with asyncio.timeout(20):
        await _Pass(place, Harness(cast(Any, None), {}, "k"), crew, lambda: False, Terms(None), done).run(trials)
    return answered, executor, gateway


async def test_what_is_late_is_made_elsewhere_and_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, swift = Worker("a", slow_s=60), Worker("b")
    answered, executor, gateway = await made(monkeypatch, slow, swift)
    assert len(answered) == 10 and answered[SLOW] == "b" and ("a", 1, "late") in executor.told and not gateway.open


async def test_what_is_lost_is_made_again_and_is_nobodys_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, executor, gateway = await made(monkeypatch, Worker("a", lost=True), Worker("b"))
    assert len(answered) == 10 and not gateway.open
    assert [one for one in executor.told if one[2] == "lost"] == [("a", 1, "lost")]
    assert set(answered.values()) <= {"b", "other"}


async def test_whoever_has_the_connection_broken_again_and_again_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    answered, executor, gateway = await made(monkeypatch, Torn("a"), Torn("b"), well=("a", "b", "other"))
    assert len(answered) == 10 and not gateway.open
    assert answered[SLOW] == "node other: the connection broke, again and again"
    assert sum(count for *_, count, why in executor.told if why == "lost") == rollout.MOST_TORN - 1


async def test_a_lane_takes_nothing_up_before_its_worker_has_left_what_was_called_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does it hold up the end of a pass where nothing is left."""
    monkeypatch.setattr(rollout, "LOOK_S", 0.01)
    over, lot = list[bool](), Lot([Trial(Case("0", "dev", {}))])

    class Lingers(Worker):
        def free(self, slot: int) -> bool:
            return bool(over)

    place: Any = SimpleNamespace(executor=Executor(()))
    made = _Pass(place, cast(Any, None), cast(Any, None), lambda: False, Terms(None), lambda *_: None)
    post: Any = SimpleNamespace(worker=Lingers("a"), lanes=(0,))
    following = asyncio.create_task(made._next(post, 0, lot))
    await asyncio.sleep(0.05)
    assert len(lot.queue) == 1
    over.append(True)
    assert await following and not lot.queue
    over.clear()
    assert await made._next(post, 0, lot) is None


def test_only_what_is_on_another_node_alone_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lots, "LATE_S", 0.0)
    trials = [Trial(Case(str(n), "dev", {})) for n in range(lots.LATE_AFTER + 1)]
    lot = Lot(trials)
    for trial in trials[1:]:
        assert lot.late("b", 2.0) is None, "nobody knows yet how long one takes"
        assert lot.leave(lot.begin(trial, "a"), over=True)
    assert not lot.under_way
    flight = lot.begin(trials[0], "a")
    lot._took = [-1.0] * lots.LATE_AFTER
    assert lot.late("a", 2.0) is None and lot.late("b", 2.0) is flight
    again = lot.begin(trials[0], "b")
    assert lot.late("c", 2.0) is None, "twice is enough"
    assert not lot.leave(again, over=False) and lot.leave(flight, over=True)


def test_one_machine_needs_no_ray() -> None:
    script = "import sys, sia_tui.engine.session, sia_tui.cluster.opening; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
