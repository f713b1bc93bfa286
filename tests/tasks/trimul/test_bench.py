"""The definition against another writing of it, the clock against the process' own account, and scores against both."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from sia_tui.harness.sandbox import Isolation
from sia_tui.tasks.task import TaskError
from sia_tui.tasks.trimul import bench as benching
from sia_tui.tasks.trimul import judging
from sia_tui.tasks.trimul.bench import Bench, Timing
from sia_tui.tasks.trimul.cases import PUBLISHED, make_cases, scaled, shape_of
from sia_tui.tasks.trimul.compiling import compiled
from sia_tui.tasks.trimul.kernel import Kernel
from sia_tui.tasks.trimul.peer import RunnerFailed
from sia_tui.tasks.trimul.programs import LIBRARY, place
from sia_tui.tasks.trimul.reference import TOLERANCE, arithmetic, make_inputs, reference, wrong
from sia_tui.tasks.trimul.spec import SIGNATURE, Shape
from sia_tui.tasks.trimul.turn import turn
from sia_tui.tasks.trimul.verdict import LEAST, reward_of
from sia_tui.tasks.verifier import VerifierFailed, VerifierProcess
from tests.harness.world import LEVELS
from tests.tasks.trimul.conftest import SMALL, wall_at

pytestmark = pytest.mark.xdist_group("trimul")

NAIVE = Path(benching.__file__).with_name("naive.c").read_text()
TINY = Shape(2, 5, 4, 3, "cauchy", True)


def by_loops(inputs: dict[str, np.ndarray]) -> np.ndarray:
    """The definition, number by number."""
    given = {name: array.astype(np.float64) for name, array in inputs.items()}
    x, mask = given["x"], given["mask"]
    batch, n, _, dim = x.shape
    hidden = len(given["left"])

    def norm(row: np.ndarray, name: str) -> np.ndarray:
        scale = math.sqrt(sum((v - row.mean()) ** 2 for v in row) / len(row) + 1e-5)
        return (row - row.mean()) / scale * given[f"{name}_weight"] + given[f"{name}_bias"]

    def through(name: str, row: np.ndarray) -> np.ndarray:
        return np.array([sum(w * v for w, v in zip(weights, row, strict=True)) for weights in given[name]])

    def gate(name: str, row: np.ndarray) -> np.ndarray:
        return np.array([1 / (1 + math.exp(-v)) for v in through(name, row)])

    out = np.zeros((batch, n, n, dim))
    for b in range(batch):
        y = [[norm(x[b, i, j], "norm") for j in range(n)] for i in range(n)]
        side = {
            name: [
                [mask[b, i, j] * gate(f"{name}_gate", y[i][j]) * through(name, y[i][j]) for j in range(n)]
                for i in range(n)
            ]
            for name in ("left", "right")
        }
        for i in range(n):
            for j in range(n):
                t = sum((side["left"][i][k] * side["right"][j][k] for k in range(n)), np.zeros(hidden))
                out[b, i, j] = through("to_out", norm(t, "out_norm") * gate("out_gate", y[i][j]))
    return out


def test_the_reference_is_the_definition() -> None:
    inputs = make_inputs(TINY, np.random.default_rng(5))
    assert np.allclose(reference(inputs), by_loops(inputs), rtol=1e-9, atol=1e-9)


def test_inputs_are_drawn_as_the_shape_says() -> None:
    plain_inputs, heavy = (
        make_inputs(Shape(1, 64, 16, 8, it), np.random.default_rng(0)) for it in ("normal", "cauchy")
    )
    assert (plain_inputs["mask"] == 1).all()
    assert np.abs(plain_inputs["x"]).max() < 7
    assert np.abs(heavy["x"]).max() > 100
    assert abs(np.median(np.abs(heavy["x"])) - 2) < 0.1
    masked = make_inputs(Shape(1, 64, 16, 8, masked=True), np.random.default_rng(0))["mask"]
    assert set(np.unique(masked)) == {0, 1}
    assert 0.4 < masked.mean() < 0.6


def test_arithmetic_counts_what_no_mask_spares() -> None:
    shape = Shape(2, 6, 5, 3)
    inputs = make_inputs(shape, np.random.default_rng(0))
    assert arithmetic(inputs) == 2 * (2 * 6**3 * 3 + 6 * 5 * 3 * 2 * 36)
    inputs["mask"][:] = 0
    assert arithmetic(inputs) == 2 * 2 * 5 * 3 * 2 * 36


@pytest.mark.parametrize(("off", "right"), [(0.9, True), (1.1, False), (math.nan, False), (math.inf, False)])
def test_tolerance(off: float, right: bool) -> None:
    expected = np.full((1, 2, 2, 3), 2.0)
    found = expected.astype(np.float32)
    found[0, 1, 0, 2] += off * (TOLERANCE + TOLERANCE * 2)
    assert (wrong(found, expected) is None) is right


@pytest.mark.parametrize("level", LEVELS)
def test_the_clock_counts_what_the_kernel_says_it_used(level: Isolation, tmp_path: Path) -> None:
    """A kernel that works for 20 ms by its own processor clock, and sleeps for 50."""
    source = f"""
