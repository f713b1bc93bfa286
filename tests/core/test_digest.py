"""What happened between two moments: whatever the story, the parts add up to the whole."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.core.digest import Digest, digest, page, told
from sia_tui.core.fold import fold
from sia_tui.core.spent import Cost
from sia_tui.core.state import State
from tests.core.story import tell_story


@settings(max_examples=15)
@given(st.data(), st.floats(0, 1))
def test_two_digests_after_each_other_tell_what_one_of_the_whole_tells(data: st.DataObject, share: float) -> None:
    entries = tell_story(lambda options: data.draw(st.sampled_from(options)))
    cut = int(share * len(entries))
    middle, end = fold(entries[:cut]), fold(entries)
    whole, first, second = _told(State(), end), _told(State(), middle), _told(middle, end)
    assert [one.proposal for one in (*first.decided, *second.decided)] == [one.proposal for one in whole.decided]
    assert (first.dev_to, second.dev_to) == (second.dev_from, whole.dev_to)
    assert abs(first.wall_s + second.wall_s - whole.wall_s) < 1e-6
    for found in (whole, first, second):
        assert sum(map(found.count, ("kept", "rolled back", "refused"))) == len(found.decided)
        assert (found.waiting is None) == ("sia-tui approve" not in page(found))


@settings(max_examples=15)
@given(st.data())
def test_a_page_says_every_decision_with_its_reason_on_lines_of_their_own(data: st.DataObject) -> None:
    found = _told(State(), fold(tell_story(lambda options: data.draw(st.sampled_from(options)))))
    lines = page(found).splitlines()
    assert told(found) in lines[0]
    for decision in found.decided:
        at = next(index for index, line in enumerate(lines) if decision.fate in line and decision.title in line)
        assert decision.why in lines[at + 1]


def test_hours_of_gpus_are_told_where_there_are_any() -> None:
    before, after = State(cost=Cost(60.0, 480.0)), State(cost=Cost(7260.0, 58_080.0))
    assert told(_told(before, after)) == "0 decided · 2.0 h of work, 16.0 GPU-h, 0 tokens"
    assert "GPU" not in page(_told(State(), State(cost=Cost(7260.0))))


def _told(before: State, after: State) -> Digest:
    return digest(before, after, 0, 0)
