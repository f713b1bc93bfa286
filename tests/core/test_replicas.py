"""What is kept of each replica, whatever happens to them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.replicas import ReplicaBack, ReplicaOut, Replicas, ReplicasServe, after

OUT = st.builds(
    ReplicaOut, st.integers(0, 3), st.just("x"), st.sampled_from(["hangs", "died"]), st.integers(0, 9), st.just(1)
)
BACK = st.builds(ReplicaBack, st.integers(0, 3), st.just("x"), st.just(1))


@given(st.lists(OUT | BACK))
def test_nothing_lost_is_forgotten_and_who_is_back_answers(events: list[ReplicaOut | ReplicaBack]) -> None:
    replicas: Replicas = after((), ReplicasServe(("x",) * 4))
    for event in events:
        replicas = after(replicas, event)
    outs = [event for event in events if isinstance(event, ReplicaOut)]
    assert sum(one.lost for one in replicas) == len(outs)
    assert sum(one.reissued for one in replicas) == sum(event.requests for event in outs)
    last = {event.replica: event for event in events}
    for number, one in enumerate(replicas):
        event = last.get(number)
        assert one.out == (event.why if isinstance(event, ReplicaOut) else "")
    again = after(replicas, ReplicasServe(("y", "z")))
    assert [(one.where, one.out) for one in again] == [("y", ""), ("z", "")]
    assert [one.lost for one in again] == [one.lost for one in replicas[:2]]
