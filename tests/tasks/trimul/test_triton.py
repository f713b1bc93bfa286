"""Plans of Triton modules: read as written, and right, in Triton's interpreter on the host; never run on a GPU."""

from __future__ import annotations

import os
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sia_tui.tasks.trimul.cases import PUBLISHED
from sia_tui.tasks.trimul.gpu.contract import NAMED, config_of
from sia_tui.tasks.trimul.gpu.trial import Trial
from sia_tui.tasks.trimul.gpu.truth import make_inputs, reference, wrong
from sia_tui.tasks.trimul.grammar import parse_as, written
from sia_tui.tasks.trimul.grammar_triton import CHOICES, Plan
from sia_tui.tasks.trimul.render_triton import SHARED, render
from sia_tui.tasks.trimul.spec import Shape
from sia_tui.tasks.trimul.verdict import LONGEST

pytestmark = pytest.mark.xdist_group("trimul-gpu")
interpreted = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed: make test-triton")

plans = st.builds(Plan, **{name: st.sampled_from(values) for name, values in CHOICES.items()})
small = st.integers(1, 20)
shapes = st.builds(
    Shape, st.integers(1, 2), small, st.integers(1, 40), small, st.sampled_from(("normal", "cauchy")), st.booleans()
)
GOOD = parse_as(
    Plan,
    "dot=fp16 pairs=64 channels=32 slice=32 norm=fused sides=apart outgate=early lie=first sums=first keep=bf16 "
    "ti=128 tj=64 tk=32 group=8 stages=3 warps=8",
)


@settings(max_examples=30)
@given(plans, st.randoms())
def test_a_plan_is_read_as_it_is_written_in_any_order(plan: Plan, rng: Random) -> None:
    words = written(plan).split()
    rng.shuffle(words)
    assert parse_as(Plan, " ".join(words)) == plan


@settings(max_examples=30)
@given(plans, st.sampled_from(PUBLISHED) | shapes)
def test_every_plan_is_a_module_no_longer_than_an_answer_may_be(plan: Plan, shape: Shape) -> None:
    source = render(plan, shape)
    assert len(source) < LONGEST
    compile(source, "module", "exec")


@settings(max_examples=30)
@given(plans)
def test_the_triangles_stages_fit_into_shared_memory(plan: Plan) -> None:
    source = render(plan, PUBLISHED[0])
    line = next(line for line in source.splitlines() if line.startswith("    triangle["))
    stages = int(line.rsplit("num_stages=", 1)[1].rstrip(")"))
    assert 1 <= stages <= plan.stages
    assert stages * (plan.ti + plan.tj) * plan.tk * (2 if plan.dot == "fp16" else 4) <= SHARED


@interpreted
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans, shapes, st.integers(0, 2**31))
def test_every_plan_is_right_on_every_shape(tmp_path: Path, plan: Plan, shape: Shape, seed: int) -> None:
    inputs = make_inputs(shape, torch.Generator().manual_seed(seed))
    given = {name: tensor.clone() for name, tensor in inputs.items()}
    weights = {theirs: inputs[ours] for ours, theirs in NAMED.items()}
    out = torch.full(shape.out, float("nan"))
    module = _loaded(tmp_path / "module.py", render(plan, shape))
    module.custom_kernel((inputs["x"], inputs["mask"], weights, {**config_of(shape), "output": out}))
    assert wrong(out, reference(inputs)) is None
    assert all(inputs[name].equal(tensor) for name, tensor in given.items())


@interpreted
@pytest.mark.triton
def test_a_rendered_module_is_judged_like_any_other(trial: Trial) -> None:
    """Interpreted it is slower than anything that earns more than the least."""
    shape = Shape(1, 20, 32, 16, "normal", True)
    score = trial.score(render(GOOD, shape), shape)
    assert score.failure is None, score


@interpreted
@pytest.mark.triton
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans)
def test_every_plan_compiles_for_an_h100(tmp_path: Path, plan: Plan) -> None:
    """By Triton and ptxas for compute capability 9.0, without a GPU, within its 227 KB of shared memory."""
    from tests.tasks.trimul.ahead import compiled_for

    for name, shared in compiled_for(90, render(plan, PUBLISHED[-1]), plan, tmp_path).items():
        assert shared <= 227 * 1024, name


def _loaded(path: Path, source: str) -> ModuleType:
    os.environ["TRITON_INTERPRET"] = "1"
    path.write_text(source)
    spec = spec_from_file_location("rendered", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
