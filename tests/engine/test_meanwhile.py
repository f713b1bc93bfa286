"""What is done beside a wait: it ends with it, costs the run nothing where it fails, and hides no end of the run."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from sia_tui.cluster.executor import ClusterError
from sia_tui.core.meantime import Repeat
from sia_tui.core.state import State
from sia_tui.engine import meantime, performing
from tests.core.story import RULES


def session(tokens: int = 1) -> Any:
    """`tokens`: the budget."""
    rules = SimpleNamespace(**RULES.__dict__ | {"max_tokens": tokens})
    evaluate = SimpleNamespace(idle_repeats=9, trace=0, matched=0)
    said: list[str] = []
    report = SimpleNamespace(beat=lambda: None, phase=lambda why: None, say=said.append, said=said)
    config = SimpleNamespace(evaluate=evaluate, rules=rules, seed=0)
    return SimpleNamespace(state=State(), config=config, report=report, interrupted=lambda: False)


class Slow:
    """Work that takes a moment to end once it is cancelled."""

    def __init__(self) -> None:
        self.begun, self.over = asyncio.Event(), False

    async def work(self) -> None:
        try:
            self.begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.over = True
            raise


async def test_the_engines_own_end_is_not_lost_in_that_of_what_it_measured() -> None:
    slow, waiting, went_on = Slow(), meantime.Meanwhile(session(), "why"), False
    waiting._work = asyncio.create_task(slow.work())
    await slow.begun.wait()

    async def engine() -> None:
        nonlocal went_on
        await waiting.end()
        went_on = True

    task = asyncio.create_task(engine())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() and not went_on


async def test_a_long_job_ends_with_the_engine() -> None:
    slow = Slow()
    task = asyncio.create_task(performing._interruptible(session(), slow.work()))
    await slow.begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() and slow.over


async def test_nowhere_to_measure_costs_a_waiting_run_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def measure(*_: object) -> None:
        raise ClusterError("no node is left")

    monkeypatch.setattr(meantime, "while_waiting", lambda *_: Repeat(0, 1))
    monkeypatch.setattr(meantime, "measure", measure)
    asked, spent = session(), session(tokens=0)
    await meantime._meanwhile(asked)
    assert asked.report.said == ["not measured while waiting: no node is left"]
    await meantime._meanwhile(spent)
    assert spent.report.said == [], "nothing is measured where the budget is spent"
