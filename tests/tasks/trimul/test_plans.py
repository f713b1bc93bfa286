"""Every plan is a right kernel, whatever the shape; plans are read as they are written."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sia_tui.tasks.probes.kernels import GOOD
from sia_tui.tasks.trimul.bench import Bench
from sia_tui.tasks.trimul.grammar import CHOICES, NoPlan, Plan, parse, random_plan, written
from sia_tui.tasks.trimul.render_c import render
from sia_tui.tasks.trimul.spec import Shape
from sia_tui.tasks.trimul.verdict import LONGEST

pytestmark = pytest.mark.xdist_group("trimul")

plans = st.builds(Plan, **{name: st.sampled_from(values) for name, values in CHOICES.items()})
small = st.integers(1, 18)
shapes = st.builds(
    Shape, st.integers(1, 2), small, small, small, st.sampled_from(("normal", "cauchy")), masked=st.booleans()
)


@given(plans, st.randoms())
def test_a_plan_is_read_as_it_is_written_in_any_order(plan: Plan, rng: Random) -> None:
    words = written(plan).split()
    rng.shuffle(words)
    assert parse(" ".join(words)) == plan


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("vec=16", "vec=7"), "not one of 1, 4, 8, 16"),
        (("vec=16", ""), "does not say vec"),
        (("vec=16", "vec=16 vec=16"), "twice"),
        (("vec=16", "lanes=16"), "no word of a plan"),
        (("vec=16", "vec"), "no word of a plan"),
        (("ti=4", "ti=4.0"), "not one of"),
    ],
)
def test_what_is_no_plan_says_why(change: tuple[str, str], why: str) -> None:
    with pytest.raises(NoPlan, match=why):
        parse(written(GOOD).replace(*change))


def test_random_plans_take_every_choice_as_often_as_any_other() -> None:
    rng, count = Random(1), 3000
    drawn = [random_plan(rng) for _ in range(count)]
    for name, values in CHOICES.items():
        for value in values:
            share = sum(getattr(plan, name) == value for plan in drawn) / count
            assert abs(share - 1 / len(values)) < 0.05, (name, value)


@given(plans, shapes)
def test_no_source_is_longer_than_an_answer_may_be(plan: Plan, shape: Shape) -> None:
    assert len(render(plan, shape)) < LONGEST


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans, shapes)
def test_every_plan_is_right_on_every_shape(bench: Bench, plan: Plan, shape: Shape) -> None:
    bench.time(render(plan, shape), shape, pairs=1)


@pytest.mark.parametrize(("nest", "product"), [("cji", "dot"), ("jico", "outer")])
@pytest.mark.parametrize("layout", ["last", "block", "first"])
def test_tiles_and_vectors_need_not_divide_a_size(bench: Bench, layout: str, nest: str, product: str) -> None:
    words = written(GOOD).replace("layout=block", f"layout={layout}").replace("nest=cij", f"nest={nest}")
    plan = parse(
        words.replace("product=outer", f"product={product}").replace("vec=16", "vec=4").replace("ti=4", "ti=3")
    )
    shape = Shape(2, 19, 13, 10, "cauchy", True)
    bench.time(render(plan, shape), shape, pairs=1)


def test_a_good_plan_is_far_faster_than_the_naive_kernel(bench: Bench) -> None:
    """Six times on an idle machine, and more than BLAS; half of that is asked for. Its vectors are as wide as the processor's."""
    shape, wide = Shape(1, 64, 32, 32), "avx512f" in Path("/proc/cpuinfo").read_text()
    plan = GOOD if wide else parse(written(GOOD).replace("vec=16", "vec=8"))
    assert bench.time(render(plan, shape), shape).speedup > 3
