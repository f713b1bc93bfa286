"""What fits is let through; what does not is refused, and what it is told would fit does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia_tui.core.costs import MOVING, Seen, Setup, arrangement, cost, places, step_seconds
from sia_tui.core.fitting import Deadline, largest, largest_pass, light, refusals, remedies
from sia_tui.core.hardware import CORE, Machine, card_like, machine_named
from sia_tui.core.memory import GIB, RUNTIME, SLEEPING, Serving, Training
from sia_tui.core.plans import Pilot, TrainPlan
from sia_tui.core.shape import shape_of

SHAPES = Path(__file__).parents[2] / "configs" / "h100" / "shapes"
PLAN = TrainPlan("grpo", 20, 16, 8, 2000, 80, 4e-5, targets="attention", max_tokens=1024)
PILOT = Pilot(4, 8, (1, 0, 0, 0, 2, 0, 0, 0, 1), 0.5, 0.1, 300.0)


def setup(
    model: str = "qwen3-8b",
    machine: str = "H100",
    micro: int = 16_384,
    plan: TrainPlan = PLAN,
    server: float = 0.0,
    **how: Any,
) -> Setup:
    return Setup(
        plan=plan,
        shape=shape_of(json.loads((SHAPES / f"{model}.json").read_text())),
        trainer=replace(Training("cuda", "bfloat16", micro, checkpointing=True), **how),
        server=Serving("cuda", "vllm", "bfloat16", 4096, 32, share=server),
        machine=machine_named(machine),
    )


def test_side_by_side_in_turns_and_apart() -> None:
    both = setup()
    assert arrangement(both) == "side by side" and len(places(both)) == 1
    assert arrangement(replace(both, plan=replace(PLAN, serve_on=(0,), train_on=(0,)))) == "side by side"
    turns = replace(both, in_turns=True)
    assert arrangement(turns) == "in turns"
    assert max(place.needs for place in places(turns)[:2]) < places(both)[0].needs
    apart = setup(machine="H100x2", plan=replace(PLAN, serve_on=(0,), train_on=(1,)))
    assert arrangement(apart) == "apart"
    assert sum(place.needs for place in places(apart)) == places(both)[0].needs
    assert arrangement(replace(both, machine=Machine("", 0, CORE, 64 * GIB))) == "on the CPU"


def test_what_does_not_fit_side_by_side_takes_turns() -> None:
    """A vLLM that takes the card; a trainer that was seen to take most of it."""
    greedy = setup(server=0.9)
    assert arrangement(greedy) == "in turns" and refusals(greedy, Seen(), ()) == ()
    assert light(greedy, Seen(), ()).detail.startswith("in turns: ")
    stale = replace(greedy, plan=replace(PLAN, staleness=1))
    assert light(stale, Seen(), ()).detail.startswith("in turns, so staleness counts as 0: ")
    measured = Seen(peak=60 * GIB)
    assert arrangement(setup(), measured) == "in turns" and cost(setup(), measured).arrangement == "in turns"
    apart = setup(machine="H100x2", server=0.9, plan=replace(PLAN, serve_on=(0,), train_on=(1,)))
    assert arrangement(apart) == "apart"


def test_in_turns_each_side_leaves_the_gpu_what_is_said_of_it_and_takes_its_time() -> None:
    turns = setup(server=0.9)
    training, serving, host, _ = places(turns)
    assert training.parts["serving: asleep"] == SLEEPING and serving.parts["training: aside"] == RUNTIME["cuda"]
    moved = {name.split(": ")[1].split(",")[0] for name in host.parts if name.startswith("training")}
    assert moved == {"weights", "adapter", "optimiser"}
    weights = turns.shape.weights("bfloat16")
    assert host.parts["serving: weights, asleep"] == host.parts["training: weights, aside"] == weights
    hf = replace(turns, in_turns=True, server=replace(turns.server, backend="hf", share=0.0))
    assert places(hf)[0].parts["serving: asleep"] == RUNTIME["cuda"] and len(places(hf)) == 3
    turned = 1 + 2 + PLAN.steps
    beside = cost(setup(), Seen(PILOT, 10.0, 128)).seconds
    assert cost(turns, Seen(PILOT, 10.0, 128)).seconds == pytest.approx(beside + turned * 2 * host.needs / MOVING)


def test_what_fits_has_no_reason_against_it() -> None:
    assert refusals(setup(), Seen(), ()) == () and light(setup(), Seen(), ()).level == "ok"
    tensor = replace(PLAN, serve_on=(0, 1), train_on=(2, 3, 4, 5, 6, 7))
    assert refusals(setup("gpt-oss-120b", "H100x8", 8192, tensor), Seen(), ()) == ()


def test_replicas_are_split_over_their_share_each() -> None:
    plan = replace(PLAN, serve_on=(0, 1, 2, 3), train_on=(4,))
    two = setup("gpt-oss-20b", "H100x8", 8192, plan, server=0.9)
    two = replace(two, server=replace(two.server, gpus=2, replicas=2))
    assert two.split == 2 and not any("are to serve" in reason.told for reason in refusals(two, Seen(), ()))
    wrong = replace(two, server=replace(two.server, gpus=1))
    (reason,) = [found for found in refusals(wrong, Seen(), ()) if "are to serve" in found.told]
    far = setup("gpt-oss-20b", "H100", 8192, replace(PLAN, serve_on=(), train_on=(0,)), server=0.9)
    assert arrangement(far) != "apart" and arrangement(replace(far, elsewhere=True)) == "apart"
    assert replace(far, elsewhere=True, server=two.server).allotted == 5
    split = "4 GPUs are to serve, and vLLM is split over 1, each of 2 replicas"
    assert reason.told == f"{split}; policy.vllm.tensor_parallel=2 would do"


def test_four_bit_experts_de_quantised_do_not_fit_two_cards() -> None:
    plan = replace(PLAN, serve_on=(0, 1), train_on=(0, 1))
    reasons = refusals(setup("gpt-oss-120b", "H100x2", 8192, plan), Seen(), ())
    assert [reason.would for reason in reasons] == ["no change of this plan would fit: take a larger machine"]


@given(st.integers(14, 19), st.booleans(), st.sampled_from(["float32", "bfloat16"]))
def test_the_largest_pass_fits_and_one_token_more_does_not(power: int, checkpointing: bool, dtype: str) -> None:
    asked = setup(micro=2**power, checkpointing=checkpointing, dtype=dtype)
    found = largest_pass(asked)
    if found is None:
        assert not _fits(asked, asked.row)
    else:
        assert _fits(asked, found) and (found == 2**power or not _fits(asked, found + 1))


def test_what_would_fit_does() -> None:
    asked = setup(micro=262_144, checkpointing=False)
    (reason,) = refusals(asked, Seen(), ())
    assert reason.why.startswith("training, GPU 0: needs ")
    found = remedies(asked)
    assert any(told.startswith("weights.gradient_checkpointing=true with weights.micro_tokens=") for told in found)
    apart = setup("gpt-oss-20b", "H100x2", 65_536, replace(PLAN, serve_on=(0,), train_on=(1,)))
    assert any(told.startswith("in turns (serve_on and train_on both [0, 1])") for told in remedies(apart))
    alone = next(told for told in found if told.startswith("weights.micro_tokens="))
    assert _fits(asked, int(alone.removeprefix("weights.micro_tokens=")))
    assert light(asked, Seen(), ()).level == "red"


def test_what_vllm_takes_is_gone_whether_it_needs_it_or_not() -> None:
    assert places(setup(server=0.9))[1].parts["serving: reserved"] > 30 * GIB
    (small,) = refusals(setup(server=0.3), Seen(), ())
    assert small.why.startswith("what vLLM may take (policy.vllm.memory): needs ")
    told = remedies(setup(server=0.3))
    share = next(one for one in told if one.startswith("policy.vllm.memory=")).removeprefix("policy.vllm.memory=")
    assert refusals(setup(server=float(share)), Seen(), ()) == ()
    split = setup(machine="H100x4", server=0.9, plan=replace(PLAN, serve_on=(0, 1), train_on=(2, 3)))
    assert refusals(split, Seen(), ())[0].would == "policy.vllm.tensor_parallel=2 would do"


def test_a_gpu_that_is_not_there_and_one_that_hf_does_not_use() -> None:
    (absent,) = refusals(setup(plan=replace(PLAN, train_on=(3,))), Seen(), ())
    assert absent.told == "GPU 3 is not there; of this machine's there are 0 to 0: serve_on, train_on"
    two = setup(machine="H100x2", plan=replace(PLAN, serve_on=(0, 1), train_on=(0,)))
    one = replace(two, server=replace(two.server, backend="hf"))
    assert refusals(one, Seen(), ())[0].would == "policy.backend=vllm would do"


@pytest.mark.parametrize("algorithm", ["grpo", "best_of_n"])
def test_what_ends_too_late_is_told_how_long_would_do(algorithm: Any) -> None:
    asked, seen = setup(plan=replace(PLAN, algorithm=algorithm)), Seen(PILOT, 10.0, 128)
    seconds = cost(asked, seen).seconds
    assert refusals(asked, seen, (Deadline("budget.wall_s", seconds),)) == ()
    clocks = (Deadline("budget.wall_s", 1e9), Deadline("SLURM_JOB_END_TIME", 0.8 * seconds))
    (reason,) = refusals(asked, seen, clocks)
    assert "left of SLURM_JOB_END_TIME" in reason.why and "(measured)" in reason.why
    changed = dict(word.rsplit(" ", 1) for word in reason.would.removeprefix("would end in time: ").split(", "))
    shorter = replace(asked, plan=replace(asked.plan, **{name: int(value) for name, value in changed.items()}))
    assert refusals(shorter, seen, clocks) == ()
    assert light(asked, seen, clocks).level == "amber", "a clock is a person's to judge: memory is not"


def test_what_was_measured_takes_the_place_of_guesses() -> None:
    asked = setup()
    assert cost(asked, Seen()).measured == {"memory": False, "rollouts": False, "steps": False}
    assert step_seconds(asked, Seen(step_s=3.0, learned=64), 0.0) == 6.0, "a step of 128 rollouts, measured at 64"
    seen = cost(asked, Seen(PILOT, 3.0, 64, peak=78 * GIB))
    assert seen.measured == {"memory": True, "rollouts": True, "steps": True}
    assert seen.places[0].parts["training: peak"] == 78 * GIB and not seen.places[0].fits
    assert "(measured)" in refusals(asked, Seen(peak=78 * GIB), ())[0].why
    stopped = replace(asked, plan=replace(PLAN, stop_s=60.0))
    assert cost(stopped, Seen(PILOT, 3.0, 64)).seconds == 60.0
    assert seen.gpu_hours == pytest.approx(seen.seconds / 3600)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(-1, 400))
def test_bisection_finds_the_border(low: int, high: int, border: int) -> None:
    expected = max((number for number in range(low, high + 1) if number <= border), default=None)
    assert largest(low, high, lambda number: number <= border) == expected


def test_machines_by_name() -> None:
    assert (machine_named("h100x8").gpus, machine_named("L4").gpus) == (8, 1)
    for bad in ("", "H100x0", "TPUx4", "x8", "H100 x8"):
        with pytest.raises(ValueError, match="expected a card and how many"):
            machine_named(bad)
    assert card_like("NVIDIA H100 80GB HBM3", 7).bandwidth == 3.35e12 and card_like("NVIDIA Zeta 1", 7).memory == 7


def _fits(asked: Setup, tokens: int) -> bool:
    return all(place.fits for place in places(replace(asked, trainer=replace(asked.trainer, micro_tokens=tokens))))


def test_several_processes_have_a_gpu_each_of_whichever_node() -> None:
    one = setup(machine="H100x8", plan=replace(PLAN, serve_on=(0,), train_on=(1,)))
    many = replace(one, workers=14)
    assert arrangement(many) == "apart" and places(many)[0].needs == places(one)[0].needs
    assert places(many)[0].name == "training, each of 14 GPUs"
    assert step_seconds(many, Seen(), 300.0) == pytest.approx(step_seconds(one, Seen(), 300.0) / 14)
    assert (one.allotted, many.allotted, replace(many, nodes=16).allotted) == (2, 15, 16)
    found = cost(replace(many, nodes=16), Seen(PILOT, 10.0, 128))
    assert found.gpu_hours == pytest.approx(found.seconds * 16 / 3600)
    # The adapter of fourteen is not spread over them.
    assert places(replace(many, plan=replace(PLAN, train_on=(1, 2, 3))))[0].needs == places(one)[0].needs
    assert replace(many, machine=Machine("", 0, CORE, 64 * GIB)).allotted == 0
