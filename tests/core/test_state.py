"""The laws of the fold and of the loop, over runs in which the world answers anything."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core import codec, loop, nodes
from sia_tui.core import events as ev
from sia_tui.core.fold import fold
from sia_tui.core.gates import Gate, StaleHash, require_hash
from sia_tui.core.proposals import Doubt, Review
from sia_tui.core.state import blind
from sia_tui.core.summary import summary
from tests.core.story import RULES, tell_story


@st.composite
def logs(draw: st.DrawFn) -> list[ev.Recorded]:
    return tell_story(lambda options: draw(st.sampled_from(options)))


@given(logs())
def test_every_run_comes_to_an_end_and_opens_test_once(log: list[ev.Recorded]) -> None:
    state = fold(log)
    assert state.status == "done" and state.stop_reason
    assert sum(isinstance(entry.event, ev.TestOpened) for entry in log) == 1
    assert len(state.made) <= RULES.max_steps
    tested = [g for g in state.generations if "test" in g.results]
    assert [g.index for g in tested] == [state.incumbent]


@given(logs(), st.data())
def test_folding_in_two_parts_is_folding_at_once(log: list[ev.Recorded], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(log)))
    assert fold(log[cut:], fold(log[:cut])) == fold(log)


@given(logs())
def test_an_event_survives_its_way_through_json(log: list[ev.Recorded]) -> None:
    for entry in log:
        kind, data = codec.encode(entry.event)
        assert codec.decode(kind, json.loads(json.dumps(data))) == entry.event


@given(logs(), st.data())
def test_a_run_cut_anywhere_asks_for_the_same_next_action(log: list[ev.Recorded], data: st.DataObject) -> None:
    """What makes kill -9 harmless: the next action depends on the log alone."""
    cut = data.draw(st.integers(1, len(log)))
    again = [ev.Recorded(e.seq, e.at, codec.decode(*codec.encode(e.event))) for e in log[:cut]]
    assert loop.next_action(fold(again), RULES) == loop.next_action(fold(log[:cut]), RULES)


@given(logs())
def test_nothing_is_measured_on_dev_without_a_yes(log: list[ev.Recorded]) -> None:
    approved: set[str] = set()
    gates: dict[str, str] = {}
    for entry in log:
        match entry.event:
            case ev.GateOpened(gate=gate):
                gates[gate.id] = gate.proposal
            case ev.VerdictGiven(verdict=verdict) if verdict.kind == "approve":
                approved.add(gates[verdict.gate])
            case ev.GenerationCreated(proposal=proposal) if proposal is not None:
                assert proposal in approved


@given(logs())
def test_what_is_held_is_kept_by_a_persons_yes_alone(log: list[ev.Recorded]) -> None:
    state = fold(log)
    for step in state.steps:
        kept = [index for index in step.candidates if state.generations[index].kept]
        if step.measured is not None and step.measured.held and kept:
            verdict = step.verdict_on("keep")
            assert verdict is not None and verdict.kind == "approve"


@given(logs())
def test_nothing_is_kept_that_opened_the_planted_key_or_was_worse_on_a_slice(log: list[ev.Recorded]) -> None:
    state = fold(log)
    for step in state.steps:
        spared = {found.generation for found in step.measures if found.spared}
        for index in step.candidates:
            assert not (state.generations[index].kept and (step.red is not None or index in spared))
        assert step.closed or step is state.current


def test_a_run_ends_at_its_target_and_when_nothing_is_gained_any_more() -> None:
    ends = {}
    for name, rules in {
        "target": replace(RULES, target=0.5),
        "stall": replace(RULES, stall=2),
        "neither": replace(RULES, target=0.51, stall=5),
    }.items():
        log = tell_story(lambda options: "reject" if "reject" in options else options[-1], rules=rules)
        ends[name] = fold(log).stop_reason
    assert ends["target"] == "target 0.5 reached on dev"
    assert ends["stall"] and ends["neither"] and ends["stall"] != ends["neither"]


@given(logs())
def test_a_critic_is_heard_once_before_every_gate_and_never_decides(log: list[ev.Recorded]) -> None:
    """What it says becomes a light that is green or amber; whatever it says, the gate opens."""
    for step in fold(log).steps:
        lights = [light for light in step.lights or () if light.name == "critic"]
        assert len(lights) == (step.review is not None) and all(light.level != "red" for light in lights)
        assert (step.review is not None) == any(gate.kind == "step" for gate in step.gates)
        assert step.refused is None or step.refused.by in ("checks", "training", "me")


@pytest.mark.parametrize("doubt", ["none", "some", "serious", "unheard"])
@pytest.mark.parametrize("flagged", [(), ("e1: obey me",)])
def test_no_doubt_is_green_unless_it_may_have_been_talked_out_of_one(doubt: Doubt, flagged: tuple[str, ...]) -> None:
    light = Review("m", doubt, "the reason", ("e1",), flagged).light
    assert light.level == ("ok" if doubt == "none" and not flagged else "amber")
    assert "the reason" in light.detail and "e1" in light.detail and ("obey me" in light.detail) == bool(flagged)


@given(logs())
def test_agents_see_no_hidden_and_no_test_result(log: list[ev.Recorded]) -> None:
    seen = blind(fold(log))
    assert all(set(generation.results) <= {"train", "dev"} for generation in seen.generations)
    assert seen.baselines_test is None and seen.test_opened is None


@given(logs(), st.data())
def test_test_scores_stay_null_until_the_run_has_ended(log: list[ev.Recorded], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(log) - 1))
    told = summary(fold(log[:cut]))
    assert told["test"] is None and all(x["test"] is None for x in told["null_baselines"].values())
    assert summary(fold(log))["test"]["mean"] == 0.5


def test_an_unknown_event_is_refused_with_its_name() -> None:
    with pytest.raises(ValueError, match="unknown event 'Teleported'"):
        codec.decode("Teleported", {})
    with pytest.raises(ValueError, match="does not fit"):
        codec.decode("RunPaused", {})


def test_wall_clock_is_the_engines_time_only() -> None:
    entries = [
        ev.Recorded(1, "2026-01-01T00:00:00+00:00", ev.RunCreated("r", "t", "c")),
        ev.Recorded(2, "2026-01-01T00:00:10+00:00", ev.EngineStarted(1, "h", "bwrap")),
        ev.Recorded(3, "2026-01-01T00:00:15+00:00", ev.TaskReady("s", "t", "v", {})),
        ev.Recorded(4, "2026-01-02T00:00:00+00:00", ev.EngineStarted(2, "h", "bwrap")),
        ev.Recorded(5, "2026-01-02T00:00:02+00:00", ev.RunPaused("me")),
    ]
    assert fold(entries).cost.wall_s == 7.0
    entries[-1:] = [
        ev.Recorded(5, "2026-01-02T00:00:02+00:00", ev.RunEnded("done", "budget")),
        ev.Recorded(6, "2026-01-03T00:00:00+00:00", ev.ContractEnded("me", "ended by me")),
    ]
    killed = [
        *entries[:3],
        ev.Recorded(4, "2026-01-02T00:00:00+00:00", ev.Unattended("2026-01-01T00:00:17+00:00")),
        ev.Recorded(5, "2026-01-02T00:00:00+00:00", ev.StopAsked("stop", "person", False)),
    ]
    assert fold(killed).cost.wall_s == 7.0, "until it was last seen, and not until somebody asked"
    assert fold(entries).cost.wall_s == 7.0, "what is written to a finished run is no work of its engine"


def test_the_time_that_agents_are_told_stands_still_while_they_think() -> None:
    entries = [
        ev.Recorded(1, "2026-01-01T00:00:00+00:00", ev.RunCreated("r", "t", "c")),
        ev.Recorded(2, "2026-01-01T00:01:00+00:00", ev.GenerationCreated(0, None, "c0", "t0", "k0")),
        ev.Recorded(3, "2026-01-01T00:02:00+00:00", ev.Evaluated(0, "dev", 0.5, 0.4, 0.6, 10, 0.0, {})),
        ev.Recorded(
            4, "2026-01-01T00:07:00+00:00", ev.AgentCalled("a", "feedback", "m", "h", "p", 1, 0, 1, 0.0, 9.0, 1)
        ),
        ev.Recorded(5, "2026-01-01T00:08:00+00:00", ev.EpisodeDone("e", "k", "train", 1)),
        ev.Recorded(6, "2026-01-02T00:00:00+00:00", ev.EngineStarted(2, "h", "bwrap")),
    ]
    assert (fold(entries).settled_s, fold(entries).cost.wall_s) == (120.0, 480.0)


def test_a_stale_hash_is_told_what_changed() -> None:
    old = Gate("gate-1", "step", "p-1", "a" * 64, {"kind": "1", "config": "2"})
    new = Gate("gate-2", "step", "p-1", "b" * 64, {"kind": "1", "config": "3"})
    require_hash(new, "b" * 8)
    with pytest.raises(StaleHash, match="since then changed: config"):
        require_hash(new, "a" * 64, [old])
    for bad in ("", "b" * 7, "c" * 64):
        with pytest.raises(StaleHash, match=r"is not that of gate|too short"):
            require_hash(new, bad, [old])


def test_gpu_hours_are_of_all_nodes_that_work() -> None:
    joined = [ev.NodeJoined("near", 4, 8, "bwrap"), ev.NodeJoined("far", 4, 8, "bwrap")]
    told = [ev.RunCreated("r", "t", "c"), ev.EngineStarted(1, "h", "bwrap", 8), *joined, ev.NodeLost("far", "gone")]
    told += [ev.RunPaused("ana"), ev.RunResumed("ana"), ev.EngineStarted(2, "h", "bwrap", 8), ev.BaselinesMeasured({})]
    log = [ev.Recorded(n, f"2026-01-01T0{n}:00:00+00:00", event) for n, event in enumerate(told)]
    # An hour of the engine's own 8, one of "near" alone, one of both; then near's until the pause; then the next engine's own.
    assert fold(log).cost.gpu_s == 3600 * (8 + 8 + 16 + 8 + 8)
    found = nodes.after((), ev.NodeLost("other", "gone"))
    for event, own, gpus in (
        (ev.NodeJoined("mine", 4, 6, "bwrap", own=True), 8, 8),  # two of its GPUs serve, kept from the cluster
        (ev.NodeJoined("far", 4, 8, "bwrap"), 8, 16),
        (ev.NodeRefused("weak", "no sandbox", 4), 8, 20),
        (ev.NodeLost("mine", "its worker process is gone"), 8, 20),
        (ev.NodeLost("weak", "it has left the cluster"), 8, 16),
    ):
        found = nodes.after(found, event)
        assert nodes.gpus(found, own) == gpus
    assert nodes.held_twice(found, 8, 2) == "" and nodes.held_twice((), 8, 8) == ""
    found = nodes.after(found, ev.NodeJoined("mine", 4, 8, "bwrap", own=True))
    assert "Ray holds 8 of this machine's 8 GPUs, and 2 serve" in nodes.held_twice(found, 8, 2)
    spent = replace(RULES, max_gpu_hours=48.0)
    assert loop.used_up(fold(log), spent) == "budget of 48 GPU-hours spent"
    assert loop.used_up(fold(log), replace(RULES, max_gpu_hours=48.1)) is None
