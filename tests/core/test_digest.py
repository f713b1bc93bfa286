"""What happened between two moments: whatever the story, the parts add up to the whole."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.core.digest import Digest, data, digest, page, told
from sia_tui.core.events import ProposalRefused
from sia_tui.core.fold import fold
from sia_tui.core.gates import Verdict
from sia_tui.core.proposals import Proposal
from sia_tui.core.spending import stretches
from sia_tui.core.spent import Cost
from sia_tui.core.state import State, Step
from sia_tui.store.reader import RunReader
from tests.core.story import tell_story
from tests.tui.runs import make_run


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


def test_a_page_says_why_a_step_was_proposed_what_was_said_of_it_and_what_it_cost() -> None:
    proposed = Proposal("harness", "Ask twice", "it guesses\nonce", "i", "c0", patch="x")
    verdicts = (
        Verdict("gate-1", "approve", "ana", "cheap enough", "now"),
        Verdict("gate-2", "reject", "bo", "no", "now"),
    )
    refused = ProposalRefused("p-1", "bo", "no")
    step = Step("p-1", proposed, ended_s=60.0, verdicts=verdicts, refused=refused, closed=True)
    found = digest(State(), State(steps=(step,)), 0, 0, {"p-1": Cost(gpu_s=7200.0, tokens=12_345, money=0.123)})
    assert page(found).splitlines()[3:7] == [
        "– refused · harness: Ask twice",
        "      bo: no · 1 min, 2.0 GPU-h, 12,345 tokens, 0.12 $",
        "      proposed because: it guesses once",
        "      ana: cheap enough",
    ]
    [told] = data(found)["decided"]
    assert (told["reason"], told["notes"]) == ("it guesses\nonce", ("ana: cheap enough", "bo: no"))
    assert (told["gpu_s"], told["tokens"], told["money"]) == (7200.0, 12_345, 0.123)


@settings(max_examples=15)
@given(st.data())
def test_no_second_of_a_gpu_and_no_cent_is_of_two_steps(data: st.DataObject) -> None:
    entries = tell_story(lambda options: data.draw(st.sampled_from(options)))
    found, state = stretches(entries), fold(entries)
    assert set(found) == {step.id for step in state.steps if step.closed and step.amended is None}
    assert sum(one.cost.gpu_s for one in found.values()) <= state.cost.gpu_s + 1e-6
    assert sum(one.cost.money for one in found.values()) <= state.cost.money + 1e-6
    spans = [(one.began, one.ended) for one in found.values()]
    assert all(began <= ended for began, ended in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_a_step_counts_the_tokens_of_its_own_episodes(tmp_path: Path) -> None:
    with closing(RunReader(make_run(tmp_path / "runs" / "r", "done").db)) as reader:
        found = reader.digest(None)
    assert all(one.tokens > 0 for one in found.decided if one.fate != "refused")
    assert sum(one.tokens for one in found.decided) < found.tokens, "the first harness' are nobody's"


def test_hours_of_gpus_are_told_where_there_are_any() -> None:
    before, after = State(cost=Cost(60.0, 480.0)), State(cost=Cost(7260.0, 58_080.0))
    assert told(_told(before, after)) == "0 decided · 2.0 h of work, 16.0 GPU-h, 0 tokens"
    assert "GPU" not in page(_told(State(), State(cost=Cost(7260.0))))


def _told(before: State, after: State) -> Digest:
    return digest(before, after, 0, 0)
