"""The window looks for garbage while no key waits, and leaves Python's collector as it found it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from sia_tui.tui.garbage import MOST_ROUNDS, ROUNDS, STILL_S, Garbage


class Knot:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def clock() -> list[float]:
    return [100.0]


@pytest.fixture
def garbage(clock: list[float]) -> Iterator[Garbage]:
    garbage = Garbage(lambda: clock[0])
    garbage.start()
    yield garbage
    garbage.stop()


def knot(rounds: int) -> weakref.ref[Knot]:
    """Garbage that only a full walk finds, after so many rounds of the middle generation."""
    knot = Knot()
    gc.collect()
    for _ in range(rounds):
        gc.collect(1)
    return weakref.ref(knot)


def test_a_full_walk_waits_until_nobody_does(garbage: Garbage, clock: list[float]) -> None:
    garbage.touch()
    tied = knot(ROUNDS)
    clock[0] += STILL_S / 2
    garbage.sweep()
    assert tied() is not None
    clock[0] += STILL_S
    garbage.sweep()
    assert tied() is None


def test_where_little_was_made_there_is_no_walk(garbage: Garbage) -> None:
    tied = knot(ROUNDS // 2)
    garbage.sweep()
    assert tied() is not None


def test_python_begins_a_full_walk_by_itself_only_late(garbage: Garbage) -> None:
    assert gc.get_threshold()[2] == MOST_ROUNDS


def test_what_was_there_before_comes_back() -> None:
    before = gc.get_threshold()
    garbage = Garbage()
    garbage.start()
    garbage.stop()
    assert gc.get_threshold() == before
