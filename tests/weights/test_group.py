"""A training as two processes that Ray starts: what one would have learned, also where one of the two is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import pytest

from sia_tui.cluster.desk import OUT, Desk, kept, read, write
from sia_tui.weights.protocol import Job, Left, Need, Trained
from sia_tui.weights.trainer import BROKE
from tests.weights.bandit import Heard, Policy, job, plan, run, run_here

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")
ROUNDING = 1e-4
"""Most that a number of the adapter may differ from the one process': sums are added up in another order. The numbers
themselves reach 0.1."""


def largest_gap(one: Path, other: Path) -> float:
    from safetensors.numpy import load_file

    found, wanted = (load_file(folder / "adapter_model.safetensors") for folder in (one, other))
    assert found.keys() == wanted.keys()
    return max(float(abs(found[name] - wanted[name]).max()) for name in found)


def kill_one_process() -> None:
    """One that trains, of those that descend from this one."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            trains = entry.name.isdecimal() and b"RayTrainWorker" in (entry / "cmdline").read_bytes()
            if trains and os.getpid() in ancestors(int(entry.name)):
                return os.kill(int(entry.name), signal.SIGKILL)
    raise AssertionError("no process trains")


def ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid


def ended(heard: Heard) -> Trained:
    assert isinstance(heard.end, Trained), heard.errors[-2000:]
    return heard.end


def killing(at: int) -> Callable[[Need], bool]:
    """Kills one of the processes, once, when rollouts of step `at` are asked for."""
    killed: list[Need] = []

    def kill(need: Need) -> bool:
        if need.step == at and not killed:
            killed.append(need)
            kill_one_process()
        return False

    return kill


def lost(heard: Heard) -> bool:
    """It ended without a word, and said why in its last line."""
    said = heard.errors.splitlines()[-1]
    return heard.end is None and heard.status == BROKE and said.startswith("lost its process")


@pytest.mark.long
@needs_ray
def test_two_processes_learn_what_one_does_though_one_of_them_is_killed(
    model: Path, policy: Policy, tmp_path: Path
) -> None:
    asked = plan(steps=4, eval_every=2)
    alone = job(model, tmp_path / "alone", asked)
    straight = ended(run_here(alone, policy))
    both = job(model, tmp_path / "both", asked, workers=2)
    first = run(both, policy, kill=killing(3))
    assert lost(first), first.errors[-2000:]
    assert [line.step for line in first.metrics] == [0, 1, 2, 3]
    # How many processes go on from the checkpoint that came to the engine before is nobody's business.
    second = run_here(both, policy)
    assert [line.step for line in second.metrics] == [3, 4]
    same(both, ended(second), alone, straight)


def same(job: Job, found: Trained, other: Job, wanted: Trained) -> None:
    assert largest_gap(job.out, other.out) < ROUNDING
    assert (found.steps, found.best_step, found.held_out_after) == (
        wanted.steps,
        wanted.best_step,
        wanted.held_out_after,
    )
    assert {**found.moved} == pytest.approx(wanted.moved, abs=ROUNDING)


@needs_ray
@pytest.mark.long
@pytest.mark.timeout(1200)  # four trainings, three of them started by Ray
@pytest.mark.parametrize("algorithm", ["grpo", "ppo", "reinforce_kl", "best_of_n", "dpo"])
def test_whatever_is_learned_two_processes_end_with_it(
    algorithm: str, model: Path, policy: Policy, tmp_path: Path
) -> None:
    asked = plan(algorithm=algorithm, samples=8, value_warmup=1, kl=0.01 if algorithm == "reinforce_kl" else 0.0)
    alone = job(model, tmp_path / "alone", asked)
    straight = ended(run_here(alone, policy))
    both = job(model, tmp_path / "both", asked, workers=2)
    assert lost(run(both, policy, kill=killing(4)))
    left = run(both, policy, leave_at=4)
    assert isinstance(left.end, Left), left.errors[-2000:]
    same(both, ended(run(both, policy)), alone, straight)


async def test_what_the_first_process_has_laid_at_the_desk_is_what_the_next_life_begins_with(tmp_path: Path) -> None:
    asked = job(tmp_path / "model", tmp_path / "training", plan())
    desk, step, checkpoint = Desk(asked), {"adapter_config.json": b"{}"}, {"seal.json": b"{}", "deep/optimizer": b"\0"}
    assert await desk.keep({"steps/v1": step, OUT: step}, {"steps/v1"}) == ""
    assert await Desk(asked).left() == {"steps/v1": step}
    assert await desk.keep({"checkpoints/checkpoint-2": checkpoint}, {"checkpoints/checkpoint-2"}) == ""
    assert await Desk(asked).left() == {"checkpoints/checkpoint-2": checkpoint}, (
        "what it has no more is not gone on from"
    )
    assert read(asked.out) == step
    with pytest.raises(ValueError, match="leads out"):
        await desk.keep({"../steps": step}, ())


@needs_ray
def test_why_a_group_broke_is_said_in_the_words_of_the_process_that_did() -> None:
    from ray.exceptions import RayTaskError

    from sia_tui.cluster.training import _words

    class Broke(Exception):
        worker_failures: ClassVar[dict[int, Exception]] = {}

    Broke.worker_failures = {1: RayTaskError("work", "Traceback:\n  of many lines", ValueError("no such token\n\n"))}
    assert _words(Broke("the group")) == "ValueError: no such token"
    assert (
        _words(RuntimeError("the training ended without a word")) == "RuntimeError: the training ended without a word"
    )


def test_a_folder_travels_whole_and_nothing_leads_out_of_it(tmp_path: Path) -> None:
    made = tmp_path / "made" / "checkpoints" / "checkpoint-2"
    (made / "ref").mkdir(parents=True)
    (made / "seal.json").write_text("{}")
    (made / "ref" / "weights").write_bytes(b"\0\1")
    assert list(kept(tmp_path / "made")) == ["checkpoints/checkpoint-2"]
    write(read(made), tmp_path / "there")
    assert read(tmp_path / "there") == {"seal.json": b"{}", "ref/weights": b"\0\1"}
    for name in ("../out", "/out", "a/../../out"):
        with pytest.raises(ValueError, match="leads out"):
            write({name: b""}, tmp_path / "there")
    assert read(tmp_path / "there") == {"seal.json": b"{}", "ref/weights": b"\0\1"}
