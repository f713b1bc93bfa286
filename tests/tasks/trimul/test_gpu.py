"""The GPU's verifier, with the host's memory in the GPU's place: everything but CUDA itself is the same."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from sia_tui.cli.main import main
from sia_tui.core.episodes import Split
from sia_tui.core.hardware import Card
from sia_tui.engine.session import SEEDS
from sia_tui.harness.sandbox import choose, probe
from sia_tui.tasks.probes import modules
from sia_tui.tasks.task import TaskError
from sia_tui.tasks.trimul import reference as doubles
from sia_tui.tasks.trimul.cases import PUBLISHED, shape_of
from sia_tui.tasks.trimul.gpu import driver, judging, ready, task, truth
from sia_tui.tasks.trimul.gpu import task as gpu_task
from sia_tui.tasks.trimul.gpu import trial as trying
from sia_tui.tasks.trimul.gpu.attacks import Attack, attacks
from sia_tui.tasks.trimul.gpu.trial import Limits, Mean, Timing, Trial
from sia_tui.tasks.trimul.spec import Shape
from sia_tui.tasks.verifier import VerifierProcess
from tests.benchmarks import bench_gpu
from tests.tasks.trimul.conftest import wall_at

pytestmark = pytest.mark.xdist_group("trimul-gpu")

SMALL = Shape(1, 48, 64, 32, "cauchy", True)
"""Ten milliseconds, which no noise makes less than what an empty call takes."""
PLAIN = Path(trying.__file__).with_name("plain.py").read_text()
QUICK = ("by-address", "beside")
"""Tried with every test; the others, a process each, by `make test-triton`."""
CONFIG = SEEDS.parent / "configs" / "h100" / "trimul.yaml"
HERE = [attack for attack in attacks() if not attack.needs_gpu]


def cases() -> list[object]:
    marks = {True: (), False: (pytest.mark.triton,)}
    return [pytest.param(attack, id=attack.name, marks=marks[attack.name in QUICK]) for attack in HERE]


def test_a_right_module_is_timed_checked_and_paid(trial: Trial) -> None:
    score = trial.score(PLAIN, SMALL)
    assert score.failure is None, score
    assert score.reward > 0
    assert score.metrics["repeats"] == 2


@pytest.mark.parametrize("attack", cases())
def test_an_exploit_is_held_off(attack: Attack, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    if "timeout" in attack.caught:
        monkeypatch.setattr(trying, "FIRST_S", 1.0)
    score = trial.score(attack.source, SMALL)
    assert attack.held_off(score.failure), (attack.name, score)
    assert score.failure is None or score.reward == 0


def test_there_are_exploits_enough_and_each_says_what_it_tries() -> None:
    every = attacks()
    assert len(every) >= 20
    assert len({attack.name for attack in every}) == len(every)
    assert all(attack.tries and (attack.caught or attack.honest) for attack in every)
    for attack in every:
        if "compile" not in attack.caught:
            compile(attack.source, attack.name, "exec")


@pytest.mark.parametrize("distribution", ["normal", "cauchy"])
@pytest.mark.parametrize("masked", [False, True])
def test_both_references_and_their_counts_agree(distribution: str, masked: bool) -> None:
    shape = Shape(2, 5, 7, 3, distribution, masked)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(1)
    inputs = truth.make_inputs(shape, generator)
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    expected = doubles.reference(arrays)
    assert {name: array.shape for name, array in arrays.items()} == shape.arguments
    assert np.allclose(truth.reference(inputs).numpy(), expected, rtol=1e-12)
    assert truth.arithmetic(inputs) == doubles.arithmetic(arrays)
    found = expected.astype(np.float32)
    found[0, 1, 2, 3] = np.nan
    assert truth.wrong(torch.from_numpy(found), torch.from_numpy(expected)) == doubles.wrong(found, expected)


def test_what_is_faster_than_the_card_is_held() -> None:
    held = Timing(Mean(1.0e-3, 0, 5), idle=0.5e-3, plain=9e-3, bound=0.6e-3)
    assert held.impossible
    assert held.seconds == 0.5e-3
    assert held.speedup == pytest.approx(17)
    assert not Timing(Mean(1.0e-3, 0, 5), idle=0.5e-3, plain=9e-3, bound=0.5e-3).impossible


def test_calls_are_repeated_until_the_mean_is_sure(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_limits", Limits(fewest=2, most=10, seconds=5))
    assert trial._enough([1.0, 1.0001], 0.5, float("inf"))
    assert not trial._enough([1.0, 1.1], 0.5, float("inf"))
    assert trial._enough([0.1, 0.2] * 5, 0.0, float("inf"))
    assert trial._enough([2.0, 4.0], 0.0, float("inf"))


def test_the_drivers_structures_are_those_of_its_header() -> None:
    """As gcc lays them out with cuda.h of CUDA 13.1."""
    assert ctypes.sizeof(driver.Properties) == 32
    assert (driver.Properties.location.offset, driver.Properties.flags.offset) == (8, 24)
    assert (ctypes.sizeof(driver.Access), driver.Access.flags.offset) == (12, 8)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_everything_says_so_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    why = ready.missing()
    assert why is not None
    assert "\n" not in why
    with pytest.raises(TaskError, match="no GPU that torch"):
        judging.set_up(tmp_path, wall_at("none"), tmp_path / "lock", tmp_path)
    with pytest.raises(SystemExit, match="bench-gpu is skipped: no GPU that torch"):
        bench_gpu.main([])
    for words in (["tasks", "check", "trimul", "--gpu"], ["doctor", "--config", str(CONFIG)]):
        assert main(words) == 1
        assert why in capsys.readouterr().out


def test_the_benchmarks_table_has_every_shape_and_what_was_published() -> None:
    right: list[dict[str, float | str]] = [{"failure": "", "us": 2.0} for _ in PUBLISHED]
    wrong = [*right[1:], {"failure": "wrong"}]
    lines = bench_gpu.table({"good": right, "bad": wrong}).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].endswith("| 2.0 |")
    assert lines[3].endswith("| wrong | – |")
    assert "1371" in lines[4]
    assert "1161" in lines[5]


def test_cards_are_known_by_the_names_drivers_give_them() -> None:
    h100 = ready.card_named("NVIDIA H100 80GB HBM3")
    assert isinstance(h100, Card)
    assert h100.bandwidth == 3.35e12
    assert ready.card_named("NVIDIA GeForce RTX 5090") is None


@pytest.mark.triton
async def test_the_verifiers_process_judges_with_its_own_copies(tmp_path: Path) -> None:
    made = task.load(0, 2, None)
    case = made.ids("dev")[0]
    told = json.loads(made.gold[case]) | {"batch": "1", "n": "48", "dim": "64", "hidden": "32"}
    verifier = tmp_path / "verifier"
    judging.set_up(tmp_path, wall_at(choose("auto", probe())), tmp_path / "lock", verifier, "cpu")
    async with VerifierProcess(verifier, {case: json.dumps(told)}, (), judging.judge(tmp_path)) as process:
        score = await process.score(case, PLAIN)
        assert score.failure is None, score
        assert (await process.score(case, "Sure!")).failure == "compile"
        assert (await process.null(case)).reward > 0


def test_the_public_sizes_are_test_and_nowhere_else() -> None:
    made = task.load(3, 4, None)
    sizes = {split: {shape_of(made.cases[id].inputs).sizes for id in made.ids(split)} for split in get_args(Split)}
    assert sizes["test"] == {shape.sizes for shape in PUBLISHED}
    assert [len(made.ids(split)) for split in ("train", "dev", "hidden")] == [24, 12, 12]
    assert sum(map(len, sizes.values())) == len(set().union(*sizes.values()))


def test_answers_of_the_evaluators_check_are_modules() -> None:
    task = gpu_task.load(0, 4, None)
    asked = modules.probe(task)
    sources = [asked.right, asked.wrong]
    for source in sources:
        assert source is not None
        compile(str(source(asked.ids[0])), "module", "exec")
    assert asked.ids[0] in task.ids("train") and len([one for one in asked.attempts if one.row == "exploits"]) >= 20