#define _GNU_SOURCE
#include <time.h>
static double used(void) {{ struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }}
{SIGNATURE} {{
    double begun = used();
    struct timespec nap = {{0, 50000000}};
    nanosleep(&nap, 0);
    while (used() < begun + 0.02);
}}"""
    here = place(tmp_path, wall_at(level), trusted=False)
    compiled(here, source)
    inputs = make_inputs(TINY, np.random.default_rng(0))
    with Kernel(here, TINY) as kernel:
        kernel.load(LIBRARY)
        started = time.monotonic()
        seconds = [kernel.call(inputs, 1.0, time.monotonic() + 5).seconds for _ in range(5)]
    assert time.monotonic() - started > 0.25
    assert all(0.02 <= one < 0.04 for one in seconds[1:]), seconds


def test_the_naive_kernel_earns_what_the_naive_kernel_earns(bench: Bench) -> None:
    score = bench.score(NAIVE, SMALL)
    assert score.failure is None
    assert score.metrics["speedup_lo"] <= score.metrics["speedup"] <= score.metrics["speedup_hi"]
    assert abs(score.reward - reward_of(1.0)) < 0.1


def test_blas_is_right_and_faster_than_the_naive_kernel(bench: Bench) -> None:
    timing = bench.time_null(Shape(1, 64, 32, 32))
    assert timing is not None
    assert timing.speedup > 2


def test_a_slower_kernel_earns_less_and_the_interval_is_that_of_the_pairs() -> None:
    assert reward_of(1 / 100) == LEAST
    assert [reward_of(1 / 8 * 2**k) for k in range(1, 9)] == pytest.approx([k / 8 for k in range(1, 9)])
    assert reward_of(1000) == 1
    timing = Timing((1.0, 2.0, 4.0), (4.0, 4.0, 4.0), 10, 10)
    assert (timing.speedups, timing.speedup) == ([1, 2, 4], 2)


@pytest.mark.parametrize(("third", "pairs"), [(1.03, 3), (1.06, 6)])
def test_pairs_that_agree_are_enough_and_others_are_not(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, third: float, pairs: int
) -> None:
    ratios = iter([1.0, 1.0, 1.0, third, 1.0, 1.0, 1.0])
    monkeypatch.setattr(bench, "_naive", lambda *_: 1e-3 * next(ratios))
    monkeypatch.setattr(benching, "_right", lambda *_: 1e-3)
    assert bench.time(NAIVE, SMALL).measures(bench.machine)["pairs"] == pairs


def test_two_are_not_timed_at_once(bench: Bench) -> None:
    """A second verification waits for the lock that the first holds, and then goes on."""
    done: list[float] = []
    with turn(bench._lock):
        thread = threading.Thread(target=lambda: done.append(bench.score(NAIVE, SMALL).reward))
        thread.start()
        thread.join(1.0)
        assert not done
    thread.join(30)
    assert done


def test_who_waits_too_long_for_a_turn_says_for_what(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sia_tui.tasks.trimul.turn.TURN_S", 0.1)
    with turn(bench._lock), pytest.raises(RunnerFailed, match="one-at-a-time is locked"):
        bench.score(NAIVE, SMALL)


def test_splits_share_no_size_and_test_is_the_published_benchmark() -> None:
    cases = make_cases(3, train=20, dev=10, hidden=5, folds=4)
    sizes = [shape_of(case.inputs).sizes for case in cases]
    assert len(set(sizes)) == len(sizes) == 42
    assert len({case.id for case in cases}) == len(cases)
    assert [shape_of(case.inputs) for case in cases if case.split == "test"] == [scaled(shape) for shape in PUBLISHED]
    assert {case.fold for case in cases if case.split == "train"} == {0, 1, 2, 3}
    assert make_cases(3, 20, 10, 5, 4) == cases != make_cases(4, 20, 10, 5, 4)
    with pytest.raises(TaskError, match="sizes"):
        make_cases(0, 400, 0, 0, 2)


def test_inputs_of_no_case_are_refused() -> None:
    good = dict(make_cases(0, 1, 1, 1, 1)[0].inputs)
    for bad in ({"n": "many"}, {"distribution": "uniform"}, {"mask": "maybe"}):
        with pytest.raises(TaskError):
            shape_of(good | bad)


async def test_the_verifiers_process_judges_with_its_own_copies(tmp_path: Path, bench: Bench) -> None:
    cases = make_cases(0, 1, 1, 1, 1)
    known, sealed = cases[0], cases[-1]
    verifier = tmp_path / "verifier"
    judging.set_up(tmp_path, wall_at(LEVELS[0]), bench._lock, verifier)
    gold = judging.gold_of(cases)
    async with VerifierProcess(verifier, {known.id: gold[known.id]}, (), judging.judge(tmp_path)) as process:
        first = await process.score(known.id, NAIVE)
        assert first.failure is None
        assert first.reward > 0.2
        assert "error" in await process.compiler_says("void trimul(")
        assert await process.compiler_says(NAIVE) == ""
        with pytest.raises(VerifierFailed, match="no gold"):
            await process.score(sealed.id, NAIVE)
        await process.open_test({sealed.id: gold[sealed.id]})
        assert (await process.score(sealed.id, "\ud800")).failure == "compile"
        process.check()
        (verifier / "naive.c").chmod(0o600)
        (verifier / "naive.c").write_text("void trimul() {}")
        with pytest.raises(VerifierFailed, match=r"naive\.c"):
            process.check()
