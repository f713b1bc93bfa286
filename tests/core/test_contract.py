"""A standing yes: never more than was allowed, and never past what ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia_tui.core import events as ev
from sia_tui.core.contract import BY, Contract, made, parsed
from sia_tui.core.fold import advance, fold
from sia_tui.core.standing import Said, left, says
from sia_tui.core.state import State
from tests.core.story import RULES, tell_story

LEVERS = st.sets(st.sampled_from(["harness", "weights", "both"]), min_size=1).map(lambda found: tuple(sorted(found)))
CONTRACTS = st.builds(
    Contract,
    levers=LEVERS,
    steps=st.integers(1, 4),
    wall_s=st.none() | st.floats(1, 60),
    tokens=st.none() | st.integers(1, 60),
    gpu_s=st.none() | st.floats(1, 120),
    preview=st.sampled_from([None, 0.1, 0.3]),
    dev=st.sampled_from([None, 0.4, 0.6]),
)


@settings(max_examples=30)
@given(CONTRACTS, st.data())
def test_it_says_yes_only_within_its_limits_and_to_nothing_after_a_tripwire(
    limits: Contract, data: st.DataObject
) -> None:
    rules = replace(RULES, max_steps=6)
    log = tell_story(lambda options: data.draw(st.sampled_from(options)), rules=rules, contract=limits)
    state, given_ = State(), 0
    for entry in log:
        if isinstance(entry.event, ev.VerdictGiven) and entry.event.verdict.by.startswith(BY):
            step, gate = state.current, state.waiting
            assert step is not None and gate is not None and state.contract is not None
            given_ += 1
            assert gate.kind == "step" and step.proposal.lever in limits.levers and given_ <= limits.steps
            assert not state.alarms and all(one.red is None for one in state.steps)
            found = [one.measured for one in state.steps if one.measured]
            assert not any(one.held or one.outcome == "indecisive" for one in found)
            made = state.contract.cost
            assert limits.wall_s is None or state.cost.wall_s - made.wall_s < limits.wall_s
            assert limits.tokens is None or state.cost.tokens - made.tokens < limits.tokens
            assert limits.gpu_s is None or state.cost.gpu_s - made.gpu_s < limits.gpu_s
            assert limits.preview is None or not step.preview or step.preview.gain >= limits.preview
            measured = [one.results["dev"].mean for one in state.generations[1:] if "dev" in one.results]
            assert limits.dev is None or all(mean >= limits.dev for mean in measured)
        state = advance(state, entry)
        if state.contract is not None:
            assert left(state, state.contract)
        if isinstance(entry.event, ev.GateOpened) and entry.event.gate.kind == "keep" and state.contract is not None:
            said = says(state)
            assert said is not None and said.kind == "over", "a doubtful result is a person's"


def test_what_agents_models_cost_ends_it_and_what_is_left_of_every_limit_is_told() -> None:
    log = tell_story(lambda options: options[0], contract=Contract(("weights",), 5, 600.0, 10**6, 3600.0, 0.5))
    waits = next(index for index, entry in enumerate(log) if isinstance(entry.event, ev.GateOpened))
    state = fold(log[: waits + 1])
    assert state.contract is not None
    begun = next(entry for entry in log if isinstance(entry.event, ev.ContractMade))
    worked = log[waits].seq - begun.seq
    assert left(state, state.contract) == (
        f"weights, left: 5 of 5 steps, 10 m of work, {(3600 - state.gpus * worked) / 3600:.2g} GPU-hours, "
        f"{10**6 - state.cost.tokens:,} tokens, 0.50 $ of models"
    )
    called = ev.AgentCalled("call-1", "feedback", "m", "here", "p", 9, 0, 9, 0.5, 1.0, 1)
    state = advance(state, ev.Recorded(len(log) + 1, log[waits].at, called))
    assert says(state) == Said("over", "0.50 $ of models are spent")


def test_the_written_form() -> None:
    assert parsed("levers=harness+weights, steps=5,wall=2h,tokens=2M,gpu=1.5,money=3,preview=1,dev=45%") == Contract(
        ("harness", "weights"), 5, 7200.0, 2_000_000, 5400.0, 3.0, 0.01, 0.45
    )
    assert parsed("") == made({"levers": "", "wall": " "}) == Contract()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("steps=0", "steps must be 1 or more"),
        ("levers=stop", "levers are harness weights both, got stop"),
        ("wall=soon", "wall is of work, such as 90m or 2h, got soon"),
        ("until=noon", "no limit 'until'; there are levers"),
        ("preview=much", "preview must be a number"),
        ("dev=1e9", "dev must be a share"),
        ("steps=nan", "steps"),
        ("gpu=two", "gpu must be a number, GPU-hours"),
        ("money=0", "money must be 0.01 or more"),
    ],
)
def test_limits_that_cannot_be_are_named(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parsed(text)
