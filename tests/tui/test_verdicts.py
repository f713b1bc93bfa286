"""The way of a verdict, by an injected clock."""

from __future__ import annotations

import pytest

from sia_tui.core.gates import Gate
from sia_tui.tui.verdicts import ANSWER_S, SETTLE_S, UNDO_S, Verdicts

GATE = Gate("gate-1", "step", "p-1", "a" * 64, {"kind": "1", "config": "2"})
CHANGED = Gate("gate-1", "step", "p-1", "b" * 64, {"kind": "1", "config": "3", "evidence": "4"})
NEXT = Gate("gate-2", "step", "p-2", "c" * 64, {"kind": "1"})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verdicts(clock: Clock) -> Verdicts:
    """A gate that has been looked at for long enough."""
    made = Verdicts(clock)
    assert made.look(GATE) is None
    clock.now += SETTLE_S
    return made


def test_a_verdict_is_sent_once_when_its_time_has_come(verdicts: Verdicts, clock: Clock) -> None:
    assert verdicts.hold("approve") is None
    clock.now += UNDO_S - 0.01
    assert verdicts.due() is None and verdicts.left == pytest.approx(0.01)
    clock.now += 0.02
    held = verdicts.due()
    assert held is not None and held.kind == "approve"
    assert held.body == {"gate": "gate-1", "hash": "a" * 64, "note": ""}
    assert verdicts.due() is None


def test_a_key_pressed_too_soon_is_dropped(clock: Clock) -> None:
    verdicts = Verdicts(clock)
    verdicts.look(GATE)
    clock.now += SETTLE_S - 0.01
    assert "dropped" in str(verdicts.hold("approve")) and verdicts.held is None
    clock.now += 0.02
    verdicts.appear()
    assert "dropped" in str(verdicts.hold("approve")), "coming back to it counts as well"


def test_what_comes_up_out_of_sight_is_not_decided_until_it_is_seen(clock: Clock) -> None:
    verdicts = Verdicts(clock)
    verdicts.look(GATE, in_sight=False)
    clock.now += 60
    assert "dropped" in str(verdicts.hold("approve"))
    verdicts.uncover()
    assert "dropped" in str(verdicts.hold("approve"))
    clock.now += SETTLE_S
    verdicts.uncover()
    assert verdicts.hold("approve") is None


def test_taken_back_nothing_is_sent(verdicts: Verdicts, clock: Clock) -> None:
    assert verdicts.take_back() == "nothing to take back"
    verdicts.hold("reject", "no")
    clock.now += 1
    assert "taken back" in verdicts.take_back()
    clock.now += UNDO_S
    assert verdicts.due() is None
    assert verdicts.hold("approve") is None, "and it may be decided anew"


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (CHANGED, "gate-1 changed before it was sent: config, evidence"),
        (NEXT, "gate-1 was settled before it was sent; gate-2 is asked now"),
        (None, "settled"),
    ],
)
def test_a_gate_that_changes_drops_the_verdict(verdicts: Verdicts, clock: Clock, now: Gate | None, said: str) -> None:
    verdicts.hold("approve")
    assert said in str(verdicts.look(now))
    clock.now += UNDO_S
    assert verdicts.due() is None


def test_the_same_gate_again_changes_nothing(verdicts: Verdicts, clock: Clock) -> None:
    verdicts.hold("approve")
    assert verdicts.look(GATE) is None and verdicts.held is not None


def test_a_reason_written_about_something_else_is_not_sent(verdicts: Verdicts, clock: Clock) -> None:
    verdicts.look(CHANGED)
    clock.now += SETTLE_S
    assert "changed" in str(verdicts.hold("reject", "why", about=GATE.hash)) and verdicts.held is None


def test_a_second_verdict_waits_for_the_answer_to_the_first(verdicts: Verdicts, clock: Clock) -> None:
    verdicts.hold("approve")
    assert "already" in str(verdicts.hold("reject"))
    assert verdicts.flush() is not None and verdicts.flush() is None
    assert "waiting" in str(verdicts.hold("reject")) and "too late" in verdicts.take_back()
    clock.now += ANSWER_S
    assert verdicts.hold("reject") is None


def test_nothing_asked_nothing_decided(clock: Clock) -> None:
    verdicts = Verdicts(clock)
    clock.now += 10
    assert verdicts.hold("approve") == "nothing is asked" and verdicts.flush() is None
